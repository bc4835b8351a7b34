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

// A scrape of Envoy has the filter's metrics that docs/filter.md names, and no others.
func TestMetricsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/filter.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n## Metrics\n")
	require.True(t, found)
	documented := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `antwort\\.([a-z_]+)(?:\\.([^`]+))?` \\|").FindAllStringSubmatch(section, -1) {
		var kinds []string
		switch {
		case row[2] == "":
			documented["antwort_"+row[1]] = true
		case row[2] == "KIND":
			_, list, found := strings.Cut(section, "\nKinds: ")
			require.True(t, found)
			list, _, _ = strings.Cut(list, "\n\n")
			for _, kind := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(list, -1) {
				kinds = append(kinds, kind[1])
			}
		default:
			kinds = strings.Split(strings.Trim(row[2], "{}"), ",")
		}
		for _, kind := range kinds {
			documented[fmt.Sprintf("antwort_%s{kind=%q}", row[1], kind)] = true
		}
	}

	backend := httptest.NewServer(http.HandlerFunc(counting))
	t.Cleanup(backend.Close)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: %q}\n", backend.URL)).Ready()
	require.Equal(t, http.StatusOK, post(t, g.URL+"/v1/responses", `{"model":"m","input":"x"}`).status)
	scraped := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^(antwort_[a-z_]+?)(?:_(?:bucket|sum|count))?(\{[^}]*\})? `).FindAllStringSubmatch(admin(t, g, "/stats/prometheus"), -1) {
		labels := regexp.MustCompile(`kind="[a-z_]+"`).FindString(line[2])
		if labels != "" {
			labels = "{" + labels + "}"
		}
		scraped[line[1]+labels] = true
	}
	assert.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(scraped)))
}
