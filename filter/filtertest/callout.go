package filtertest

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"time"

	"antwort/filter/filtertest/vm"
)

// Call begins an HTTP call-out. The whole answer is gathered before the callback
// on the plugin's context.
func (p *plugin) Call(cluster string, headers *vm.HeaderMap, payload []byte, timeout time.Duration, token uint32) bool {
	handler := p.host.opt.Clusters[cluster]
	path, okPath := headers.Get(":path")
	method, okMethod := headers.Get(":method")
	authority, okAuthority := headers.Get(":authority")
	u, err := url.ParseRequestURI(path)
	if handler == nil || !okPath || !okMethod || !okAuthority || err != nil {
		return false
	}
	r := httptest.NewRequest(method, u.String(), bytes.NewReader(payload))
	r.Host, r.Header = authority, headers.Header()
	go func() {
		answer := callOut(handler, r, timeout)
		p.host.w.Run(func() { p.deliver(token, answer) })
	}()
	return true
}

// callOut asks the handler; a time-out and a broken handler are answered as
// Envoy's router does.
func callOut(handler http.Handler, r *http.Request, timeout time.Duration) *vm.Answer {
	ctx := context.Background()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	done := make(chan *vm.Answer, 1)
	go func() {
		defer func() {
			if recover() != nil {
				done <- ownAnswer(http.StatusServiceUnavailable, textReset)
			}
		}()
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r.WithContext(ctx))
		result := recorder.Result()
		answer := &vm.Answer{Headers: &vm.HeaderMap{}, Trailers: &vm.HeaderMap{}, Body: recorder.Body.Bytes()}
		answer.Headers.Add(":status", fmt.Sprint(result.StatusCode))
		answer.Headers.AddAll(result.Header)
		answer.Trailers.AddAll(result.Trailer)
		done <- answer
	}()
	select {
	case answer := <-done:
		return answer
	case <-ctx.Done():
		return ownAnswer(http.StatusGatewayTimeout, textTimeout)
	}
}

func ownAnswer(code int, text string) *vm.Answer {
	return &vm.Answer{Headers: newLocalReply(code, text, nil).headers, Trailers: &vm.HeaderMap{}, Body: []byte(text)}
}

func (p *plugin) deliver(token uint32, answer *vm.Answer) {
	if p.host.closed {
		return
	}
	p.answer = answer
	p.vm.Event(p.context, "proxy_on_http_call_response", uint64(token),
		uint64(len(answer.Headers.Pairs)), uint64(len(answer.Body)), uint64(len(answer.Trailers.Pairs)))
	p.answer = nil
}
