package filtertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"
)

// callResponse is the answer to an HTTP call-out, which host calls reach while
// its callback runs.
type callResponse struct {
	headers, trailers *headerMap
	body              []byte
}

// hostHTTPCall: cluster, headers, body, trailers, time-out in milliseconds,
// where to store the call's token. The whole answer is gathered before the
// callback on the plugin's context.
func hostHTTPCall(c args) status {
	p := c.v.target().plugin
	cluster, headers, payload := c.string(0), unmarshal(c.bytes(2)), bytes.Clone(c.bytes(4))
	handler := p.host.opt.Clusters[cluster]
	path, okPath := headers.get(":path")
	method, okMethod := headers.get(":method")
	authority, okAuthority := headers.get(":authority")
	u, err := url.ParseRequestURI(path)
	if handler == nil || !okPath || !okMethod || !okAuthority || err != nil {
		return statusBadArgument
	}
	c.v.w.calls++
	token := c.v.w.calls << 2
	r := httptest.NewRequest(method, u.String(), bytes.NewReader(payload))
	r.Host, r.Header = authority, headers.header()
	go func() {
		answer := callOut(handler, r, time.Duration(c.u32(8))*time.Millisecond)
		p.host.w.run(func() { p.deliver(token, answer) })
	}()
	return c.return32(9, token)
}

// callOut asks the handler; a time-out and a broken handler are answered as
// Envoy's router does.
func callOut(handler http.Handler, r *http.Request, timeout time.Duration) *callResponse {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	done := make(chan *callResponse, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- ownAnswer(http.StatusServiceUnavailable, textReset)
			}
		}()
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r.WithContext(ctx))
		result := recorder.Result()
		answer := &callResponse{headers: &headerMap{}, trailers: &headerMap{}, body: recorder.Body.Bytes()}
		answer.headers.add(":status", fmt.Sprint(result.StatusCode))
		answer.headers.addAll(result.Header)
		answer.trailers.addAll(result.Trailer)
		done <- answer
	}()
	select {
	case answer := <-done:
		return answer
	case <-ctx.Done():
		return ownAnswer(http.StatusGatewayTimeout, textTimeout)
	}
}

func ownAnswer(code int, text string) *callResponse {
	return &callResponse{headers: newLocalReply(code, text, nil).headers, trailers: &headerMap{}, body: []byte(text)}
}

func (p *plugin) deliver(token uint32, answer *callResponse) {
	if p.host.closed {
		return
	}
	p.call = answer
	p.vm.event(p.context, "proxy_on_http_call_response", uint64(token),
		uint64(len(answer.headers.pairs)), uint64(len(answer.body)), uint64(len(answer.trailers.pairs)))
	p.call = nil
}
