package gateway_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy"
)

// What istiod makes of antwort render istio's RequestAuthentication and
// AuthorizationPolicy, by its source: a verifier that lets requests without a
// token pass and notes claims under a name of its own, and an RBAC filter. The
// replies are those of the rendered EnvoyFilter. The cases of tokens come to the
// same as with antwort envoy.
func TestTokensAsIstioVerifiesThem(t *testing.T) {
	all, issuer, _ := issuers(t)
	up := &arrivals{release: make(chan struct{})}
	backend := httptest.NewServer(up)
	t.Cleanup(backend.Close)
	manifests, err := os.ReadFile("../../../istio/authentication/manifests.yaml")
	require.NoError(t, err)
	replies := regexp.MustCompile(`local_reply_config: (.*)`).FindSubmatch(manifests)
	require.NotNil(t, replies)
	module, err := filepath.Abs("../../../bin/filter.wasm")
	require.NoError(t, err)

	text := func(v any) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	host, port, _ := strings.Cut(strings.TrimPrefix(backend.URL, "http://"), ":")
	plugin := fmt.Sprintf(`{"engine":{"provider":"vllm-responses"},"auth":%s}`, compact(t, all.Auth))
	process := envoy.Start(t, []byte(strings.NewReplacer(
		"REPLIES", string(replies[1]), "JWKS", text(string(issuer.JWKS())), "MODULE", text(module), "PLUGIN", text(plugin), "HOST", text(host), "PORT", port,
	).Replace(asIstio)))
	address, err := process.Listener("gateway")
	require.NoError(t, err)
	for i := range all.Cases {
		c := &all.Cases[i]
		t.Run(c.Name, func(t *testing.T) {
			up.take()
			r := c.Request(issuer)
			got := raw(t, "http://"+address, string(r.Wire("gateway")))
			seen := up.take()
			if strings.HasPrefix(c.Name, "scheme in ") { // Istio knows one way to write it
				require.Equal(t, 401, got.status)
				require.Empty(t, seen)
				return
			}
			if c.Status == 200 {
				require.Equal(t, 200, got.status, got.body)
				require.Len(t, seen, 1)
				assert.Equal(t, []string{c.Subject}, seen[0]["X-Antwort-Subject"])
				assert.Equal(t, c.Tenant, strings.Join(seen[0]["X-Antwort-Tenant"], ","))
				assert.Empty(t, seen[0]["Authorization"])
				return
			}
			require.Empty(t, seen, "it reached the backend")
			require.Equal(t, 401, got.status, got.body)
			code := got.code(t)
			if code == "missing_token" && c.RefusedBy == "verifier" {
				code = c.Code
			}
			require.Equal(t, c.Code, code, got.body)
			require.True(t, strings.HasPrefix(got.header.Get("Www-Authenticate"), "Bearer"))
		})
	}
}

const asIstio = `{
 "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
 "static_resources": {
  "listeners": [{"name": "gateway", "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}, "filter_chains": [{"filters": [{"name": "http", "typed_config": {
   "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
   "stat_prefix": "http",
   "local_reply_config": REPLIES,
   "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "backend"}}]}]},
   "http_filters": [
    {"name": "envoy.filters.http.jwt_authn", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
     "providers": {"origins-0": {
      "issuer": "https://issuer.example", "audiences": ["antwort", "antwort-next"], "local_jwks": {"inline_string": JWKS}, "forward": true,
      "payload_in_metadata": "payload", "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission"]},
      "from_headers": [{"name": "Authorization", "value_prefix": "Bearer "}]}},
     "rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [{"provider_name": "origins-0"}, {"allow_missing": {}}]}}}]}},
    {"name": "envoy.filters.http.rbac", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
     "rules": {"action": "DENY", "policies": {"ns[antwort]-policy[antwort-frontend-token]-rule[0]": {
      "permissions": [{"any": true}],
      "principals": [{"not_id": {"metadata": {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "payload"}, {"key": "iss"}], "value": {"string_match": {"exact": "https://issuer.example"}}}}}]}}}}},
    {"name": "antwort", "typed_config": {
     "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
     "config": {
      "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": MODULE}}},
      "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": PLUGIN},
      "failure_policy": "FAIL_RELOAD"}}},
    {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}]}]}],
  "clusters": [{"name": "backend", "type": "STATIC", "load_assignment": {"cluster_name": "backend", "endpoints": [{"lb_endpoints": [
   {"endpoint": {"address": {"socket_address": {"address": HOST, "port_value": PORT}}}}]}]}}]
 }
}`
