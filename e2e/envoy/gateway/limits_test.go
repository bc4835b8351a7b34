package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"time"

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
			assert.Contains(t, get(t, g.URL+"/metrics").body, `antwort_failures_total{provider="`+run.provider+`",kind="overloaded"} 8`)
		})
	}
}

// Who is refused by the rate limit keeps the connection: it is told when to ask again, and
// need not connect anew for that. So is one whose request comes in pieces.
func TestARefusalKeepsTheConnection(t *testing.T) {
	backend := httptest.NewServer(&arrivals{})
	t.Cleanup(backend.Close)
	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: %q}\nfilter: {profile: %s}\n"+
				"limits:\n  rules: [{name: all, requests_per_minute: 1}]\n", backend.URL, profile)).Ready()
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			t.Cleanup(client.CloseIdleConnections)
			asked, connections := 0, 0
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) {
				if !c.Reused {
					connections++
				}
			}})
			for _, pieces := range []bool{false, true, false, true} {
				var body io.Reader = strings.NewReader(`{"model":"m","input":"x"}`)
				if pieces {
					body = io.MultiReader(strings.NewReader(`{"model":"m",`), strings.NewReader(`"input":"x"} `)) // of no announced length
				}
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.URL+"/v1/responses", body)
				require.NoError(t, err)
				req.Header.Set("Content-Type", "application/json")
				resp, err := client.Do(req)
				got := read(t, resp, err)
				if asked++; asked > 1 {
					require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
				} else {
					require.Equal(t, http.StatusOK, got.status, got.body)
				}
				require.False(t, resp.Close)
			}
			require.Equal(t, 1, connections)
		})
	}
}

// Envoy's rate limit keeps to requests a minute, exactly and of all workers together, and
// tells of it in the words of the API. Others are let through, and what a client says of
// itself changes nothing.
func TestRequestsAMinute(t *testing.T) {
	const ofTeam, ofModel = 30, 5
	for _, run := range []struct{ provider, profile string }{{"vllm", "gated"}, {"vllm-responses", "inline"}} {
		t.Run(run.provider+" "+run.profile, func(t *testing.T) {
			up := &arrivals{release: make(chan struct{})}
			backend := httptest.NewServer(up)
			t.Cleanup(backend.Close)
			models := ""
			if run.profile == "gated" {
				models = fmt.Sprintf(", {name: models, per: [subject, model], match: {models: ['large*']}, requests_per_minute: %d}", ofModel)
			}
			g := gateway.Start(t, fmt.Sprintf(`server: {host: 127.0.0.1, port: 0}
engine: {provider: %s, backend_url: %q}
filter: {profile: %s}
auth:
  type: api_key
  api_keys:
  - {key_env: KEY_A, subject: alice, tenant: team-a}
  - {key_env: KEY_B, subject: bob, tenant: team-a}
  - {key_env: KEY_C, subject: carol, tenant: team-c}
  - {key_env: KEY_D, subject: dave}
  - {key_env: KEY_E, subject: eve}
limits:
  rules: [{name: free, per: [tenant], match: {subjects: [carol]}}, {name: tenants, per: [tenant], requests_per_minute: %d}%s]
`, run.provider, backend.URL, run.profile, ofTeam, models), "KEY_A=key-a-2f9a41c7", "KEY_B=key-b-2f9a41c7", "KEY_C=key-c-2f9a41c7", "KEY_D=key-d-2f9a41c7", "KEY_E=key-e-2f9a41c7").Ready()
			ask := func(key, model string, more ...string) answer {
				req, err := http.NewRequest(http.MethodPost, g.URL+"/v1/responses", strings.NewReader(fmt.Sprintf(`{"model":%q,"input":"x"}`, model)))
				require.NoError(t, err)
				req.Header.Set("Authorization", "Bearer key-"+key+"-2f9a41c7")
				req.Header.Set("Content-Type", "application/json")
				for i := 0; i+1 < len(more); i += 2 {
					req.Header.Set(more[i], more[i+1])
				}
				resp, err := http.DefaultClient.Do(req)
				return read(t, resp, err)
			}
			// parallel asks with both keys of a team, and counts who is let through.
			began := time.Now()
			var passed, refused atomic.Int64
			atOnce(3*ofTeam, 16, func(i int) {
				switch got := ask(string("ab"[i%2]), "m"); got.status {
				case http.StatusOK:
					passed.Add(1)
				case http.StatusTooManyRequests:
					refused.Add(1)
				default:
					t.Errorf("status %d: %s", got.status, got.body)
				}
			})
			grown := int64(time.Since(began).Minutes()*ofTeam) + 1
			assert.GreaterOrEqual(t, passed.Load(), int64(ofTeam))
			assert.LessOrEqual(t, passed.Load(), ofTeam+grown)
			assert.EqualValues(t, 3*ofTeam, passed.Load()+refused.Load())

			got := ask("a", "m", "X-Antwort-Tenant", "other", "X-Antwort-Subject", "other", "X-Antwort-Key", "other", "X-Antwort-Model", "other", "X-RateLimit-Limit", "1000000")
			for ; got.status == http.StatusOK; got = ask("a", "m") { // time has passed
			}
			require.Equal(t, http.StatusTooManyRequests, got.status)
			wait := got.header.Get("Retry-After")
			assert.Regexp(t, "^[123]$", wait)
			assert.Equal(t, fmt.Sprintf(`{"error":{"message":"rate limit reached: %d requests per minute, %d used; try again in %ss","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, ofTeam, ofTeam, wait), got.body)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			assert.Equal(t, fmt.Sprint(ofTeam), got.header.Get("X-Ratelimit-Limit-Requests"))
			assert.Equal(t, "0", got.header.Get("X-Ratelimit-Remaining-Requests"))
			assert.Equal(t, "1m0s", got.header.Get("X-Ratelimit-Reset-Requests"))
			assert.Empty(t, got.header.Get("X-Ratelimit-Limit"))

			up.take()
			for _, key := range []string{"c", "d", "e"} { // one of another rule, and two who have no tenant
				got := ask(key, "m")
				require.Equal(t, http.StatusOK, got.status, got.body)
				if key != "c" {
					assert.Equal(t, fmt.Sprint(ofTeam-1), got.header.Get("X-Ratelimit-Remaining-Requests"), key)
				}
			}
			for _, h := range up.take() {
				assert.Empty(t, h.Get("X-Antwort-Key"), "it is none of the backend's business")
				assert.Empty(t, h.Get("X-Antwort-Model"))
			}
			if models != "" {
				for range ofModel {
					require.Equal(t, http.StatusOK, ask("c", "large-1").status)
				}
				got := ask("c", "large-1")
				for ; got.status == http.StatusOK; got = ask("c", "large-1") { // time has passed
				}
				require.Equal(t, http.StatusTooManyRequests, got.status)
				assert.Equal(t, http.StatusOK, ask("c", "large-2").status, "of each model")
				assert.Equal(t, http.StatusOK, ask("c", "m").status)
			}
			assert.Contains(t, get(t, g.URL+"/metrics").body, `antwort_failures_total{provider="`+run.provider+`",kind="rate_limited"}`)
		})
	}
}
