package gateway_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// admin is what the admin interface of the gateway's Envoy says, also of what is 0 still.
func admin(t *testing.T, g *gateway.Gateway, path string) string {
	t.Helper()
	sockets, err := filepath.Glob(filepath.Join(g.Temp, "*", "admin"))
	require.NoError(t, err)
	require.Len(t, sockets, 1)
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", sockets[0])
	}}}
	t.Cleanup(client.CloseIdleConnections)
	resp, err := client.Get("http://envoy" + path)
	return read(t, resp, err).body
}

// metrics are those of a text for Prometheus, each with the values of its labels.
func metrics(text string) map[string]map[string]map[string]bool {
	all := map[string]map[string]map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^((?:antwort|gen_ai)_[a-z_]+?)(?:_(?:bucket|sum|count))?(?:\{(.*)\})? `).FindAllStringSubmatch(text, -1) {
		if all[line[1]] == nil {
			all[line[1]] = map[string]map[string]bool{}
		}
		for _, label := range regexp.MustCompile(`([a-z_]+)="([^"]*)"`).FindAllStringSubmatch(line[2], -1) {
			if label[1] == "le" {
				continue
			}
			if all[line[1]][label[1]] == nil {
				all[line[1]][label[1]] = map[string]bool{}
			}
			all[line[1]][label[1]][label[2]] = true
		}
	}
	return all
}

// A scrape of Envoy has the filter's metrics that docs/filter.md names, with their labels, and
// no others. One of the gateway has them as antwort serve has.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/filter.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Metrics\n")
	require.True(t, found)
	quoted := regexp.MustCompile("`([a-z_]+)`")
	documented := map[string]map[string][]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `antwort\\.[^`]+` \\| `([a-z_]+)` \\| ([^|]*)\\|").FindAllStringSubmatch(section, -1) {
		documented[row[1]] = map[string][]string{}
		labels, values, _ := strings.Cut(row[2], ":")
		for _, label := range quoted.FindAllStringSubmatch(labels, -1) {
			documented[row[1]][label[1]] = nil
			for _, value := range quoted.FindAllStringSubmatch(values, -1) {
				documented[row[1]][label[1]] = append(documented[row[1]][label[1]], value[1])
			}
		}
	}
	_, list, found := strings.Cut(section, "\nKinds: ")
	require.True(t, found)
	list, _, _ = strings.Cut(list, "\n\n")
	for _, kind := range quoted.FindAllStringSubmatch(list, -1) {
		documented["antwort_failures_total"]["kind"] = append(documented["antwort_failures_total"]["kind"], kind[1])
	}

	backend := httptest.NewServer(http.HandlerFunc(counting))
	t.Cleanup(backend.Close)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: %q}\n", backend.URL)).Ready()
	require.Equal(t, http.StatusOK, post(t, g.URL+"/v1/responses", `{"model":"m","input":"x"}`).status)
	require.Equal(t, http.StatusBadRequest, post(t, g.URL+"/v1/responses", `{`).status)
	require.Equal(t, http.StatusNotFound, get(t, g.URL+"/v1/responses/resp_1").status)
	var scraped map[string]map[string]map[string]bool
	require.Eventually(t, func() bool { // a request is counted when it has ended, which its client may see before
		scraped = metrics(admin(t, g, "/stats/prometheus"))
		return len(scraped["antwort_requests_total"]["code"]) == 3
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(scraped)))
	for name, labels := range documented {
		require.Equal(t, slices.Sorted(maps.Keys(labels)), slices.Sorted(maps.Keys(scraped[name])), "labels of %s", name)
		for label, values := range labels {
			if values != nil {
				require.ElementsMatch(t, values, slices.Collect(maps.Keys(scraped[name][label])), "%s of %s", label, name)
			}
		}
	}
	require.Equal(t, map[string]map[string]bool{"endpoint": {"/v1/responses": true, "/v1/responses/{id}": true}, "code": {"200": true, "400": true, "404": true}}, scraped["antwort_requests_total"])

	up := get(t, g.URL+"/metrics").body
	for _, want := range []string{
		`antwort_requests_total{provider="vllm",endpoint="/v1/responses",code="200"} 1`, `antwort_failures_total{provider="vllm",kind="invalid_request"} 1`,
		`antwort_tokens_total{provider="vllm",kind="input"} `, `antwort_config_reloads_total{provider="vllm",result="applied"} 0`,
	} {
		assert.Contains(t, up, "\n"+want)
	}
}

// Whatever 1,000 clients make up, Envoy has no series more.
func TestInventedNamesMakeNoSeries(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(counting))
	t.Cleanup(backend.Close)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q}\n", backend.URL)).Ready()
	invent := func(i int) {
		name := fmt.Sprintf("invented-%d", i)
		post(t, g.URL+"/v1/responses", `{"model":"`+name+`","input":"x"}`)
		get(t, g.URL+"/v1/responses/"+name)
		get(t, g.URL+"/v1/"+name)
	}
	// The metrics without their values, ours and Envoy's of the API.
	series := func() (names []string) {
		for line := range strings.Lines(admin(t, g, "/stats/prometheus")) {
			if strings.HasPrefix(line, "antwort_") || strings.HasPrefix(line, "envoy_http_") || strings.HasPrefix(line, "envoy_cluster_upstream_rq") {
				names = append(names, line[:strings.LastIndexByte(line, ' ')])
			}
		}
		return names
	}
	requests := regexp.MustCompile(`(?m)^antwort_requests_total\{endpoint="/v1/responses/\{id\}",code="[0-9]+"\} (\d+)$`)
	counted := func(n int) func() bool {
		return func() bool {
			said := requests.FindStringSubmatch(admin(t, g, "/stats/prometheus"))
			return said != nil && said[1] == fmt.Sprint(n)
		}
	}
	invent(0)
	require.Eventually(t, counted(1), time.Minute, 10*time.Millisecond)
	before := series()
	for i := range 333 {
		invent(1 + i)
	}
	require.Eventually(t, counted(334), time.Minute, 10*time.Millisecond)
	require.Equal(t, before, series())
	require.NotContains(t, admin(t, g, "/stats/prometheus"), "invented")
}
