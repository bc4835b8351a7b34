package filter_test

import (
	"fmt"
	"net/http"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

func TestUpstreamErrors(t *testing.T) {
	vllm := func(status int, message string, header ...string) http.HandlerFunc {
		return gives(status, "application/json", `{"error":{"message":"`+message+`","type":"BadRequestError","param":null,"code":400}}`, header...)
	}
	type setup struct{ profile, key string }
	hosts := map[setup]*splitHost{}
	for _, profile := range profiles {
		for _, key := range []string{"null", `"sk-own"`} {
			cfg := config("vllm", profile)
			if key != "null" {
				cfg = config("vllm", profile, "engine.api_key", key)
			}
			hosts[setup{profile, key}] = startSplit(t, cfg)
		}
	}
	for _, c := range []struct {
		name       string
		answer     http.HandlerFunc
		ownKey     bool
		stream     bool
		status     int
		code       string
		message    string
		retryAfter string
	}{
		{name: "bad request", answer: vllm(400, "temperature must be positive"), status: 400, message: "temperature must be positive"},
		{name: "context overflow", answer: vllm(400, "This model's maximum context length is 10 tokens"), status: 400, code: "context_length_exceeded"},
		{name: "unknown model", answer: vllm(404, "The model m does not exist"), status: 404, code: "model_not_found"},
		{name: "too many requests", answer: vllm(429, "slow down", "Retry-After", "7"), status: 429, message: "slow down", retryAfter: "7"},
		{name: "too many requests, streamed", answer: vllm(429, "slow down", "Retry-After", "7"), stream: true, status: 429, message: "slow down", retryAfter: "7"},
		{name: "not available", answer: gives(503, "text/plain", "backend 10.0.0.1 down", "Retry-After", "3"), status: 503, code: "upstream_unavailable", retryAfter: "3"},
		{name: "internal error", answer: gives(500, "text/html", "<h1>Traceback</h1>"), status: 500, code: "upstream_error"},
		{name: "other 5xx", answer: gives(507, "text/plain", ""), status: 500, code: "upstream_error"},
		{name: "client's key refused", answer: gives(401, "application/json", `{"error":"Unauthorized"}`, "WWW-Authenticate", "Bearer"), status: 401, message: "Unauthorized"},
		{name: "own key refused", answer: gives(401, "application/json", `{"error":"Unauthorized"}`, "WWW-Authenticate", "Bearer"), ownKey: true, status: 502, code: "upstream_auth"},
		{name: "redirect", answer: gives(302, "text/plain", "elsewhere"), status: 502, code: "upstream_error"},
		{name: "no content", answer: gives(204, "", ""), status: 502, code: "upstream_error"},
		{name: "no body", answer: gives(400, "", ""), status: 400, message: "the model server refused the request"},
		{name: "200 without a body", answer: gives(200, "application/json", ""), status: 502, code: "upstream_invalid_answer"},
		{name: "not streamed", answer: gives(200, "text/plain", ""), stream: true, status: 502, code: "upstream_invalid_answer"},
		{name: "encoded answer", answer: gives(200, "application/json", "\x1f\x8b", "Content-Encoding", "gzip"), status: 502, code: "upstream_invalid_answer"},
	} {
		for _, profile := range profiles {
			for _, split := range []int{0, 1, 5} { // bytes in a chunk of the answer, 0: all
				t.Run(fmt.Sprintf("%s/%s/%d", c.name, profile, split), func(t *testing.T) {
					h := hosts[setup{profile, "null"}]
					if c.ownKey {
						h = hosts[setup{profile, `"sk-own"`}]
					}
					h.set(c.answer, split)
					body := hello
					if c.stream {
						body = helloStream
					}
					got := post(t, h.Host, body)
					require.Equal(t, c.status, got.status, got.body)
					e := errorOf(t, got.body)
					require.Equal(t, c.code, e.Code, got.body)
					if c.message != "" {
						require.Equal(t, c.message, e.Message)
					}
					require.Equal(t, c.retryAfter, got.header.Get("Retry-After"))
					require.Equal(t, "application/json", got.header.Get("Content-Type"))
					require.Empty(t, got.header.Get("WWW-Authenticate"))
					require.Empty(t, got.header.Get("Content-Encoding"))
					require.NotEmpty(t, got.header.Get("X-Request-Id"))
					require.NotContains(t, got.body, "10.0.0.1")
				})
			}
		}
	}
}

// What Envoy answers itself passes the filter's callbacks too.
func TestEnvoysOwnReplies(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	for _, c := range []struct {
		name     string
		upstream http.Handler
		option   func(*filtertest.Options)
		status   int
		code     string
	}{
		{name: "no connection", upstream: filtertest.Unreachable, status: 503, code: "upstream_unavailable"},
		{name: "reset before headers", upstream: newUpstream(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), status: 503, code: "upstream_unavailable"},
		{name: "time-out", upstream: newUpstream(hang), option: func(o *filtertest.Options) { o.RouteTimeout = 1e7 }, status: 504, code: "upstream_timeout"},
		{name: "no route", option: func(o *filtertest.Options) { o.Routes = []string{"/elsewhere"} }, status: 404},
		{name: "no route, said by Envoy", option: func(o *filtertest.Options) {
			o.Routes, o.Properties = []string{"/elsewhere"}, map[string]string{"response.code_details": "route_not_found"}
		}, status: 404, code: "no_route"},
	} {
		for _, provider := range []string{"vllm", "vllm-responses"} {
			for _, profile := range profiles {
				t.Run(c.name+"/"+provider+"/"+profile, func(t *testing.T) {
					h := start(t, config(provider, profile), c.upstream, func(o *filtertest.Options) {
						if c.option != nil {
							c.option(o)
						}
					})
					got := post(t, h, hello)
					require.False(t, got.cut)
					require.Equal(t, c.status, got.status)
					require.Equal(t, c.code, errorOf(t, got.body).Code)
					require.Equal(t, "application/json", got.header.Get("Content-Type"))
				})
			}
		}
	}
}

// A failure that the status can no longer tell is told by the response.
func TestFailuresBehindStatus200(t *testing.T) {
	for _, c := range []struct {
		name, body string
		answer     http.HandlerFunc
		code       string
	}{
		{"whole answer is not JSON", hello, gives(200, "application/json", "oops"), "upstream_invalid_answer"},
		{"whole answer is cut", hello, gives(200, "application/json", chatHello[:80]), "upstream_invalid_answer"},
		{"stream is empty", helloStream, streams(": nothing\n\n"), "upstream_cut"},
		{"stream begins with an error", helloStream, streams(`data: {"error":{"message":"no","code":503}}` + "\n\n"), "upstream_unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := post(t, start(t, config("vllm", "inline"), newUpstream(c.answer)), c.body)
			require.Equal(t, 200, got.status)
			require.Contains(t, got.body, `"status":"failed"`)
			require.Contains(t, got.body, `"error":{"code":"`+c.code+`"`)

			got = post(t, start(t, config("vllm", "gated"), newUpstream(c.answer)), c.body)
			require.GreaterOrEqual(t, got.status, 500)
			require.Equal(t, c.code, errorOf(t, got.body).Code)
		})
	}
}
