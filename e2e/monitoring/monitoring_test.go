// Package monitoring holds the dashboard and the alert rules against a real Prometheus that
// scrapes a chain under load.
package monitoring

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"antwort/e2e/chain"
	"antwort/e2e/envoy/gateway"
)

const files = "../../quickstarts/shared/monitoring/"

// guard is how long anything may take.
const guard = 2 * time.Minute

func prometheus(t *testing.T) {
	t.Helper()
	for _, name := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("TEST_PROMETHEUS") == "required" {
				t.Fatalf("%s is missing", name)
			}
			t.Skipf("%s is missing (Debian: apt-get install prometheus)", name)
		}
	}
}

type group struct {
	Rules []struct{ Alert, Expr string }
}

func rules(t *testing.T) (all []struct{ Alert, Expr string }) {
	t.Helper()
	var plain, operators struct {
		Groups []any
		Spec   struct{ Groups []any }
	}
	for name, into := range map[string]any{"alerts.yaml": &plain, "prometheusrule.yaml": &operators} {
		text, err := os.ReadFile(files + name)
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, into))
	}
	require.NotEmpty(t, plain.Groups)
	require.Equal(t, plain.Groups, operators.Spec.Groups, "alerts.yaml and prometheusrule.yaml differ")
	text, err := os.ReadFile(files + "alerts.yaml")
	require.NoError(t, err)
	var typed struct{ Groups []group }
	require.NoError(t, yaml.Unmarshal(text, &typed))
	for _, g := range typed.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// panel is a part of the dashboard.
type panel struct {
	Title   string
	Targets []struct{ Expr string }
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile(files + "dashboard.json")
	require.NoError(t, err)
	var d struct{ Panels []panel }
	require.NoError(t, json.Unmarshal(text, &d))
	require.NotEmpty(t, d.Panels)
	return d.Panels
}

// start runs a program until the test ends; ready answers 200 when it is.
func start(t *testing.T, name, ready string, path string, args ...string) {
	t.Helper()
	p, err := chain.StartProcess(context.Background(), name, filepath.Join(t.TempDir(), name+".log"), path, args...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Stop() })
	require.NoError(t, p.WaitReady(t.Context(), ready, guard))
}

func free(t *testing.T) string {
	t.Helper()
	port, err := chain.FreePort()
	require.NoError(t, err)
	return fmt.Sprintf("127.0.0.1:%d", port)
}

// serve runs a tier with a configuration, and gives its address.
func serve(t *testing.T, name, config string) string {
	t.Helper()
	at := free(t)
	file := filepath.Join(t.TempDir(), name+".yaml")
	text := "server: {host: 127.0.0.1, port: " + at[strings.LastIndexByte(at, ':')+1:] + "}\n" + config
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	start(t, name, "http://"+at+"/readyz", gateway.Antwort(t), "serve", "--config", file)
	return at
}

// load asks again and again until the test ends: whole, streamed, and too often for the limit.
func load(t *testing.T, url string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			body := fmt.Sprintf(`{"model":"/mnt/models","stream":%t,"input":"What is the capital of France?"}`, n%2 == 0)
			if n%10 == 9 {
				body = `{"model":"/mnt/models","input":"mock: status=500"}`
			}
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/responses", strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			if resp, err := http.DefaultClient.Do(req); err == nil {
				_ = resp.Write(discard{})
				resp.Body.Close()
			}
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// query asks Prometheus, and returns how many series there are.
func query(t *testing.T, at, expr string) (series int, err error) {
	t.Helper()
	resp, err := http.Get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(expr))
	require.NoError(t, err)
	defer resp.Body.Close()
	var said struct {
		Error string
		Data  struct {
			Result []struct{ Value [2]any }
		}
	}
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&said))
	if said.Error != "" {
		return 0, fmt.Errorf("%s: %s", expr, said.Error)
	}
	for _, r := range said.Data.Result {
		if r.Value[1] != "NaN" {
			series++
		}
	}
	return series, nil
}

// bound is the comparison at the end of an alert's expression.
var bound = regexp.MustCompile(` (==|>|<) [0-9.* ]+$`)

func TestDashboardAndAlerts(t *testing.T) {
	prometheus(t)
	out, err := exec.Command("promtool", "check", "rules", files+"alerts.yaml").CombinedOutput()
	require.NoError(t, err, "%s", out)

	llm := free(t)
	start(t, "mock-llm", "http://"+llm+"/v1/models", gateway.Antwort(t), "mock-llm", "--port", llm[strings.LastIndexByte(llm, ':')+1:])
	nowhere := free(t)
	seeing := "observability: {otlp: {endpoint: 'http://" + nowhere + "', timeout: 1s, interval: 100ms}}\n"
	back := serve(t, "antwort-backend", seeing+`engine: {provider: vllm, default_model: /mnt/models, retry: {base_delay: 1ms}}
routing: {eject_after: 1, eject_time: 1h, max_eject_time: 1h}
limits: {max_requests: 100, rules: [{name: all, requests_per_minute: 300}]}
routes:
- {name: llm, backends: [{url: "http://`+llm+`", priority: 1}, {url: "http://`+nowhere+`"}]}
`)
	front := serve(t, "antwort-frontend", seeing+"engine: {provider: vllm-responses, backend_url: 'http://"+back+"'}\n")

	dir, at := t.TempDir(), free(t)
	alerts, err := filepath.Abs(files + "alerts.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%s]
scrape_configs:
- job_name: antwort-backend
  static_configs: [{targets: ["%s"]}]
- job_name: antwort-frontend
  static_configs: [{targets: ["%s"]}]
`, alerts, back, front)), 0o600))
	start(t, "prometheus", "http://"+at+"/-/ready", "prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at)
	load(t, "http://"+front)

	has := func(what, expr string) {
		t.Helper()
		assert.Eventually(t, func() bool {
			series, err := query(t, at, expr)
			require.NoError(t, err)
			return series > 0
		}, guard, 200*time.Millisecond, "%s has no data: %s", what, expr)
	}
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			has(p.Title, strings.NewReplacer("$job", ".*", "$__rate_interval", "30s").Replace(target.Expr))
		}
	}
	alone := map[string]bool{"AntwortCertificateExpires": true} // here is none
	for _, r := range rules(t) {
		_, err := query(t, at, r.Expr)
		require.NoError(t, err)
		expr := bound.ReplaceAllString(r.Expr, "")
		if !alone[r.Alert] && r.Alert != "AntwortStateUnavailable" && r.Alert != "AntwortOverloaded" { // of which nothing goes wrong here
			has(r.Alert, expr)
		}
	}
	// What goes wrong is told.
	for _, alert := range []string{"AntwortBackendLeftOut", "AntwortErrors", "AntwortTracesLost"} {
		has(alert, `ALERTS{alertname="`+alert+`"}`)
	}
	if *draw {
		picture(t, at, dashboard(t))
	}
}
