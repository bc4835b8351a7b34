package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Why an exchange is ended from here.
var (
	errNoHeader = errors.New("no header in time")
	errNoBody   = errors.New("no more of the body in time")
)

// copied is the largest body that is copied, in bytes: net/http may read it
// after the answer has come.
const copied = 16 << 10

// exchange sends req and waits for the answer's header. The connection was
// taken or just made; a place in a shared one is reserved.
func (cn *stdConn) exchange(ctx context.Context, req *Request) (*Answer, error) {
	a := &stdAnswer{cn: cn}
	a.Rest = a
	a.ctx, a.cancel = context.WithCancelCause(ctx)
	r := cn.request(a.ctx, req)
	switch {
	case req.Stream == nil && len(req.Body) == 0, req.Stream != nil && req.Length == 0:
		r.Body = http.NoBody
	case req.Stream == nil && len(req.Body) <= copied:
		r.Body = io.NopCloser(bytes.NewReader(bytes.Clone(req.Body))) // net/http writes it with the header
	default:
		a.body = newSentBody(req, cn.shared)
		r.Body = a.body
	}
	if !cn.shared {
		cn.wire.begin(func() {
			if a.body != nil {
				a.body.letGo()
			}
		})
	}
	var timer *time.Timer
	if req.HeaderTimeout > 0 {
		timer = time.AfterFunc(req.HeaderTimeout, func() { a.cancel(errNoHeader) })
	}
	resp, err := cn.client.RoundTrip(r) //nolint:bodyclose // the answer has it, and closes it
	if timer != nil {
		timer.Stop() // before its cause is asked for
	}
	if !cn.shared {
		cn.wire.answer()
	}
	if err == nil {
		a.Status, a.Header, a.Length, a.resp = resp.StatusCode, resp.Header, resp.ContentLength, resp
		a.ended = resp.Body == http.NoBody
		if err = acceptable(resp.StatusCode); err == nil && errors.Is(context.Cause(a.ctx), errNoHeader) {
			err = errNoHeader
		}
	}
	if err != nil {
		e := a.why(ctx, err)
		a.Close()
		return nil, e
	}
	if a.body != nil {
		a.body.detach()
	}
	return &a.Answer, nil
}

// request is req as net/http takes it.
func (cn *stdConn) request(ctx context.Context, req *Request) *http.Request {
	c := cn.std.client
	target := c.base + req.Target
	u := &url.URL{Scheme: "http", Host: c.host, Opaque: target}
	if c.secure {
		u.Scheme = "https"
	} else if c.opt.Proxy != nil {
		u.Opaque = "//" + c.host + target // a proxy is told the host (RFC 9112 section 3.2.2)
	}
	r := &http.Request{Method: req.Method, URL: u, Host: c.host, Header: fields(req.Header), ContentLength: int64(len(req.Body))}
	if req.Stream != nil {
		r.ContentLength = req.Length
		if req.Length < 0 {
			r.TransferEncoding = []string{"chunked"}
		}
	}
	return r.WithContext(ctx)
}

// fields are header lines as net/http takes them, names as they are spelled.
func fields(lines []byte) http.Header {
	h := make(http.Header, 16)
	for rest := string(lines); rest != ""; {
		var line string
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, _ := strings.Cut(line, ": ")
		h[name] = append(h[name], value)
	}
	if _, has := h["User-Agent"]; !has {
		h["User-Agent"] = nil // else net/http gives its own
	}
	return h
}

// stdAnswer is the answer that comes on a connection of net/http's.
type stdAnswer struct {
	Answer

	cn     *stdConn
	ctx    context.Context // of the request
	cancel context.CancelCauseFunc
	body   *sentBody // of the request; nil: it has none
	resp   *http.Response
	limit  time.Time   // of reads
	late   *time.Timer // that cancels when it has passed; nil: no read was limited
	ended  bool        // the body was read to its end
	last   bool        // the connection is not to be kept
	closed bool
}

// why is the error of an exchange that has no answer.
func (a *stdAnswer) why(ctx context.Context, err error) *Error {
	if a.body != nil {
		if e := a.body.failed.Load(); e != nil {
			return e
		}
	}
	var e *Error
	var op *net.OpError
	var reset streamError
	switch {
	case ctx.Err() != nil:
		return &Error{Kind: Closed, Err: context.Cause(ctx)}
	case errors.Is(context.Cause(a.ctx), errNoHeader):
		return &Error{Kind: Timeout, Err: errNoHeader}
	case errors.As(err, &e):
		return e
	case a.cn.wire.ended.Load(), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, &op), errors.Is(err, net.ErrClosed),
		errors.As(err, &reset), isGoAway(err):
		return &Error{Kind: Closed, Err: err}
	}
	return &Error{Kind: Malformed, Err: errors.New(withoutQuotes(err.Error()))}
}

func (a *stdAnswer) Wait() {}

func (a *stdAnswer) DropHeader() { a.Header, a.resp.Header = nil, nil }

func (a *stdAnswer) SetReadDeadline(t time.Time) { a.limit = t }

func (a *stdAnswer) Read(p []byte) (int, error) {
	if !a.limit.IsZero() {
		if err := a.watch(); err != nil {
			return 0, err
		}
		defer a.late.Stop()
	}
	n, err := a.resp.Body.Read(p)
	switch {
	case err == io.EOF:
		a.ended = true
	case err != nil && errors.Is(context.Cause(a.ctx), errNoBody):
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// watch makes the read that follows end when it is late: net/http has no
// deadlines, so that the whole exchange does.
func (a *stdAnswer) watch() error {
	left := time.Until(a.limit)
	if left <= 0 {
		a.cancel(errNoBody)
		return os.ErrDeadlineExceeded
	}
	if a.late == nil {
		a.late = time.AfterFunc(left, func() { a.cancel(errNoBody) })
	} else {
		a.late.Reset(left)
	}
	return nil
}

func (a *stdAnswer) Sending() bool { return a.body.sending() }

func (a *stdAnswer) Keep(may bool) { a.last = !may }

func (a *stdAnswer) Close() {
	if a.closed {
		return
	}
	a.closed = true
	cn, keep := a.cn, a.ended && !a.last && !a.Sending()
	switch {
	case cn.shared:
		if a.resp != nil {
			a.resp.Body.Close()
		}
	case keep && cn.client.Available() == 1 && a.ctx.Err() == nil:
		cn.wire.end()
		cn.std.client.keep(cn)
	default:
		cn.close()
		if a.resp != nil {
			a.resp.Body.Close()
		}
	}
	a.cancel(nil)
	if a.body != nil {
		a.body.release()
	}
	if cn.shared {
		cn.std.client.unshare(cn)
	}
}

// streamError is net/http's error of a stream of HTTP/2, which it lets be read
// as any struct of this form.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return "stream error" }

// refusedStream is the error code REFUSED_STREAM (RFC 9113 section 7).
const refusedStream = 0x7

// goAway is net/http's error of a stream that the upstream, which is about to
// close the connection, says it has not looked at.
const goAway = "http2: Transport received Server's graceful shutdown GOAWAY"

func isGoAway(err error) bool { return err.Error() == goAway }

// unprocessed reports whether the upstream itself says that it has done nothing
// about the request, so that anything may be sent again (RFC 9113 section 8.7).
func (e *Error) unprocessed() bool {
	var reset streamError
	return e.Kind == Closed && (errors.As(e.Err, &reset) && reset.Code == refusedStream || isGoAway(e.Err))
}
