package jsontext

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// AppendBase64 appends what standard base64 makes of the text that is the inside of a JSON
// string, which must be valid: it looks at each byte once, and decodes no escape but those
// of line ends, which say nothing.
func AppendBase64(dst, inside []byte) ([]byte, error) {
	at, end := len(dst), 0
	room := at + len(inside)/4*3 + 8
	dst = slices.Grow(dst, room-at)[:room]
	for end+8 <= len(inside) {
		b := inside[end : end+8]
		first := letterValues[0][b[0]] | letterValues[1][b[1]] | letterValues[2][b[2]] | letterValues[3][b[3]]
		second := letterValues[0][b[4]] | letterValues[1][b[5]] | letterValues[2][b[6]] | letterValues[3][b[7]]
		putWord(dst[at:], uint64(first&(noLetter-1))|uint64(second)<<24)
		if first|second < noLetter {
			at += 6
			end += 8
			continue
		}
		if first < noLetter {
			at += 3
			end += 4
		}
		if c := inside[end+1]; inside[end] != '\\' || c != 'n' && c != 'r' {
			break
		}
		end += 2
	}
	dst, inside = dst[:at], inside[end:]
	if bytes.IndexByte(inside, '\\') < 0 {
		return base64.StdEncoding.AppendDecode(dst, inside)
	}
	rest := withoutLineEnds(inside)
	if bytes.IndexByte(rest, '\\') < 0 {
		return AppendBase64(dst, rest)
	}
	return base64.StdEncoding.AppendDecode(dst, rest) // is wrong
}

// withoutLineEnds returns what the inside of a string means, but for its line ends.
func withoutLineEnds(inside []byte) []byte {
	dst := make([]byte, 0, len(inside)+8)
	for {
		n := 0
		dst, n = appendRun(dst, inside)
		if inside = inside[n:]; len(inside) == 0 {
			return dst
		}
		if c := inside[1]; c == 'n' || c == 'r' {
			inside = inside[2:]
		} else {
			dst, inside = DecodePart(dst, inside, 1)
		}
	}
}

// letterValues are what a letter of base64 adds to three bytes, little endian, as the
// first, second, third or fourth of four; noLetter what is none.
var letterValues = func() (v [4][256]uint32) {
	for place := range v {
		for c := range v[place] {
			v[place][c] = noLetter
		}
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		n := uint32(i) //nolint:gosec // less than 64
		v[0][c] = n << 2
		v[1][c] = n>>4 | n<<12&0xf000
		v[2][c] = n<<6&0xff00 | n<<22&0xc00000
		v[3][c] = n << 16
	}
	return v
}()

const noLetter = 1 << 24
