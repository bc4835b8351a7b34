package header

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client steers no Envoy between here and the backend.
func TestFieldsForEnvoyStay(t *testing.T) {
	h := http.Header{}
	for _, name := range []string{"x-envoy-attempt-count", "x-envoy-original-dst-host", "X-ENVOY-Retry-On", "x-envoy-upstream-rq-timeout-ms",
		"x-envoy-peer-metadata", "x-envoy-external-address", "x-envoys", "x-other"} {
		h.Set(name, "1")
	}
	lines, _ := AppendRequest(nil, h, map[string]string{"x-envoy-retry-on": "X-Envoy-Retry-On"})
	got := strings.ToLower(string(lines))
	require.NotContains(t, got, "x-envoy-")
	require.Contains(t, got, "x-envoys: 1\r\n")
	require.Contains(t, got, "x-other: 1\r\n")
}
