// Package packed is how databases hold a text: with a byte in front that says what
// is done to it, compressed where that is worth it, and sealed where that is wanted.
//
//	text ─► 0 text, or 1 zstd ─► that, or 2 sealed ─► what a database has
//	what a database has ─► Open ─► 0 or 1 … ─► Size, Text
//
// Texts enter, and the place of each: what is sealed opens there and nowhere else.
// Whether anything is sealed may change at any time: both forms are read.
package packed

import (
	"fmt"
	"sync"

	"antwort/server/state"

	"github.com/klauspost/compress/zstd"
)

// The first bytes. They are in databases: none may ever change.
const (
	plain      = 0
	compressed = 1
	sealed     = 2 // what is in it begins with one of the others
)

// least is the size from which a text is compressed.
const least = 1 << 10

// most bounds a text that somebody has put into a database, in bytes.
const most = 4 << 30

var encoder = sync.OnceValue(func() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err) // the options are constant
	}
	return e
})

var decoder = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(most))
	if err != nil {
		panic(err) // the options are constant
	}
	return d
})

// pack returns a text with its first byte.
func pack(text []byte) []byte {
	if len(text) >= least {
		packed := make([]byte, 1, 1+len(text)/2)
		packed[0] = compressed
		if packed = encoder().EncodeAll(text, packed); len(packed) < len(text) {
			return packed
		}
	}
	packed := make([]byte, 1+len(text))
	packed[0] = plain
	copy(packed[1:], text)
	return packed
}

// errBroken is what no pack has made.
var errBroken = fmt.Errorf("%w: it is broken", state.ErrUnreadable)

// Opened is a text that is not sealed, and perhaps compressed.
type Opened []byte

// Size is the size of the text.
func (o Opened) Size() (int, error) {
	switch {
	case len(o) == 0:
		return 0, errBroken
	case o[0] == plain:
		return len(o) - 1, nil
	case o[0] != compressed:
		return 0, fmt.Errorf("%w: its first byte is %d", errBroken, o[0])
	}
	var h zstd.Header
	if err := h.Decode(o[1:]); err != nil || !h.HasFCS || h.FrameContentSize > most {
		return 0, errBroken
	}
	return int(h.FrameContentSize), nil
}

// Text returns the text. It is the caller's own when what was opened is.
func (o Opened) Text() ([]byte, error) {
	size, err := o.Size()
	if err != nil || o[0] == plain {
		return o[min(1, len(o)):], err
	}
	text, err := decoder().DecodeAll(o[1:], make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return text, nil
}
