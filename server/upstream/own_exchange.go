package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"sync"
	"time"
)

var heads = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// exchange sends req on cn and reads the answer's header.
func (cn *conn) exchange(ctx context.Context, req *Request) (*Answer, error) {
	a := &ownAnswer{cn: cn}
	a.Rest = a
	cn.came = false
	a.stop = context.AfterFunc(ctx, cn.abort)
	if req.HeaderTimeout > 0 {
		cn.SetDeadline(time.Now().Add(req.HeaderTimeout))
	} else if cn.reused {
		cn.SetDeadline(time.Time{}) // an earlier answer's
	}
	if err := a.send(req); err != nil {
		// An upstream that refuses a body half way has often answered already.
		if !a.salvage() {
			a.Close()
			return nil, classify(err, Closed)
		}
	}
	if err := a.readHeader(methods[req.Method]); err != nil {
		body := a.bodyErr.Load() // before Close makes the body end
		a.Close()
		if body != nil {
			return nil, body
		}
		return nil, err
	}
	if req.HeaderTimeout > 0 || a.spoilt {
		cn.SetDeadline(time.Time{})
	}
	return &a.Answer, nil
}

// send writes the request. A long body is left to a goroutine, whose end a.sent tells.
func (a *ownAnswer) send(req *Request) error {
	c := a.cn.own.client
	buf := heads.Get().(*[]byte)
	defer heads.Put(buf)
	b := append((*buf)[:0], req.Method...)
	b = append(b, ' ')
	b = append(b, c.base...)
	b = append(b, req.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, c.host...)
	b = append(b, "\r\n"...)
	b = append(b, req.Header...)
	switch {
	case req.Stream != nil && req.Length < 0:
		b = append(b, "Transfer-Encoding: chunked\r\n"...)
	case req.Stream != nil:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, req.Length, 10)
		b = append(b, "\r\n"...)
	case len(req.Body) > 0 || req.Method == http.MethodPost:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, int64(len(req.Body)), 10)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	*buf = b[:0]
	switch {
	case req.Stream != nil || len(req.Body) > inline:
		if _, err := a.cn.Conn.Write(b); err != nil {
			return err
		}
		a.sent = make(chan error, 1)
		a.unblock = req.Unblock
		cn, sent := a.cn, a.sent
		go func() { sent <- a.sendBody(cn, req) }()
		return nil
	case len(req.Body) <= 16<<10: // one write: a copy is cheaper than a longer call
		b = append(b, req.Body...)
		*buf = b[:0]
		_, err := a.cn.Conn.Write(b)
		return err
	default:
		bufs := net.Buffers{b, req.Body}
		_, err := bufs.WriteTo(a.cn.Conn)
		return err
	}
}

// sendBody writes a long body. When its source fails, the connection is closed:
// there is no other way to tell the upstream that the rest will not come.
func (a *ownAnswer) sendBody(cn *conn, req *Request) error {
	if req.Stream == nil {
		_, err := cn.Conn.Write(req.Body)
		return err
	}
	var w io.Writer = cn.Conn
	var chunks *chunkWriter
	if req.Length < 0 {
		chunks = &chunkWriter{w: cn.Conn}
		w = chunks
	}
	buf := make([]byte, 32<<10)
	left := req.Length
	p := req.Body
	for {
		if len(p) > 0 {
			if _, err := w.Write(p); err != nil {
				return err
			}
			left -= int64(len(p))
		}
		n, err := req.Stream.Read(buf)
		p = buf[:n]
		if n > 0 {
			continue
		}
		switch {
		case err == nil:
		case err == io.EOF && chunks == nil && left != 0:
			err = io.ErrUnexpectedEOF
			fallthrough
		case err != io.EOF:
			e := &Error{Kind: Body, Err: err}
			a.bodyErr.Store(e) // first, for the abort wakes those who ask for it
			cn.abort()
			return e
		case chunks != nil:
			return chunks.end()
		default:
			return nil
		}
	}
}

// chunkWriter writes each Write as one chunk (RFC 9112 section 7.1).
type chunkWriter struct {
	w   io.Writer
	buf []byte
}

func (c *chunkWriter) Write(p []byte) (int, error) {
	c.buf = strconv.AppendInt(c.buf[:0], int64(len(p)), 16)
	c.buf = append(c.buf, "\r\n"...)
	c.buf = append(c.buf, p...)
	c.buf = append(c.buf, "\r\n"...)
	if _, err := c.w.Write(c.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *chunkWriter) end() error {
	_, err := io.WriteString(c.w, "0\r\n\r\n")
	return err
}

// abort ends whatever waits on the connection, and tells the upstream.
func (cn *conn) abort() { cn.Conn.Close() }

func classify(err error, other Kind) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if isTimeout(err) {
		return &Error{Kind: Timeout, Err: err}
	}
	var p textproto.ProtocolError
	if other == Closed && (errors.As(err, &p) || errors.Is(err, errHeaderTooLong)) {
		other = Malformed
	}
	return &Error{Kind: other, Err: err}
}

// methods holds what http.ReadResponse must know of a request.
var methods = map[string]*http.Request{
	http.MethodGet:    {Method: http.MethodGet},
	http.MethodHead:   {Method: http.MethodHead},
	http.MethodPost:   {Method: http.MethodPost},
	http.MethodDelete: {Method: http.MethodDelete},
}
