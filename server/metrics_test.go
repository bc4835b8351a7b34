package server

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// metric is the sum of the samples with a name whose labels contain all words.
func metric(t *testing.T, r *running, name string, words ...string) float64 {
	t.Helper()
	sum := 0.0
next:
	for line := range strings.Lines(r.call("GET", "/metrics", "").body) {
		if !strings.HasPrefix(line, name+"{") && !strings.HasPrefix(line, name+" ") {
			continue
		}
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		require.NoError(t, err)
		sum += n
	}
	return sum
}

// recorded waits until all that has been answered is counted, and settled with its limits: a
// client may have the last bytes of a stream, or of a turn over a WebSocket, before.
func recorded(t *testing.T, all ...*running) {
	t.Helper()
	for _, r := range all {
		require.Eventually(t, func() bool {
			return metric(t, r, "antwort_requests_in_flight")-metric(t, r, "antwort_websocket_connections") == 1
		}, guard, time.Millisecond, "something is in flight beside the scrape")
	}
}

func TestMetrics(t *testing.T) {
	_, llm := mock(t, mockllm.Options{Tokens: 7})
	back := start(t, config.VLLM, llm)
	front := back.front()
	ready(t, front)
	back.log.waitFor(t, "upstream answers") // and its models are known
	require.Equal(t, 200, front.post(`{"model":"/mnt/models","input":"hi"}`).status)
	require.Equal(t, 200, front.post(`{"model":"/mnt/models","input":"hi","stream":true}`).status)
	require.Equal(t, 400, front.post(`{`).status)
	require.Equal(t, 404, front.call("GET", "/nowhere", "").status)
	recorded(t, back, front)
	for _, r := range []*running{back, front} {
		p := `provider="` + string(r.first.cfg.Engine.Provider) + `"`
		require.EqualValues(t, 2, metric(t, r, "antwort_requests_total", p, `endpoint="/v1/responses"`, `code="200"`))
		require.EqualValues(t, 1, metric(t, r, "antwort_requests_total", p, `code="400"`))
		require.EqualValues(t, 2*8, metric(t, r, "antwort_tokens_total", p, `kind="output"`, `model="/mnt/models"`)+metric(t, r, "antwort_tokens_total", p, `kind="output"`, `model="other"`))
		require.EqualValues(t, 1, metric(t, r, "antwort_first_event_seconds_count", p))
		require.EqualValues(t, 1, metric(t, r, "antwort_request_duration_seconds_count", `stream="true"`))
		require.EqualValues(t, 0, metric(t, r, "antwort_streams_in_flight"))
		require.EqualValues(t, 1, metric(t, r, "antwort_requests_in_flight"), "only the scrape itself")
		require.Positive(t, metric(t, r, "go_goroutines"))
	}
	require.EqualValues(t, 1, metric(t, front, "antwort_requests_total", `endpoint="unknown"`, `code="404"`))
	require.EqualValues(t, 2*8, metric(t, back, "antwort_tokens_total", `kind="output"`, `model="/mnt/models"`))
}

// An error that a backend answers is a failure in every tier that it goes through, whether
// it is translated or passes as it came.
func TestErrorsThatPassAreFailures(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm, func(c *config.Config) { c.Websocket.Enabled = false })
	front := back.front(func(c *config.Config) { c.Engine.Pass = []string{"chat/completions"} })
	middle := front.front()
	tiers := []*running{back, front, middle}
	ready(t, middle)
	failures := func(r *running) float64 {
		return metric(t, r, "antwort_failures_total", `kind="upstream_status"`)
	}
	for n, status := range []int{429, 500, 503} {
		got := middle.post(fmt.Sprintf(`{"model":"/mnt/models","stream":%t,"input":"mock: status=%d"}`, n == 1, status))
		require.Equal(t, status, got.status)
		recorded(t, tiers...)
		for i, r := range tiers {
			require.EqualValues(t, 1+n, failures(r), "tier %d, %d", i, status)
			require.EqualValues(t, 1+n, metric(t, r, "gen_ai_server_request_duration_seconds_count", `error_type="upstream_status"`))
			require.Zero(t, metric(t, r, "gen_ai_server_request_duration_seconds_count", `error_type=""`))
			require.Equal(t, "upstream_status", r.log.waitFor(t, `"msg":"request"`, fmt.Sprintf(`"status":%d`, status))["failure"])
		}
	}
	before := failures(front)
	require.Equal(t, 404, front.call("GET", "/v1/responses/resp_none", "").status)
	require.Equal(t, 404, front.call("POST", "/v1/chat/completions", `{"model":"m","messages":[]}`).status, "the backend has no such endpoint")
	require.Equal(t, 426, front.call("GET", "/v1/responses", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "MDEyMzQ1Njc4OWFiY2RlZg==").status, "it has no WebSocket")
	require.Equal(t, 200, middle.post(`{"model":"/mnt/models","input":"hi"}`).status)
	recorded(t, tiers...)
	require.Equal(t, before+3, failures(front))
}

// What antwort envoy counts of itself, antwort serve counts too.
func TestMetricsOfTheProgram(t *testing.T) {
	r := startWith(t, Options{Version: "v1.2.3"}, config.VLLM, upstreamOf(t, &arrivals{}))
	require.EqualValues(t, 1, metric(t, r, "antwort_build_info", `version="v1.2.3"`, `go="go`))
	require.Contains(t, r.call("GET", "/metrics", "").body, `antwort_config_reloads_total{provider="vllm",result="refused"} 0`)
}

// Clients cannot make labels up.
func TestMetricLabelsAreBounded(t *testing.T) {
	llm := upstreamOf(t, chats(answering200))
	r := start(t, config.VLLM, llm)
	ready(t, r)
	for i := range 50 {
		n := strconv.Itoa(i)
		require.Equal(t, 200, r.post(`{"model":"made-up-`+n+`","input":"hi"}`).status)
		r.call("GET", "/v1/"+n, "")
		r.call("GET", "/v1/responses/resp_"+n, "")
		r.call("X"+n, "/v1/responses", "")
	}
	require.EqualValues(t, 100, metric(t, r, "antwort_tokens_total", `kind="output"`, `model="other"`))
	require.NotContains(t, r.call("GET", "/metrics", "").body, "made-up")
	require.Less(t, strings.Count(r.call("GET", "/metrics", "").body, "\nantwort_requests_total{"), 8)
}

func TestMetricsCanBeOff(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Observability.Metrics.Enabled = false })
	require.Equal(t, 404, r.call("GET", "/metrics", "").status)
	r = start(t, config.VLLM, llm, func(c *config.Config) { c.Observability.Metrics.Path = "/internal/stats" })
	require.Equal(t, 200, r.call("GET", "/internal/stats", "").status)
}
