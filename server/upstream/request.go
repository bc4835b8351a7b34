package upstream

import (
	"io"
	"strings"
	"time"
)

// Request is what Do sends. The caller leaves Header and Body alone until Do
// has returned and, with a body over 64 KiB or a Stream, the answer is closed
// or no longer Sending.
type Request struct {
	Method string // GET, HEAD, POST or DELETE
	Target string // path and query as on the wire, after the base URL's path
	Header []byte // whole lines "Name: value\r\n"; see AppendField. Host and body lengths are added
	Body   []byte // what is sent first, or all
	// Stream is what follows Body, nil when nothing does. Length is the number
	// of bytes in both, -1 when unknown (sent chunked).
	// Unblock makes a Stream.Read that waits return; called when the exchange
	// ends before the whole body was sent.
	Stream  io.Reader
	Length  int64
	Unblock func()
	// Repeatable allows to send Body again on a new connection when a kept one
	// turns out to be closed before any byte of an answer. A Stream is never.
	Repeatable    bool
	HeaderTimeout time.Duration // from the end of connecting to the answer's header; 0: none
}

// inline is the largest body that is the caller's again when Do returns. A
// longer one is sent beside, for an upstream may answer (413, 401) and stop
// reading while it is still on its way.
const inline = 64 << 10

// AppendField appends a header line. Line breaks in value become spaces.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	if strings.ContainsAny(value, "\r\n\x00") {
		value = strings.Map(func(r rune) rune {
			if r == '\r' || r == '\n' || r == 0 {
				return ' '
			}
			return r
		}, value)
	}
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
