package filtertest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"antwort/filter/filtertest/vm"
)

// ServeHTTP is the listener's side of a stream: it reads the request into the
// filter and writes what comes out to the client.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 has it anyway

	end := r.ContentLength == 0
	var st *stream
	h.w.Run(func() {
		st = h.newStream(r)
		st.request.onHeaders(h.requestHeaders(r), end)
	})
	gone := func() { h.w.Run(func() { st.clientGone() }) }
	stop := context.AfterFunc(r.Context(), gone)
	defer stop()

	read := make(chan struct{})
	go func() {
		defer close(read)
		if !end && !st.readBody(r) {
			gone()
		}
	}()
	if !st.writeResponse(w, control) {
		panic(http.ErrAbortHandler) // cuts the connection, or the HTTP/2 stream
	}
	select {
	case <-read:
	default: // the response ended first: give a client that has sent everything the time to be read
		_ = control.SetReadDeadline(time.Now().Add(linger))
		<-read
		_ = control.SetReadDeadline(time.Time{})
	}
}

// linger is how long a request that nobody wants any more may take to end
// before its connection is closed.
const linger = 100 * time.Millisecond

func (st *stream) clientGone() {
	if !st.destroyed {
		st.reset()
	}
}

// readBody reads the request's body and trailers into the filter. It is false
// if the client went away. What was read at once is handed over in one turn of the
// worker, as Envoy does it: the last bytes of a body with a length, and its end.
func (st *stream) readBody(r *http.Request) bool {
	w := st.host.w
	c := chunker{split: st.host.opt.RequestSplit, endWithData: st.host.opt.EndWithData}
	c.emit = func(p []byte, end bool) {
		for st.request.full() && !st.destroyed {
			w.Wait()
		}
		if !st.destroyed {
			st.request.onData(p, end)
		}
	}
	turn := func(f func()) {
		w.Run(f)
		st.upstream.drained(st.bufferLimit())
	}
	left := r.ContentLength // -1: not known
	buf := make([]byte, 16<<10)
	for {
		n, err := r.Body.Read(buf)
		left -= int64(n)
		if n > 0 {
			turn(func() {
				c.write(append([]byte(nil), buf[:n]...))
				if left == 0 {
					c.end()
				}
			})
		}
		switch {
		case left == 0 && r.ContentLength > 0:
			return true
		case err == io.EOF && len(r.Trailer) > 0 && r.ProtoMajor > 1: // Envoy drops those of HTTP/1
			trailers := &vm.HeaderMap{}
			trailers.AddAll(r.Trailer)
			turn(func() {
				c.flush()
				if !st.destroyed {
					st.request.onTrailers(trailers)
				}
			})
			return true
		case err == io.EOF:
			turn(c.end)
			return true
		case err != nil:
			return false
		}
	}
}

// writeResponse writes what the filter lets through. It is false if the
// stream was cut.
func (st *stream) writeResponse(w http.ResponseWriter, control *http.ResponseController) bool {
	h, bodyless, err := st.client.await()
	if err != nil {
		return false
	}
	header := w.Header()
	for name, values := range h.Header() {
		header[name] = values
	}
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil // or net/http guesses one
	}
	status := 0
	if v, ok := h.Get(":status"); ok {
		_, _ = fmt.Sscan(v, &status)
	}
	if status < 200 || status > 999 {
		return false
	}
	w.WriteHeader(status)
	if bodyless {
		return true
	}
	_ = control.Flush()
	for {
		b, err := st.client.next()
		if errors.Is(err, io.EOF) {
			if st.incoming.ProtoMajor > 1 {
				for name, values := range st.client.trailers {
					header[http.TrailerPrefix+name] = values
				}
			}
			return true
		}
		if err != nil {
			return false
		}
		if _, err := w.Write(b); err != nil && !errors.Is(err, http.ErrBodyNotAllowed) {
			return false
		}
		_ = control.Flush()
	}
}

var requestIDs atomic.Uint64

// requestHeaders builds the request's header map as Envoy's HTTP connection
// manager leaves it for the first filter.
func (h *Host) requestHeaders(r *http.Request) *vm.HeaderMap {
	m := &vm.HeaderMap{}
	m.Add(":authority", r.Host)
	m.Add(":path", r.RequestURI)
	m.Add(":method", r.Method)
	m.Add(":scheme", "http")
	m.AddAll(r.Header)
	if r.ContentLength > 0 {
		m.Set("content-length", fmt.Sprint(r.ContentLength))
	}
	m.Add("x-forwarded-proto", "http")
	if _, ok := m.Get("x-request-id"); !ok {
		m.Add("x-request-id", fmt.Sprintf("00000000-0000-4000-8000-%012x", requestIDs.Add(1)))
	}
	return m
}
