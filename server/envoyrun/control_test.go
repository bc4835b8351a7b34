package envoyrun

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestControl(t *testing.T) {
	for name, c := range map[string]struct {
		method, path        string
		contacted, draining bool
		status              int
		body                string
	}{
		"alive from the start":        {"GET", "/healthz", false, false, 200, "ok\n"},
		"alive, as others ask it":     {"GET", "/health", false, false, 200, "ok\n"},
		"alive while draining":        {"GET", "/healthz", true, true, 200, "ok\n"},
		"not ready before contact":    {"GET", "/readyz", false, false, 503, "waiting for the first contact with the upstream\n"},
		"ready after contact":         {"GET", "/readyz", true, false, 200, "ok\n"},
		"not ready while draining":    {"GET", "/readyz", true, true, 503, "shutting down\n"},
		"probes are not written to":   {"POST", "/readyz", true, false, 405, `"code":"method_not_allowed"`},
		"metrics of both":             {"GET", "/metrics", true, false, 200, "antwort_build_info{provider=\"vllm\",envoy=\"1.40.0\""},
		"metrics of both, Envoy's":    {"GET", "/metrics", true, false, 200, "envoy_server_live 1\n"},
		"metrics at another path too": {"HEAD", "/internal/metrics", true, false, 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := fakeAdmin(t, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte("envoy_server_live 1\n")) })
			ctl := newControl(a, Options{Log: slog.New(slog.DiscardHandler), Version: "v1", EnvoyVersion: "1.40.0"}, func() string { return "vllm" })
			ctl.contacted.Store(c.contacted)
			ctl.draining.Store(c.draining)
			w := httptest.NewRecorder()
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			ctl.ServeHTTP(w, r)
			assert.Equal(t, c.status, w.Code)
			assert.Contains(t, w.Body.String(), c.body)
		})
	}
}

func TestMetricsWithoutEnvoy(t *testing.T) {
	ctl := newControl(newAdmin("/nowhere/admin"), Options{Log: slog.New(slog.DiscardHandler)}, func() string { return "vllm" })
	w := httptest.NewRecorder()
	ctl.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	assert.Equal(t, http.StatusServiceUnavailable, w.Code)
}
