package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Answer is the upstream's answer: its header, and its body to be read. It
// belongs to one goroutine.
type Answer struct {
	Status int
	Header http.Header
	Length int64 // bytes of the body, -1 when unknown

	client *Client
	cn     *conn
	resp   *http.Response // its body is this answer's
	stop   func() bool    // ends the watch on the request's context
	ended  bool           // the body was read to its end
	reuse  bool           // the connection outlives the answer
	spoilt bool           // the request was not sent whole

	// Of a long request body, written beside: one value when that ended, what
	// makes it end, and the error of its source.
	sent    chan error
	unblock func()
	bodyErr atomic.Pointer[Error]
	failed  error // of a Wait, for the Read that follows
}

// readHeader reads the final status and header, passing over informational
// answers (RFC 9110 section 15.2).
func (a *Answer) readHeader(req *http.Request) error {
	cn := a.cn
	cn.budget = headerLimit
	for {
		resp, err := http.ReadResponse(cn.br, req)
		if err != nil {
			return a.headerError(err)
		}
		if resp.StatusCode < 100 {
			return &Error{Kind: Malformed, Err: errors.New("status below 100")}
		}
		if resp.StatusCode < 200 {
			if resp.StatusCode == http.StatusSwitchingProtocols {
				return &Error{Kind: Malformed, Err: errors.New("upstream switched protocols")}
			}
			continue
		}
		cn.budget = -1
		a.Status, a.Header, a.Length, a.resp = resp.StatusCode, resp.Header, resp.ContentLength, resp
		a.reuse = !resp.Close && (resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0)
		a.ended = resp.Body == http.NoBody
		return nil
	}
}

func (a *Answer) headerError(err error) *Error {
	// A connection that ends inside the header or before it.
	var op *net.OpError
	if a.cn.ended {
		return &Error{Kind: Closed, Err: err}
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF || errors.As(err, &op) || errors.Is(err, net.ErrClosed) {
		return classify(err, Closed)
	}
	if isTimeout(err) || errors.Is(err, errHeaderTooLong) {
		return classify(err, Malformed)
	}
	return &Error{Kind: Malformed, Err: errors.New(withoutQuotes(err.Error()))}
}

// withoutQuotes is what net/http says is wrong, without what the upstream said:
// that may be an answer's content, which is not for logs.
func withoutQuotes(s string) string {
	s = strings.TrimPrefix(strings.TrimPrefix(s, "net/"), "http: ")
	if i := strings.IndexAny(s, `":[`); i > 0 {
		s = s[:i]
	}
	return strings.TrimRight(s, " ;,")
}

// DropHeader lets go of the header's memory, for answers that take long.
func (a *Answer) DropHeader() { a.Header, a.resp.Header = nil, nil }

// Wait returns when bytes of the body, its end or an error can be read. It
// holds no memory meanwhile: take a read buffer afterwards.
func (a *Answer) Wait() {
	if a.ended || a.failed != nil {
		return
	}
	// The system tells of a reset once, and of the connection's end again and again.
	if _, err := a.cn.br.Peek(1); err != nil && err != io.EOF {
		a.failed = err
	}
}

// Read reads the body, as an io.Reader.
func (a *Answer) Read(p []byte) (int, error) {
	if a.failed != nil {
		return 0, a.failed
	}
	n, err := a.resp.Body.Read(p)
	if err == io.EOF {
		a.ended = true
	}
	return n, err
}

// SetReadDeadline limits reads of the body; the zero time ends the limit.
func (a *Answer) SetReadDeadline(t time.Time) { a.cn.SetReadDeadline(t) }

// Close ends the exchange: the connection is kept when the body was read to
// its end, else closed, which tells the upstream to stop working.
func (a *Answer) Close() {
	if a.cn == nil {
		return
	}
	cn := a.cn
	a.cn = nil
	intact := a.stop() && a.ended && a.reuse
	sending := a.Sending() // the upstream answered before it had the whole body
	if intact && !sending && !a.spoilt {
		a.client.keep(cn)
		return
	}
	cn.Conn.Close()
	if sending {
		if a.unblock != nil {
			a.unblock()
		}
		<-a.sent //nolint:errcheck // how it went is nothing to the connection, which is closed
	}
}

// Sending reports whether a part of the request is still to be sent, for an
// upstream may answer early. Its Body is in use until then, or until Close.
func (a *Answer) Sending() bool {
	if a.sent == nil {
		return false
	}
	select {
	case err := <-a.sent:
		a.sent, a.spoilt = nil, err != nil
		return false
	default:
		return true
	}
}

// salvage reports whether bytes of an answer wait although sending failed.
func (a *Answer) salvage() bool {
	a.cn.SetReadDeadline(time.Now().Add(time.Second))
	a.cn.budget = headerLimit
	_, err := a.cn.br.Peek(1)
	a.spoilt = true
	return err == nil
}
