package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is printed names every variable that Envoy needs, and holds no secret.
func TestRenderNamesVariables(t *testing.T) {
	for _, name := range []string{"ENGINES", "ROUTES", "CLIENTS"} {
		t.Setenv(name, "in-clear")
	}
	code, out, problem := run(t, "render", "envoy", "--config", configuration(t, `
engine: {provider: vllm, backend_url: "http://e", api_key_env: ENGINES}
routes: [{name: a, match: {headers: {x-team: b}}, backends: [{url: "http://a", api_key_env: ROUTES}]}]
auth: {type: api_key, api_keys: [{key_env: CLIENTS, subject: c}]}
`))
	require.Zero(t, code, problem)
	for _, line := range []string{"ENGINES, a key for a backend", "ROUTES, a key for a backend", "CLIENTS, a client's key"} {
		assert.Contains(t, out, "# Envoy's environment must have "+line+".\n")
	}
	assert.NotContains(t, out, "in-clear")
}
