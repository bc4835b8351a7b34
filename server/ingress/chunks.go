package ingress

import "bytes"

// chunks follows the chunked coding of a body (RFC 9112 section 7.1) to its end,
// so that what follows is known to be the next request's. net/http decodes it.
type chunks struct {
	state chunkState
	left  int64 // of the chunk's data and the line end after it
	size  int64 // read so far of the size
	any   bool  // the line has begun
	cr    bool  // the last byte was CR
}

type chunkState int

const (
	chunkSize    chunkState = iota // within the size's digits
	chunkRest                      // in the rest of the size's line
	chunkData                      // in the data
	chunkEnd                       // in the line end after it
	chunkTrailer                   // in a line of the trailer section
	chunksEnd                      // after the body
	chunksBroken                   // not chunked as it should be: net/http says so too
)

// read takes what came of a body and returns how much of it belongs to it. whole
// tells that the body ends there.
func (c *chunks) read(p []byte) (n int, whole bool) {
	for n < len(p) {
		if c.state == chunkData {
			skip := min(int64(len(p)-n), c.left)
			n += int(skip)
			if c.left -= skip; c.left == 0 {
				c.state = chunkEnd
			}
			continue
		}
		if c.state == chunkRest {
			if i := bytes.IndexByte(p[n:], '\r'); i != 0 && !c.cr {
				if i < 0 {
					i = len(p) - n
				}
				if bytes.IndexByte(p[n:n+i], '\n') >= 0 {
					c.state = chunksBroken
					return len(p), false
				}
				n += i
				continue
			}
		}
		c.next(p[n])
		n++
		switch c.state {
		case chunksEnd:
			return n, true
		case chunksBroken:
			return len(p), false
		}
	}
	return n, false
}

// next takes a byte that is no data.
func (c *chunks) next(b byte) {
	if c.cr {
		c.cr = false
		if b != '\n' {
			c.state = chunksBroken
			return
		}
		c.lineEnds()
		return
	}
	switch {
	case b == '\r':
		c.cr = true
	case b == '\n', c.state == chunkEnd:
		c.state = chunksBroken
	case c.state == chunkTrailer:
		c.any = true
	case c.state == chunkSize:
		c.digit(b)
	}
}

func (c *chunks) digit(b byte) {
	var d byte
	switch {
	case '0' <= b && b <= '9':
		d = b - '0'
	case 'a' <= b && b <= 'f':
		d = b - 'a' + 10
	case 'A' <= b && b <= 'F':
		d = b - 'A' + 10
	case c.any && (b == ';' || b == ' ' || b == '\t'):
		c.state = chunkRest
		return
	default:
		c.state = chunksBroken
		return
	}
	if c.any = true; c.size >= 1<<58 {
		c.state = chunksBroken
		return
	}
	c.size = c.size<<4 | int64(d)
}

func (c *chunks) lineEnds() {
	switch c.state {
	case chunkSize, chunkRest:
		if !c.any {
			c.state = chunksBroken
			return
		}
		if c.left = c.size; c.left > 0 {
			c.state = chunkData
		} else {
			c.state = chunkTrailer
		}
	case chunkEnd:
		c.state = chunkSize
	case chunkTrailer:
		if !c.any {
			c.state = chunksEnd
		}
	}
	c.size, c.any = 0, false
}
