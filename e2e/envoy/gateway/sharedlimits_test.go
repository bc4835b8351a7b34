package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy/gateway"
	"antwort/server/limits/redistest"
)

// service is an envoyproxy/ratelimit and its Redis.
type service struct {
	url, socket string
	stop        func()
}

// startService builds e2e/ratelimit, which takes a minute the first time, and runs it with
// what antwort render ratelimit prints. That is done where TEST_RATELIMIT says required.
func startService(t *testing.T, config string) service {
	t.Helper()
	if os.Getenv("TEST_RATELIMIT") != "required" {
		t.Skip("run make e2e-ratelimit")
	}
	cache, err := filepath.Abs("../../.cache/ratelimit")
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(cache, 0o755))
	binary := filepath.Join(cache, "ratelimit")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", binary, ".")
	build.Dir = "../../ratelimit"
	build.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the service does not build: %s", out)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "antwort.yaml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	rendered, err := exec.Command(checkout.Antwort(t), "render", "ratelimit", "--config", file).Output()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "service", "config"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "service", "config", "antwort.yaml"), rendered, 0o600))
	s := service{socket: strings.TrimPrefix(redistest.Start(t).URL(), "unix://")}
	at, health, debug := gateway.FreePort(t), gateway.FreePort(t), gateway.FreePort(t)
	p, err := chain.StartProcess(context.Background(), "ratelimit", filepath.Join(dir, "ratelimit.log"), "env",
		"RUNTIME_ROOT="+dir, "RUNTIME_SUBDIRECTORY=service", "RUNTIME_WATCH_ROOT=false", "USE_STATSD=false", "REDIS_SOCKET_TYPE=unix", "REDIS_URL="+s.socket,
		"HOST=127.0.0.1", fmt.Sprint("PORT=", health), "GRPC_HOST=127.0.0.1", fmt.Sprint("GRPC_PORT=", at), "DEBUG_HOST=127.0.0.1", fmt.Sprint("DEBUG_PORT=", debug), binary)
	require.NoError(t, err)
	s.stop = func() { _ = p.Stop() }
	t.Cleanup(s.stop)
	require.NoError(t, p.WaitReady(context.Background(), fmt.Sprintf("http://127.0.0.1:%d/healthcheck", health), time.Minute))
	s.url = fmt.Sprintf("http://127.0.0.1:%d", at)
	return s
}

// count is what Redis has under a key, "" for nothing.
func (s service) count(t *testing.T, key string) string {
	t.Helper()
	conn, err := net.Dial("unix", s.socket)
	require.NoError(t, err)
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET %s\r\n", key)
	require.NoError(t, err)
	answer := bufio.NewScanner(conn)
	require.True(t, answer.Scan())
	if answer.Text() == "$-1" {
		return ""
	}
	require.True(t, answer.Scan())
	return answer.Text()
}

// counting is a model server that says of each answer that it has 42 tokens; of a stream it
// tells the first 31 and then nothing more.
func counting(w http.ResponseWriter, req *http.Request) {
	var asked struct {
		Stream  bool
		Options struct {
			Continuous bool `json:"continuous_usage_stats"`
		} `json:"stream_options"`
	}
	body, _ := io.ReadAll(req.Body)
	_ = json.Unmarshal(body, &asked)
	if !asked.Stream {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":30,"completion_tokens":12,"total_tokens":42}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	if asked.Options.Continuous {
		_, _ = io.WriteString(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"}}],"usage":{"prompt_tokens":30,"completion_tokens":1,"total_tokens":31}}`+"\n\n")
	}
	_ = http.NewResponseController(w).Flush()
	<-req.Context().Done()
}

// A service counts for two Envoys together: requests, exactly in its minute, and tokens of
// what answers have used, also of a stream that its client has left. While it is away the
// configuration says what happens.
func TestEnvoysShareLimits(t *testing.T) {
	const most, budget = 20, 100
	backend := httptest.NewServer(http.HandlerFunc(counting))
	t.Cleanup(backend.Close)
	configured := func(at, onFailure string) string {
		return fmt.Sprintf(`server: {host: 127.0.0.1, port: 0}
engine: {provider: vllm, backend_url: %q}
filter: {profile: gated}
auth:
  type: api_key
  api_keys:
  - {key_env: KEY_A, subject: alice, tenant: team-a}
  - {key_env: KEY_B, subject: bob, tenant: team-b}
  - {key_env: KEY_C, subject: carol}
limits:
  store: redis
  service: %q
  on_failure: %s
  redis: {url: "unix:///none", prefix: shared, timeout: 10s}
  rules:
  - {name: budget, per: [tenant], match: {tenants: [team-b]}, tokens_per_day: %d}
  - {name: tenants, per: [tenant], requests_per_minute: %d, tokens_per_minute: 1000000}
  - {name: large, per: [model], match: {models: ["large*"]}, tokens_per_minute: 100000}
`, backend.URL, at, onFailure, budget, most)
	}
	s := startService(t, configured("http://127.0.0.1:1", "open"))
	keys := []string{"KEY_A=key-a-2f9a41c7", "KEY_B=key-b-2f9a41c7", "KEY_C=key-c-2f9a41c7"}
	gateways := []*gateway.Gateway{gateway.Start(t, configured(s.url, "open"), keys...), gateway.Start(t, configured(s.url, "closed"), keys...)}
	for _, g := range gateways {
		g.Ready()
	}
	send := func(g int, key, body string) (*http.Response, error) {
		req, err := http.NewRequest(http.MethodPost, gateways[g].URL+"/v1/responses", strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer key-"+key+"-2f9a41c7")
		req.Header.Set("Content-Type", "application/json")
		return http.DefaultClient.Do(req)
	}
	ask := func(g int, key string) answer {
		resp, err := send(g, key, `{"model":"m","input":"x"}`)
		return read(t, resp, err)
	}

	t.Run("requests of both are counted together", func(t *testing.T) {
		began := time.Now()
		var passed atomic.Int64
		atOnce(4*most, 16, func(i int) {
			switch got := ask(i%2, "a"); got.status {
			case http.StatusOK:
				passed.Add(1)
			case http.StatusTooManyRequests:
			default:
				t.Errorf("status %d: %s", got.status, got.body)
			}
		})
		windows := time.Now().Unix()/60 - began.Unix()/60 + 1
		assert.GreaterOrEqual(t, passed.Load(), int64(most))
		assert.LessOrEqual(t, passed.Load(), most*windows)

		for g := range gateways {
			got := ask(g, "a")
			for ; got.status == http.StatusOK; got = ask(g, "a") { // the next minute has begun
			}
			require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
			wait := got.header.Get("Retry-After")
			assert.Regexp(t, "^[1-9][0-9]?$", wait)
			assert.Equal(t, fmt.Sprintf(`{"error":{"message":"rate limit reached: %d requests per minute, %d used; try again in %ss","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, most, most, wait), got.body)
			assert.Equal(t, fmt.Sprint(most), got.header.Get("X-Ratelimit-Limit-Requests"))
			assert.Equal(t, "0", got.header.Get("X-Ratelimit-Remaining-Requests"))
			assert.Empty(t, got.header.Get("X-Ratelimit-Limit"))
		}
		assert.Equal(t, http.StatusOK, ask(0, "c").status, "who has no tenant is counted alone")
	})

	t.Run("tokens are counted when an answer has ended", func(t *testing.T) {
		day := time.Now().Unix() / 86400 * 86400
		key := fmt.Sprintf("shared_tokens_per_day_budget_tenant_team-b_%d", day)
		used := func(n string) {
			t.Helper()
			require.Eventually(t, func() bool { return s.count(t, key) == n || time.Now().Unix() >= day+86400 }, time.Minute, 10*time.Millisecond)
		}
		got := ask(0, "b")
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Equal(t, fmt.Sprint(budget), got.header.Get("X-Ratelimit-Limit-Tokens"))
		assert.Equal(t, fmt.Sprint(budget), got.header.Get("X-Ratelimit-Remaining-Tokens"))
		used("42")

		resp, err := send(1, "b", `{"model":"m","input":"x","stream":true}`)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		for lines := bufio.NewScanner(resp.Body); lines.Scan() && !strings.Contains(lines.Text(), "output_text.delta"); {
		}
		_ = resp.Body.Close()
		used("73")

		require.Equal(t, http.StatusOK, ask(1, "b").status)
		used("115")
		for g := range gateways {
			got := ask(g, "b")
			if time.Now().Unix() >= day+86400 {
				t.Skip("another day has begun")
			}
			require.Equal(t, http.StatusTooManyRequests, got.status, got.body)
			assert.Equal(t, fmt.Sprintf(`{"error":{"message":"the budget is spent: %d tokens per day, %d used; it begins anew in %ss","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`,
				budget, budget, got.header.Get("Retry-After")), got.body)
			assert.Equal(t, "false", got.header.Get("X-Should-Retry"))
			assert.Contains(t, get(t, gateways[g].URL+"/metrics").body, `antwort_failures_total{provider="vllm",kind="budget_spent"} 1`)
		}
	})

	t.Run("while it is away the configuration decides", func(t *testing.T) {
		s.stop()
		got := ask(0, "b")
		assert.Equal(t, http.StatusOK, got.status, got.body)
		metrics := get(t, gateways[0].URL+"/metrics").body
		assert.Contains(t, metrics, `envoy_cluster_ratelimit_failure_mode_allowed{envoy_cluster_name="backend"} 1`)
		got = ask(1, "b")
		assert.Equal(t, http.StatusServiceUnavailable, got.status)
		assert.Equal(t, `{"error":{"message":"it cannot be told at the moment how much you have used: try again later","type":"server_error","param":null,"code":"limits_unavailable"}}`, got.body)
		assert.Equal(t, "1", got.header.Get("Retry-After"))
		assert.Contains(t, get(t, gateways[1].URL+"/metrics").body, `antwort_failures_total{provider="vllm",kind="limits_unavailable"} 1`)
	})
}
