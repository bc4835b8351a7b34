package upstream

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// ownAnswer is the answer that comes on a connection of our own.
type ownAnswer struct {
	Answer

	cn     *conn
	resp   *http.Response // its body is this answer's
	stop   func() bool    // ends the watch on the request's context
	ended  bool           // the body was read to its end
	reuse  bool           // the connection outlives the answer
	last   bool           // … but shall not
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
func (a *ownAnswer) readHeader(req *http.Request) error {
	cn := a.cn
	cn.budget = headerLimit
	for {
		resp, err := http.ReadResponse(cn.br, req) //nolint:bodyclose // the body is the connection's, and Close sees to it
		if err != nil {
			return a.headerError(err)
		}
		if err := acceptable(resp.StatusCode); err != nil {
			return err
		}
		if resp.StatusCode < 200 {
			continue
		}
		cn.budget = -1
		a.Status, a.Header, a.Length, a.resp = resp.StatusCode, resp.Header, resp.ContentLength, resp
		a.ended = resp.Body == http.NoBody
		a.reuse = !resp.Close && (a.ended || resp.ContentLength >= 0 || len(resp.TransferEncoding) > 0)
		return nil
	}
}

func (a *ownAnswer) headerError(err error) *Error {
	// A connection that ends inside the header or before it.
	var op *net.OpError
	if a.cn.ended {
		return &Error{Kind: Closed, Err: err}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) || errors.Is(err, net.ErrClosed) {
		return classify(err, Closed)
	}
	if isTimeout(err) || errors.Is(err, errHeaderTooLong) {
		return classify(err, Malformed)
	}
	return &Error{Kind: Malformed, Err: errors.New(withoutQuotes(err.Error()))}
}

func (a *ownAnswer) DropHeader() { a.Header, a.resp.Header = nil, nil }

func (a *ownAnswer) Wait() {
	if a.ended || a.failed != nil {
		return
	}
	// The system tells of a reset once, and of the connection's end again and again.
	if _, err := a.cn.br.Peek(1); err != nil && err != io.EOF {
		a.failed = err
	}
}

func (a *ownAnswer) Read(p []byte) (int, error) {
	if a.failed != nil {
		return 0, a.failed
	}
	n, err := a.resp.Body.Read(p)
	if err == io.EOF {
		a.ended = true
	}
	return n, err
}

func (a *ownAnswer) SetReadDeadline(t time.Time) { a.cn.SetReadDeadline(t) }

func (a *ownAnswer) Keep(may bool) { a.last = !may }

func (a *ownAnswer) Close() {
	if a.cn == nil {
		return
	}
	cn := a.cn
	a.cn = nil
	intact := a.stop() && a.ended && a.reuse && !a.last
	sending := a.Sending() // the upstream answered before it had the whole body
	if intact && !sending && !a.spoilt {
		cn.reused = true
		cn.own.client.keep(cn)
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

func (a *ownAnswer) Sending() bool {
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
func (a *ownAnswer) salvage() bool {
	a.cn.SetReadDeadline(time.Now().Add(time.Second))
	a.cn.budget = headerLimit
	_, err := a.cn.br.Peek(1)
	a.spoilt = true
	return err == nil
}
