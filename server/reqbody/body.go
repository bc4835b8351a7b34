// Package reqbody reads the bodies of requests, decoded, or passes them on while
// they come, and bounds what the process holds of them and of answers.
//
//	request ─┬─ Read ─── decode ─► Buffer
//	         └─ Upload ─────────► what has come, and the rest
//	             every byte ─► Charge ─► Bound
//
// A request enters with what its exchange holds, the Charge, which asks the Bound
// before memory is taken. It knows nothing of what is in a body.
package reqbody

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"antwort/server/buffer"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Limits are those of a request's body.
type Limits struct {
	Bytes   int64         // as it comes
	Decoded int64         // bytes of one that comes compressed
	Time    time.Duration // for all of it
}

// Body is the body of a request, before it has been read.
type Body struct {
	w      http.ResponseWriter
	r      *http.Request
	limits Limits
	held   *Charge
}

// Of returns the body of r, which w answers. It is read at the cost of held.
func Of(w http.ResponseWriter, r *http.Request, limits Limits, held *Charge) *Body {
	return &Body{w, r, limits, held}
}

// LimitTime gives the client a time to send the body (slow loris). The limit stays
// when the body is not read to its end: net/http then reads on.
func (b *Body) LimitTime() {
	control := http.NewResponseController(b.w)
	_ = control.SetReadDeadline(time.Now().Add(b.limits.Time))
	_ = control.SetWriteDeadline(time.Time{}) // an earlier answer's: 100 Continue may be written
}

// unlimitTime lets net/http watch the connection without a limit.
func (b *Body) unlimitTime() { _ = http.NewResponseController(b.w).SetReadDeadline(time.Time{}) }

// Linger keeps the connection open for a moment after an answer that comes before the
// body's end. Closed at once, with bytes of the body unread, it would be reset, and the
// answer lost to a client that still sends. net/http does so where [http.MaxBytesReader]
// meets its limit.
func (b *Body) Linger() {
	_, _ = http.MaxBytesReader(b.w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1))
}

// Read reads all of it, decoded, into a buffer that the caller puts back.
func (b *Body) Read() (*buffer.Buffer, *failure.Failure) {
	if b.r.ContentLength > b.limits.Bytes {
		return nil, b.tooLarge()
	}
	buf, f := b.readDecoded()
	if f == nil {
		b.unlimitTime()
	}
	return buf, f
}

func (b *Body) readDecoded() (*buffer.Buffer, *failure.Failure) {
	switch coding := policy.Coding(b.r.Header["Content-Encoding"]); coding {
	case "":
		buf := buffer.Metered(b.held)
		if b.r.ContentLength > 0 { // one byte more lets the read that fills it see the end
			buf.Grow(int(min(b.r.ContentLength, 64<<10)) + 1)
		}
		if err := buf.ReadAll(b.r.Body, b.limits.Bytes); err != nil {
			buf.Put()
			return nil, b.failed(err)
		}
		return buf, nil
	case "gzip", "x-gzip", "zstd":
		return b.readCompressed(coding)
	default:
		return nil, failure.Of(failure.UnsupportedEncoding, policy.WrongCoding(coding, "gzip, zstd or none")).
			With("Accept-Encoding", "gzip, zstd") // RFC 9110 section 15.5.16
	}
}

func (b *Body) tooLarge() *failure.Failure {
	return failure.Of(failure.TooLarge, policy.TooLarge(b.limits.Bytes))
}

// failed tells what went wrong between the client and us.
func (b *Body) failed(err error) *failure.Failure {
	switch {
	case errors.Is(err, buffer.ErrNoRoom):
		return b.held.Refusal().With("Connection", "close")
	case errors.Is(err, buffer.ErrTooLarge):
		return b.tooLarge().With("Connection", "close")
	case errors.Is(err, os.ErrDeadlineExceeded):
		b.Linger()
		return failure.Of(failure.SlowBody, responses.NewError(http.StatusRequestTimeout, "request_timeout",
			"the request body did not arrive within "+b.limits.Time.String())).Because(err).With("Connection", "close")
	case b.r.Context().Err() != nil, errors.Is(err, io.ErrUnexpectedEOF):
		return failure.Of(failure.ClientGone, nil).Because(err)
	default:
		return failure.Of(failure.BadBody, responses.NewError(http.StatusBadRequest, "invalid_body", "the request body could not be read: its framing is broken")).Because(err)
	}
}
