package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/shared/policy"
)

// room is a backend of either API whose answers wait until they are let go.
type room struct {
	came         chan struct{} // one for each request that is inside
	leave        chan struct{}
	inside, most atomic.Int64
}

func (r *room) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body) // what did not come is not answered
	if req.Method != http.MethodPost {
		return
	}
	n := r.inside.Add(1)
	defer r.inside.Add(-1)
	for most := r.most.Load(); n > most && !r.most.CompareAndSwap(most, n); most = r.most.Load() {
	}
	r.came <- struct{}{}
	<-r.leave
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
}

// Envoy's circuit breakers keep to max_requests, of all workers together, and whoever is
// refused is told so in the words of antwort serve.
func TestRequestsAtOnce(t *testing.T) {
	for _, run := range []struct{ provider, profile string }{{"vllm", "gated"}, {"vllm-responses", "inline"}} {
		t.Run(run.provider+" "+run.profile, func(t *testing.T) {
			r := &room{came: make(chan struct{}, 100), leave: make(chan struct{})}
			backend := httptest.NewServer(r)
			t.Cleanup(backend.Close)
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s, backend_url: %q, max_requests: 5}\nlimits: {max_requests: 3}\nfilter: {profile: %s}\n",
				run.provider, backend.URL, run.profile)).Ready()
			const body = `{"model":"m","input":"x"}`
			answers := make(chan int, 100)
			ask := func() {
				resp, err := http.Post(g.URL+"/v1/responses", "application/json", strings.NewReader(body))
				if assert.NoError(t, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					answers <- resp.StatusCode
				}
			}
			for range 3 {
				go ask()
				<-r.came
			}
			for range 8 { // of both workers
				got := post(t, g.URL+"/v1/responses", body)
				require.Equal(t, http.StatusServiceUnavailable, got.status)
				assert.Equal(t, string(policy.Full().AppendBody(nil)), got.body)
				assert.Equal(t, []string{"1"}, got.header["Retry-After"])
				assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			}
			for range 3 {
				r.leave <- struct{}{}
				assert.Equal(t, http.StatusOK, <-answers)
			}
			go ask()
			<-r.came
			r.leave <- struct{}{}
			assert.Equal(t, http.StatusOK, <-answers, "there is room again")
			assert.EqualValues(t, 3, r.most.Load())
			assert.Contains(t, get(t, g.URL+"/metrics").body, `antwort_failures_total{kind="overloaded"} 8`)
		})
	}
}
