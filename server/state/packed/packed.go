// Package packed is how databases hold a text: with a byte in front that says what
// is done to it, compressed where that is worth it, and sealed where that is wanted.
//
//	text ─► 0 text, or 3 S2 ─► that, or 2 sealed ─► what a database has
//	what a database has ─► Open ─► 0, 3, or 1 zstd, as it once was ─► Size, Text
//
// Texts enter, and the place of each: what is sealed opens there and nowhere else.
// Whether anything is sealed may change at any time: both forms are read.
package packed

import (
	"fmt"
	"sync"

	"antwort/server/state"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// The first bytes. They are in databases: none may ever change.
const (
	plain      = 0
	zstandard  = 1 // which was written once
	sealed     = 2 // what is in it begins with one of the others
	compressed = 3 // S2, which is read four times as fast as zstd
)

// least is the size from which a text is compressed.
const least = 1 << 10

// most bounds a text that somebody has put into a database, in bytes.
const most = 4 << 30

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
		packed := make([]byte, 1+s2.MaxEncodedLen(len(text)))
		packed[0] = compressed
		if n := len(s2.Encode(packed[1:], text)); n < len(text) {
			return packed[:1+n]
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
	if len(o) == 0 {
		return 0, errBroken
	}
	switch rest := o[1:]; o[0] {
	case plain:
		return len(rest), nil
	case compressed:
		if size, err := s2.DecodedLen(rest); err == nil {
			return size, nil
		}
	case zstandard:
		var h zstd.Header
		if err := h.Decode(rest); err == nil && h.HasFCS && h.FrameContentSize <= most {
			return int(h.FrameContentSize), nil
		}
	}
	return 0, fmt.Errorf("%w: its first byte is %d", errBroken, o[0])
}

// Text returns the text. It is the caller's own when what was opened is.
func (o Opened) Text() ([]byte, error) {
	size, err := o.Size()
	if err != nil {
		return nil, err
	}
	if o[0] == plain {
		return o[1:], nil
	}
	return o.into(make([]byte, size))
}

// into writes the text into memory of its size, and returns that.
func (o Opened) into(text []byte) (_ []byte, err error) {
	switch rest := o[1:]; o[0] {
	case plain:
		copy(text, rest)
	case compressed:
		text, err = s2.Decode(text, rest)
	default:
		text, err = decoder().DecodeAll(rest, text[:0])
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return text, nil
}
