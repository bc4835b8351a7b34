package jsontext

import "encoding/base64"

// AppendBase64 appends what standard base64 makes of the text that is the inside of a JSON
// string, which must be valid: it looks at each byte once, and decodes no escape but those
// of line ends, which say nothing.
func AppendBase64(dst, inside []byte) ([]byte, error) {
	at, end := len(dst), 0
	room := at + len(inside)/4*3 + 8
	dst = Grow(dst, room-at)[:room]
	for {
		for end+8 <= len(inside) {
			b := inside[end : end+8]
			first := letterValues[0][b[0]] | letterValues[1][b[1]] | letterValues[2][b[2]] | letterValues[3][b[3]]
			second := letterValues[0][b[4]] | letterValues[1][b[5]] | letterValues[2][b[6]] | letterValues[3][b[7]]
			if first|second >= noLetter {
				break
			}
			putWord(dst[at:], uint64(first)|uint64(second)<<24)
			at += 6
			end += 8
		}
		three, n := fourLetters(inside[end:])
		if n == 0 {
			break
		}
		putWord(dst[at:], uint64(three))
		at += 3
		end += n
	}
	var tail, part []byte // the end, or what is wrong: then it is longer
	for rest := inside[end:]; len(rest) > 0 && len(tail) <= 8; {
		part, rest = DecodePart(part[:0], rest, 1<<10)
		for _, c := range part {
			if c != '\n' && c != '\r' {
				tail = append(tail, c)
			}
		}
	}
	return base64.StdEncoding.AppendDecode(dst[:at], tail)
}

// fourLetters returns what the next four letters stand for, with line ends before and
// between them, and how many bytes they take; 0 when something else comes.
func fourLetters(b []byte) (three uint32, n int) {
	for place := 0; place < len(letterValues); n++ {
		if n == len(b) {
			return 0, 0
		}
		c := b[n]
		if c == '\\' {
			n++
			switch c = b[n]; c {
			case 'n', 'r':
				continue
			case '/':
			case 'u': // as some write what HTML knows, too
				r, _ := hex4(b[n+1:])
				if n += 4; r == '\n' || r == '\r' {
					continue
				}
				c = byte(min(r, 0x7f)) //nolint:gosec // which is no letter
			default:
				return 0, 0
			}
		}
		value := letterValues[place][c]
		if value == noLetter {
			return 0, 0
		}
		three |= value
		place++
	}
	return three, n
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
		n := uint32(i)
		v[0][c] = n << 2
		v[1][c] = n>>4 | n<<12&0xf000
		v[2][c] = n<<6&0xff00 | n<<22&0xc00000
		v[3][c] = n << 16
	}
	return v
}()

const noLetter = 1 << 24
