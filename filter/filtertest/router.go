package filtertest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"antwort/filter/filtertest/vm"
)

// Unreachable is an upstream that refuses connections.
var Unreachable http.Handler = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(errUnreachable) })

const (
	textConnectFailure = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure"
	textReset          = "upstream connect error or disconnect/reset before headers. reset reason: connection termination"
	textBroken         = "upstream connect error or disconnect/reset before headers. reset reason: protocol error"
	textTimeout        = "upstream request timeout"
)

// router is the filter chain's end: it sends the request to the upstream.
type router stream

func (r *router) sendHeaders(h *vm.HeaderMap, end bool) {
	st := (*stream)(r)
	path, _ := h.Get(":path")
	if !st.host.routed(path) {
		st.sendLocalReply(http.StatusNotFound, "", nil)
		return
	}
	request, err := st.upstreamRequest(h, end)
	if err != nil {
		st.sendLocalReply(http.StatusBadRequest, "", nil)
		return
	}
	st.upstream.start(h, end)
	go st.runUpstream(st.host.opt.Upstream, request)
	if end {
		st.startTimeout()
	}
}

func (r *router) sendData(b []byte, end bool) {
	st := (*stream)(r)
	st.upstream.write(b, end)
	if end {
		st.startTimeout()
	}
}

func (r *router) sendTrailers(t *vm.HeaderMap) {
	st := (*stream)(r)
	st.upstream.finish(t.Header())
	st.startTimeout()
}

func (h *Host) routed(path string) bool {
	for _, prefix := range h.opt.Routes {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return len(h.opt.Routes) == 0
}

// upstreamRequest turns the header map into what the handler gets.
func (st *stream) upstreamRequest(h *vm.HeaderMap, end bool) (*http.Request, error) {
	method, _ := h.Get(":method")
	path, _ := h.Get(":path")
	authority, _ := h.Get(":authority")
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, err
	}
	request := (&http.Request{
		Method: method, URL: u, RequestURI: path, Host: authority,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h.Header(), Body: http.NoBody, RemoteAddr: st.incoming.RemoteAddr,
	}).WithContext(st.upstreamCtx)
	if end {
		return request, nil
	}
	request.ContentLength = -1
	if v, ok := h.Get("content-length"); ok {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			request.ContentLength = n
		}
	}
	st.upstream.left = request.ContentLength
	request.Body = &body{pipe: st.upstream, request: request}
	return request, nil
}

// startTimeout starts the route's time-out: the request has been sent whole.
func (st *stream) startTimeout() {
	if st.host.opt.RouteTimeout < 0 || st.destroyed {
		return
	}
	st.timeout = time.AfterFunc(st.host.opt.RouteTimeout, func() {
		st.host.w.Run(func() { st.upstreamFailed(http.StatusGatewayTimeout, textTimeout) })
	})
}

// upstreamFailed ends a stream whose upstream will not finish its response: by
// a local reply while no response headers have left, else by a reset.
func (st *stream) upstreamFailed(code int, text string) {
	if st.response.headers == nil || st.upstreamBegan {
		st.sendLocalReply(code, text, nil)
	}
}

// upstreamReset is the end of the upstream's connection before its time.
func (st *stream) upstreamReset() {
	if st.upstreamBegan {
		st.upstreamFailed(http.StatusBadGateway, textBroken)
	} else {
		st.upstreamFailed(http.StatusServiceUnavailable, textReset)
	}
}
