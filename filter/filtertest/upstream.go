package filtertest

import (
	"bufio"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"antwort/filter/filtertest/vm"
)

var errUnreachable = errors.New("connection refused")

// writeBuffer is how much a handler can write without flushing before it is
// sent, as in net/http's server.
const writeBuffer = 4 << 10

// runUpstream calls the handler and turns what it does into upstream events.
func (st *stream) runUpstream(handler http.Handler, r *http.Request) {
	w := &upstreamWriter{st: st, request: r, header: http.Header{}, left: -1}
	w.chunker = chunker{split: st.host.opt.ResponseSplit, endWithData: st.host.opt.EndWithData, emit: w.emit}
	w.buffered = bufio.NewWriterSize(writerFunc(w.send), writeBuffer)
	defer func() {
		switch p := recover(); p {
		case nil:
			w.finish()
		case errUnreachable:
			st.host.w.Run(func() { st.upstreamFailed(http.StatusServiceUnavailable, textConnectFailure) })
		default: // http.ErrAbortHandler, or a handler that is broken
			if p != http.ErrAbortHandler { //nolint:errorlint // net/http wants this very value
				st.host.w.Logf("error", "upstream handler panicked: %v", p)
			}
			st.host.w.Run(st.upstreamReset)
		}
	}()
	handler.ServeHTTP(w, r)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// upstreamWriter is the ResponseWriter of the upstream handler. It adds what
// net/http's server adds: Date, a sniffed Content-Type, and Content-Length
// when the handler returns before anything was sent.
type upstreamWriter struct {
	st       *stream
	request  *http.Request
	header   http.Header
	status   int
	sent     bool // the headers have been sent
	buffered *bufio.Writer
	chunker  chunker
	trailers []string // announced by the header "Trailer"
	left     int64    // what Content-Length still allows; negative: no limit
	ended    bool
	gone     bool
}

func (w *upstreamWriter) Header() http.Header { return w.header }

func (w *upstreamWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *upstreamWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if w.gone {
		return 0, errCut
	}
	if w.request.Method == http.MethodHead {
		return len(p), nil
	}
	if _, ok := w.header["Content-Type"]; !ok && !w.sent && len(p) > 0 {
		w.header.Set("Content-Type", http.DetectContentType(p))
	}
	return w.buffered.Write(p)
}

// Flush sends what was written, in one chunk unless the response is split.
func (w *upstreamWriter) Flush() { _ = w.FlushError() }

func (w *upstreamWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	w.sendHeaders(false)
	_ = w.buffered.Flush()
	if !w.ended {
		w.chunker.flush()
	}
	w.st.client.drained(writeBuffer)
	if w.gone {
		return errCut
	}
	return nil
}

// EnableFullDuplex and the deadlines are there for http.ResponseController.
func (w *upstreamWriter) EnableFullDuplex() error          { return nil }
func (w *upstreamWriter) SetReadDeadline(time.Time) error  { return nil }
func (w *upstreamWriter) SetWriteDeadline(time.Time) error { return nil }

// send is the far end of the write buffer.
func (w *upstreamWriter) send(p []byte) (int, error) {
	w.sendHeaders(false)
	if w.left >= 0 {
		if int64(len(p)) > w.left {
			return 0, http.ErrContentLength
		}
		w.left -= int64(len(p))
	}
	w.chunker.write(p)
	if w.left == 0 {
		w.end()
	}
	w.st.client.drained(w.st.bufferLimit())
	if w.gone {
		return 0, errCut
	}
	return len(p), nil
}

func (w *upstreamWriter) sendHeaders(end bool) {
	if w.sent {
		return
	}
	w.sent = true
	h := &vm.HeaderMap{}
	h.Add(":status", strconv.Itoa(w.status))
	if _, ok := w.header["Date"]; !ok {
		w.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	for _, names := range w.header.Values("Trailer") {
		for name := range strings.SplitSeq(names, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	plain := w.header.Clone()
	for name := range plain {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			delete(plain, name)
		}
	}
	h.AddAll(plain)
	if _, ok := h.Get("content-length"); !ok && !end {
		h.Add("transfer-encoding", "chunked")
	}
	h.Add("x-envoy-upstream-service-time", "0")
	st := w.st
	if v, ok := h.Get("content-length"); ok && !end {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			w.left = n
		}
	}
	st.host.w.Run(func() {
		if w.gone = st.destroyed || st.response.headers != nil; w.gone {
			return
		}
		st.upstreamBegan = true
		st.response.onHeaders(h, end)
	})
}

// emit passes one chunk to the filter.
func (w *upstreamWriter) emit(p []byte, end bool) {
	st := w.st
	st.host.w.Run(func() {
		for st.response.full() && !st.destroyed {
			st.host.w.Wait()
		}
		if w.gone = w.gone || st.destroyed; !w.gone {
			st.response.onData(p, end)
		}
	})
}

// finish ends the response: the handler has returned.
func (w *upstreamWriter) finish() {
	w.WriteHeader(http.StatusOK)
	if !w.sent && w.header.Get("Trailer") == "" && len(w.trailerMap().Pairs) == 0 {
		if w.buffered.Buffered() == 0 {
			bodyless := w.status == http.StatusNoContent || w.status == http.StatusNotModified || w.request.Method == http.MethodHead
			if !bodyless && w.header.Get("Content-Length") == "" {
				w.header.Set("Content-Length", "0")
			}
			w.sendHeaders(true)
			return
		}
		if w.header.Get("Content-Length") == "" {
			w.header.Set("Content-Length", strconv.Itoa(w.buffered.Buffered()))
		}
	}
	w.sendHeaders(false)
	_ = w.buffered.Flush()
	if w.left > 0 { // fewer bytes than Content-Length says
		w.st.host.w.Run(w.st.upstreamReset)
		return
	}
	w.end()
}

// end brings the end of the stream, with trailers if there are any.
func (w *upstreamWriter) end() {
	if w.ended {
		return
	}
	w.ended = true
	trailers := w.trailerMap()
	if len(trailers.Pairs) == 0 {
		w.chunker.end()
		return
	}
	w.chunker.flush()
	st := w.st
	st.host.w.Run(func() {
		if !w.gone && !st.destroyed {
			st.response.onTrailers(trailers)
		}
	})
}

// trailerMap gives the trailers that are set, announced or by
// http.TrailerPrefix.
func (w *upstreamWriter) trailerMap() *vm.HeaderMap {
	h := http.Header{}
	for _, name := range w.trailers {
		if v, ok := w.header[name]; ok {
			h[name] = v
		}
	}
	for name, v := range w.header {
		if rest, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			h[rest] = v
		}
	}
	t := &vm.HeaderMap{}
	t.AddAll(h)
	return t
}
