package conformance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// Exchange is one request through the proxy.
type Exchange struct {
	Name   string
	Setup  Setup
	Script string // of the script plugin

	HTTP2      bool     // HTTP/2 with prior knowledge; HTTP/1.1 otherwise
	Chunks     []string // the request's body; the next waits until the filter has seen it. None: GET
	Blind      bool     // the filter gets no body callbacks: do not wait
	Sized      bool     // send Content-Length instead of chunked encoding
	Trailers   string   // "name: value"
	Arrives    bool     // after the first chunk wait until the upstream has the request's headers
	Meanwhile  string   // after the first chunk another request with this script comes and goes
	WaitFor    string   // before the request's end wait until the filter has logged this
	AbortAfter string   // the client goes away when the filter has logged this, or (Arrived) when the upstream has the request
	Open       bool     // the request is never ended: what is awaited comes before
	Answer     Answer

	Kills    bool   // the VM fails: the stream's last callbacks do not come
	Revives  bool   // but those of the request after it do
	AnySizes bool   // how the bodies are cut is the network's choice
	Then     string // afterwards a request without a script: what the client gets is appended, under this heading
}

// Arrived as Exchange.AbortAfter stands for the request's arrival at the
// upstream.
const Arrived = "arrived"

// exchange sends the request and gives what the client received. The client
// goes away with leave: one that went as soon as it had the body that
// Content-Length says would race the end of the stream.
func (x Exchange) exchange(r *record) (got string, leave func()) {
	if x.HTTP2 {
		got, leave = x.http2(r)
	} else {
		got, leave = x.http1(r)
	}
	if x.Then != "" {
		got += x.Then + ": " + r.request("")
	}
	return got, leave
}

func (x Exchange) method() string {
	if x.Chunks == nil {
		return http.MethodGet
	}
	return http.MethodPost
}

// send writes the body's chunks in step with the filter, and calls end. The
// error is that of a wait.
func (x Exchange) send(r *record, write func(string) error, end func() error) error {
	filter := r.watch(r.ctx)
	if err := filter.await("request_headers"); err != nil {
		return err
	}
	for i, c := range x.Chunks {
		if err := write(c); err != nil {
			return nil // the proxy has answered and closed: the client will read why
		}
		if x.Blind {
			continue
		}
		if err := filter.await("request_body"); err != nil {
			return fmt.Errorf("chunk %d: %w", i+1, err)
		}
		if x.Meanwhile != "" && i == 0 {
			r.request(x.Meanwhile)
		}
		if x.Arrives && i == 0 {
			if err := r.event(Arrived); err != nil {
				return err
			}
		}
	}
	if x.WaitFor != "" {
		if err := filter.await(x.WaitFor); err != nil {
			return err
		}
	}
	if !x.Open && x.AbortAfter == "" {
		_ = end()
	}
	return nil
}

// http1 speaks HTTP/1.1 byte by byte: every chunk of the body is one write.
func (x Exchange) http1(r *record) (got string, leave func()) {
	conn, err := net.Dial("tcp", r.proxy.Addr())
	if err != nil {
		return err.Error() + "\n", func() {}
	}
	stop := context.AfterFunc(r.ctx, func() { _ = conn.Close() })
	leave = func() {
		stop()
		_ = conn.Close()
	}

	var head strings.Builder
	fmt.Fprintf(&head, "%s /path HTTP/1.1\r\nhost: example.com\r\nx-case: %s\r\nx-script: %s\r\n", x.method(), x.Name, x.Script)
	switch {
	case x.Chunks == nil:
	case x.Sized:
		fmt.Fprintf(&head, "content-length: %d\r\n", len(strings.Join(x.Chunks, "")))
	default:
		head.WriteString("transfer-encoding: chunked\r\n")
	}
	head.WriteString("\r\n")
	if _, err := io.WriteString(conn, head.String()); err != nil {
		return err.Error() + "\n", leave
	}
	sent := make(chan error, 2)
	go func() {
		sent <- x.send(r, func(c string) error {
			if !x.Sized {
				c = fmt.Sprintf("%x\r\n%s\r\n", len(c), c)
			}
			_, err := io.WriteString(conn, c)
			return err
		}, func() error {
			if x.Chunks == nil || x.Sized {
				return nil
			}
			_, err := io.WriteString(conn, "0\r\n\r\n")
			return err
		})
	}()
	if x.AbortAfter != "" {
		err := errors.Join(<-sent, r.event(x.AbortAfter))
		_ = conn.Close()
		return went(err), leave
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: x.method()}) //nolint:bodyclose // received closes it
	return x.received(response, err, sent), leave
}

// http2 speaks HTTP/2 by net/http's client, which sends every write of the
// body as a DATA frame and the end in an empty one.
func (x Exchange) http2(r *record) (got string, leave func()) {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	ctx, cancel := context.WithCancel(r.ctx)
	leave = func() {
		cancel()
		transport.CloseIdleConnections()
	}

	var body io.Reader
	pipe, in := io.Pipe()
	if x.Chunks != nil {
		body = pipe
	}
	request, err := http.NewRequestWithContext(ctx, x.method(), "http://"+r.proxy.Addr()+"/path", body)
	if err != nil {
		return err.Error() + "\n", leave
	}
	request.Header.Set("x-case", x.Name)
	request.Header.Set("x-script", x.Script)
	name, value, _ := strings.Cut(x.Trailers, ": ")
	if name != "" {
		request.Trailer = http.Header{http.CanonicalHeaderKey(name): nil}
	}
	sent := make(chan error, 2)
	go func() {
		sent <- x.send(r, func(c string) error {
			_, err := io.WriteString(in, c)
			return err
		}, func() error {
			if name != "" {
				request.Trailer.Set(name, value)
			}
			return in.Close()
		})
		if x.AbortAfter != "" {
			sent <- r.event(x.AbortAfter)
			cancel()
		}
	}()
	response, err := transport.RoundTrip(request)
	if x.AbortAfter != "" {
		if err == nil { // response headers came: read until the abort
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close() // it was cut
		}
		return went(errors.Join(<-sent, <-sent)), leave
	}
	return x.received(response, err, sent), leave
}

func went(err error) string {
	if err != nil {
		return "never went away: " + err.Error() + "\n"
	}
	return "went away\n"
}

// received describes a response.
func (x Exchange) received(response *http.Response, err error, sent <-chan error) string {
	if err != nil {
		return "no response" + waited(sent) + "\n"
	}
	defer func() { _ = response.Body.Close() }()
	b, err := io.ReadAll(response.Body)
	got := fmt.Sprintf("%d length=%d%s body=%s", response.StatusCode, response.ContentLength, fields(response.Header), short(string(b)))
	if err != nil {
		got += " (cut)"
	}
	return got + fields(response.Trailer) + waited(sent) + "\n"
}

// waited tells of a wait for the filter that has failed.
func waited(sent <-chan error) string {
	select {
	case err := <-sent:
		if err != nil {
			return " (" + err.Error() + ")"
		}
	default:
	}
	return ""
}

// request makes another request and gives the status and the body.
func (r *record) request(script string) string {
	request, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "http://"+r.proxy.Addr()+"/again", nil)
	if err != nil {
		return err.Error() + "\n"
	}
	if script != "" {
		request.Header.Set("x-script", script)
	}
	// Its connection stays until the record is complete: one that closed with the
	// body's last byte could come before the stream's end.
	transport := &http.Transport{}
	context.AfterFunc(r.ctx, transport.CloseIdleConnections)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "no response\n"
	}
	defer func() { _ = response.Body.Close() }()
	b, _ := io.ReadAll(response.Body)
	return fmt.Sprintf("%d %s\n", response.StatusCode, short(string(b)))
}
