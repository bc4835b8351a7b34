package filtertest

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"antwort/filter/filtertest/vm"
)

// stream is one request with its response: Envoy's active stream, with the
// filter manager, the Wasm stream context and the router of it. Everything in
// it happens under the worker's lock.
type stream struct {
	host    *Host
	vm      *vm.Instance
	context *vm.Context // nil: the request passes without the filter

	request, response side
	client            *pipe // to the client
	upstream          *pipe // to the upstream handler

	prepared      *localReply // sent once the request callback that caused it has returned
	headersSent   bool        // response headers have gone to the client
	encoded       bool        // the whole response has
	failClosed    bool        // there is no VM and requests must not pass without one
	failReplied   bool        // the VM has failed and 503 was sent
	logging       bool        // on_log runs: headers can be read once more
	destroyed     bool
	upstreamBegan bool // response headers came from the upstream
	cancel        context.CancelFunc
	upstreamCtx   context.Context
	timeout       *time.Timer
	properties    map[string]string // set_property
	noted         map[string]any    // dynamic metadata of filters in front
	incoming      *http.Request
}

var errCut = errors.New("stream was reset")

func (h *Host) newStream(r *http.Request) *stream {
	st := &stream{host: h, client: newPipe(), upstream: newPipe(), incoming: r}
	st.request = side{st: st, streaming: true, next: (*router)(st)}
	st.response = side{st: st, streaming: true, response: true, next: (*toClient)(st)}
	// r's own values stay out of what the upstream handler sees.
	st.upstreamCtx, st.cancel = context.WithCancel(context.Background())
	h.streams[st] = struct{}{}

	plugin := h.ready()
	switch {
	case plugin != nil:
		st.vm = plugin.vm
		st.context = st.vm.Stream(plugin.context, st)
	case h.opt.FailurePolicy == FailOpen:
	default:
		st.failClosed = true
	}
	return st
}

// http2Window is Envoy's default window of an HTTP/2 stream, in bytes. For
// HTTP/2 clients it, and not the connection's limit, bounds what is gathered.
const http2Window = 16 << 20

// bufferLimit is how much of a body may be gathered, in bytes; negative: all.
func (st *stream) bufferLimit() int {
	if st.incoming.ProtoMajor > 1 && st.host.opt.BufferLimit >= 0 {
		return http2Window
	}
	return st.host.opt.BufferLimit
}

// toClient sends the response on to the client.
type toClient stream

func (c *toClient) sendHeaders(h *vm.HeaderMap, end bool) {
	st := (*stream)(c)
	st.headersSent = true
	h = h.Clone()
	h.Set("server", "envoy")
	st.client.start(h, end)
	st.ended(end)
}

func (c *toClient) sendData(b []byte, end bool) {
	st := (*stream)(c)
	st.client.write(b, end)
	st.ended(end)
}

func (c *toClient) sendTrailers(t *vm.HeaderMap) {
	st := (*stream)(c)
	st.client.finish(t.Header())
	st.ended(true)
}

// ended destroys the stream once its response has gone to the client whole.
func (st *stream) ended(end bool) {
	if end && !st.encoded {
		st.encoded = true
		st.response.complete = true
		st.destroy()
	}
}

// reset cuts the stream towards the client.
func (st *stream) reset() {
	st.request.aborted = st.request.aborted || st.request.calls > 0
	st.response.aborted = st.response.aborted || st.response.calls > 0
	st.client.cut(errCut)
	st.destroy()
}

// destroy ends the stream: the filter's last callbacks, then the upstream's
// request is cancelled if it still runs.
func (st *stream) destroy() {
	if st.destroyed {
		return
	}
	st.destroyed = true
	if st.timeout != nil {
		st.timeout.Stop()
	}
	if c := st.context; c != nil {
		st.logging = true
		st.vm.Event(c, "proxy_on_log")
		st.logging = false
		st.vm.Event(c, "proxy_on_done")
		st.vm.Event(c, "proxy_on_delete")
		st.vm.Forget(c)
	}
	if !st.encoded {
		st.client.cut(errCut)
	}
	st.cancel()
	st.upstream.cut(errCut)
	delete(st.host.streams, st)
	st.host.w.Wake()
}

// wake tells readers that wait for a full buffer to look again.
func (st *stream) wake() { st.host.w.Wake() }

// localReply is an answer of the proxy's own.
type localReply struct {
	headers *vm.HeaderMap
	body    string
}

// newLocalReply builds what Envoy sends: the extra headers, content-length and
// content-type only with a body.
func newLocalReply(code int, body string, extra *vm.HeaderMap) *localReply {
	h := &vm.HeaderMap{}
	h.Add(":status", strconv.Itoa(code))
	if extra != nil {
		h.Pairs = append(h.Pairs, extra.Pairs...)
	}
	h.Remove("content-length")
	if body == "" {
		h.Remove("content-type")
	} else {
		h.Add("content-length", strconv.Itoa(len(body)))
		if _, ok := h.Get("content-type"); !ok {
			h.Add("content-type", "text/plain")
		}
	}
	return &localReply{headers: h, body: body}
}

// sendLocalReply answers for the upstream. Before there are response headers
// the reply passes the filter, after the running request callback. With
// response headers that have not left yet it goes straight to the client, and
// once they have left only a reset is possible.
func (st *stream) sendLocalReply(code int, body string, extra *vm.HeaderMap) {
	if st.destroyed {
		return
	}
	switch {
	case st.request.calls > 0:
		st.request.aborted = true
	case st.response.calls > 0:
		st.response.aborted = true
	}
	reply := newLocalReply(code, body, extra)
	switch {
	case st.response.headers == nil && st.request.calls > 0:
		if st.prepared == nil {
			st.prepared = reply
		}
	case st.response.headers == nil:
		st.encode(reply)
	case !st.headersSent:
		st.response.headers = reply.headers
		direct := (*toClient)(st)
		direct.sendHeaders(reply.headers, body == "")
		if body != "" {
			direct.sendData([]byte(body), true)
		}
	default:
		st.reset()
	}
}

func (st *stream) executePrepared() {
	if reply := st.prepared; reply != nil {
		st.prepared = nil
		st.encode(reply)
	}
}

func (st *stream) encode(reply *localReply) {
	st.response.onHeaders(reply.headers, reply.body == "")
	if reply.body != "" && !st.destroyed {
		st.response.onData([]byte(reply.body), true)
	}
}
