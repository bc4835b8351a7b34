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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy"
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
	start(t, name, "http://"+at+"/readyz", checkout.Antwort(t), "serve", "--config", file)
	return at
}

// load asks again and again until the test ends: whole, streamed, and too often for the limit.
func load(t *testing.T, url string) {
	asks(t, url, func(n int) string {
		if n%10 == 9 {
			return `{"model":"/mnt/models","input":"mock: status=500"}`
		}
		return fmt.Sprintf(`{"model":"/mnt/models","stream":%t,"input":"What is the capital of France?"}`, n%2 == 0)
	})
}

// slowly asks for streams that begin late.
func slowly(t *testing.T, url string) {
	asks(t, url, func(int) string { return `{"model":"/mnt/models","stream":true,"input":"mock: first-delay=6s"}` })
}

func asks(t *testing.T, url string, body func(n int) string) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+"/v1/responses", strings.NewReader(body(n)))
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

// bound is the comparison at the end of an alternative of an alert's expression.
var bound = regexp.MustCompile(` (==|>|<) [0-9.* ]+$`)

// alternatives are the queries of an alert without their bounds.
func alternatives(expr string) (all []string) {
	for _, one := range strings.Split(expr, " or ") {
		all = append(all, bound.ReplaceAllString(one, ""))
	}
	return all
}

// ofEnvoys are the queries that only an Envoy has data for.
var ofEnvoys = regexp.MustCompile(`envoy_|_ms_bucket`)

// target is whom Prometheus scrapes, and how.
type target struct {
	job, at, path string
	relabel       any // metric_relabel_configs
}

// watch runs a Prometheus with the alert rules, and gives its address.
func watch(t *testing.T, targets ...target) string {
	t.Helper()
	dir, at := t.TempDir(), free(t)
	alerts, err := filepath.Abs(files + "alerts.yaml")
	require.NoError(t, err)
	config := map[string]any{
		"global":     map[string]string{"scrape_interval": "1s", "evaluation_interval": "1s"},
		"rule_files": []string{alerts},
	}
	var scrapes []any
	for _, to := range targets {
		scrapes = append(scrapes, map[string]any{
			"job_name": to.job, "metrics_path": to.path, "metric_relabel_configs": to.relabel,
			"static_configs": []any{map[string]any{"targets": []string{to.at}}},
		})
	}
	config["scrape_configs"] = scrapes
	text, err := yaml.Marshal(config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), text, 0o600))
	start(t, "prometheus", "http://"+at+"/-/ready", "prometheus", "--config.file", filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", at)
	return at
}

// has waits until a query has data.
func has(t *testing.T, at, what, expr string) {
	t.Helper()
	assert.Eventually(t, func() bool {
		series, err := query(t, at, expr)
		require.NoError(t, err)
		return series > 0
	}, guard, 200*time.Millisecond, "%s has no data: %s", what, expr)
}

// shown is the query of a panel for some jobs.
func shown(expr, jobs string) string {
	return strings.NewReplacer("$job", jobs, "$__rate_interval", "30s").Replace(expr)
}

// model runs a stand-in for a model server, and gives its address.
func model(t *testing.T) string {
	t.Helper()
	at := free(t)
	start(t, "mock-llm", "http://"+at+"/v1/models", checkout.Antwort(t), "mock-llm", "--port", at[strings.LastIndexByte(at, ':')+1:])
	return at
}

// backend runs the tier that translates, with a backend more that is not there.
func backend(t *testing.T, more string) string {
	t.Helper()
	return serve(t, "antwort-backend", more+`engine: {provider: vllm, default_model: /mnt/models, retry: {base_delay: 1ms}}
routing: {eject_after: 1, eject_time: 1h, max_eject_time: 1h}
routes:
- {name: llm, backends: [{url: "http://`+model(t)+`", priority: 1}, {url: "http://`+free(t)+`"}]}
`)
}

func TestDashboardAndAlerts(t *testing.T) {
	t.Parallel()
	prometheus(t)
	out, err := exec.Command("promtool", "check", "rules", files+"alerts.yaml").CombinedOutput()
	require.NoError(t, err, "%s", out)

	seeing := "observability: {otlp: {endpoint: 'http://" + free(t) + "', timeout: 1s, interval: 100ms}}\n"
	back := backend(t, seeing+"limits: {max_requests: 100, rules: [{name: all, requests_per_minute: 300}]}\n")
	front := serve(t, "antwort-frontend", seeing+"engine: {provider: vllm-responses, backend_url: 'http://"+back+"'}\n")
	at := watch(t, target{job: "antwort-backend", at: back, path: "/metrics"}, target{job: "antwort-frontend", at: front, path: "/metrics"})
	load(t, "http://"+front)

	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			if !ofEnvoys.MatchString(target.Expr) {
				has(t, at, p.Title, shown(target.Expr, ".*"))
			}
		}
	}
	idle := map[string]bool{"AntwortCertificateExpires": true, "AntwortStateUnavailable": true, "AntwortOverloaded": true} // of which nothing goes wrong here
	for _, r := range rules(t) {
		_, err := query(t, at, r.Expr)
		require.NoError(t, err)
		for _, expr := range alternatives(r.Expr) {
			if !idle[r.Alert] && !ofEnvoys.MatchString(expr) {
				has(t, at, r.Alert, expr)
			}
		}
	}
	// What goes wrong is told.
	for _, alert := range []string{"AntwortBackendLeftOut", "AntwortErrors", "AntwortTracesLost"} {
		has(t, at, alert, `ALERTS{alertname="`+alert+`"}`)
	}
	if *draw {
		picture(t, at, dashboard(t))
	}
}

// gatewayOfIstio runs an Envoy that was told nothing of the filter's statistics, as a
// gateway of Istio, in front of a backend; of its addresses the second is the admin
// interface's.
func gatewayOfIstio(t *testing.T, back string) (api, admin string) {
	t.Helper()
	api = free(t)
	file := filepath.Join(t.TempDir(), "antwort.yaml")
	require.NoError(t, os.WriteFile(file, []byte("server: {host: 127.0.0.1, port: "+api[strings.LastIndexByte(api, ':')+1:]+"}\nengine: {provider: vllm-responses, backend_url: 'http://"+back+"'}\n"), 0o600))
	module := filepath.Join(filepath.Dir(checkout.Antwort(t)), "filter.wasm")
	text, err := exec.Command(checkout.Antwort(t), "render", "envoy", "--config", file, "--format", "json", "--filter", module, "--admin", free(t)).Output()
	require.NoError(t, err)
	var bootstrap map[string]any
	require.NoError(t, json.Unmarshal(text, &bootstrap))
	delete(bootstrap, "stats_config")
	delete(bootstrap, "application_log_config") // the log's form is envoy.Start's
	text, err = json.Marshal(bootstrap)
	require.NoError(t, err)
	return api, envoy.Start(t, text).Admin
}

// relabelings are what the PodMonitor makes of the names that a gateway of Istio has, in
// Prometheus' own spelling.
func relabelings(t *testing.T) (all []any) {
	t.Helper()
	text, err := os.ReadFile(files + "podmonitor.yaml")
	require.NoError(t, err)
	var monitor struct {
		Spec struct {
			Endpoints []struct {
				Relabelings []struct {
					SourceLabels       []string `yaml:"sourceLabels"`
					Regex, Replacement string
					TargetLabel        string `yaml:"targetLabel"`
				} `yaml:"metricRelabelings"`
			} `yaml:"podMetricsEndpoints"`
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &monitor))
	require.Len(t, monitor.Spec.Endpoints, 1)
	for _, r := range monitor.Spec.Endpoints[0].Relabelings {
		all = append(all, map[string]any{"source_labels": r.SourceLabels, "regex": r.Regex, "target_label": r.TargetLabel, "replacement": r.Replacement})
	}
	require.NotEmpty(t, all)
	return all
}

// Of an Envoy the dashboard shows what it shows of a server, but for what docs/filter.md says, and
// the alerts tell what goes wrong there: with antwort envoy, and in a gateway of Istio.
func TestDashboardAndAlertsOfAnEnvoy(t *testing.T) {
	t.Parallel()
	prometheus(t)
	envoy.Find(t)
	back := backend(t, "")
	front := gateway.Start(t, `server: {host: 127.0.0.1, port: 0}
engine: {provider: vllm-responses}
routing: {eject_after: 1, eject_time: 1h, max_eject_time: 1h}
routes:
- {name: llm, backends: [{url: "http://`+back+`", priority: 1}, {url: "http://`+free(t)+`"}]}
`).Ready().URL
	api, admin := gatewayOfIstio(t, back)
	at := watch(t, target{job: "antwort-frontend", at: strings.TrimPrefix(front, "http://"), path: "/metrics"},
		target{job: "antwort/antwort-gateway", at: admin, path: "/stats/prometheus", relabel: relabelings(t)})
	for _, url := range []string{front, "http://" + api} {
		load(t, url)
		for range 4 {
			slowly(t, url)
		}
	}

	without := map[string][]string{ // what is a server's only, and what Envoy says when there was some
		"Time per output token": {"antwort-frontend", "antwort/antwort-gateway"}, "Refused by limits": {"antwort-frontend", "antwort/antwort-gateway"}, "Spans": {"antwort-frontend", "antwort/antwort-gateway"},
		"Failed attempts and retries": {"antwort-frontend"}, "Memory of requests and answers": {"antwort-frontend"},
	}
	for _, job := range []string{"antwort-frontend", "antwort/antwort-gateway"} {
		for _, p := range dashboard(t) {
			var exprs []string
			for _, target := range p.Targets {
				exprs = append(exprs, "("+shown(target.Expr, job)+")")
			}
			if !slices.Contains(without[p.Title], job) {
				has(t, at, p.Title+" of "+job, strings.Join(exprs, " or "))
			}
		}
		for _, code := range []string{"200", "500"} {
			has(t, at, "what Envoy has answered", `antwort_requests_total{job="`+job+`",endpoint="/v1/responses",code="`+code+`"}`)
		}
	}
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			if ofEnvoys.MatchString(target.Expr) {
				has(t, at, p.Title, shown(target.Expr, ".*"))
			}
		}
	}
	for _, r := range rules(t) {
		for _, expr := range alternatives(r.Expr) {
			if ofEnvoys.MatchString(expr) && r.Alert != "AntwortLimitStoreDown" { // of which there is none here
				has(t, at, r.Alert, expr)
			}
		}
	}
	// What goes wrong is told.
	for alert, jobs := range map[string][]string{
		"AntwortErrors":         {"antwort-frontend", "antwort/antwort-gateway"},
		"AntwortSlowFirstToken": {"antwort-frontend", "antwort/antwort-gateway"},
		"AntwortBackendLeftOut": {"antwort-frontend"},
	} {
		for _, job := range jobs {
			has(t, at, alert, `ALERTS{alertname="`+alert+`",job="`+job+`"}`)
		}
	}
}
