// Package packed is how databases hold a text: with a byte in front that says what
// is done to it, and compressed where that is worth it.
//
//	text ─► Pack ─► 0 text, or 1 zstd
//	what a database has ─► Size, Unpack, UnpackPair
package packed

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// The first bytes. 2 and 3 are for those that are sealed.
const (
	plain      = 0
	compressed = 1
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

// Pack returns what a database holds for a text.
func Pack(text []byte) []byte {
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

// ErrBroken is what no Pack has made.
var ErrBroken = errors.New("what the database holds is broken")

// Size is the size of the text.
func Size(packed []byte) (int, error) {
	switch {
	case len(packed) == 0:
		return 0, ErrBroken
	case packed[0] == plain:
		return len(packed) - 1, nil
	case packed[0] != compressed:
		return 0, fmt.Errorf("%w: its first byte is %d", ErrBroken, packed[0])
	}
	var h zstd.Header
	if err := h.Decode(packed[1:]); err != nil || !h.HasFCS || h.FrameContentSize > most {
		return 0, ErrBroken
	}
	return int(h.FrameContentSize), nil
}

// Unpack returns the text. It is the caller's own when packed is.
func Unpack(packed []byte) ([]byte, error) {
	size, err := Size(packed)
	if err != nil || packed[0] == plain {
		return packed[min(1, len(packed)):], err
	}
	text, err := decoder().DecodeAll(packed[1:], make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return text, nil
}

// UnpackPair unpacks two texts. Before that, room is told the size of each, and its
// error ends it.
func UnpackPair(room func(size int) error, a, b []byte) (first, second []byte, err error) {
	for _, text := range [2][]byte{a, b} {
		size, err := Size(text)
		if err != nil {
			return nil, nil, err
		}
		if err := room(size); err != nil {
			return nil, nil, err
		}
	}
	if first, err = Unpack(a); err == nil {
		second, err = Unpack(b)
	}
	return first, second, err
}
