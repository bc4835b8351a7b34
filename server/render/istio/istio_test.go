package istio

//go:generate go test -run TestFolder -update .

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"antwort/server/configfile"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write istio/*/manifests.yaml anew")

// The folder istio/ holds what antwort render istio prints with these flags.
func TestFolderIsRendered(t *testing.T) {
	for folder, opt := range map[string]Options{
		"inline":  {API: GatewayAPI, Name: "antwort-frontend", Image: "antwort-filter"},
		"classic": {API: Classic, Name: "antwort-frontend", Image: "antwort-filter"},
		"gated":   {API: GatewayAPI, Name: "antwort-frontend", Image: "antwort-filter"},
		"vllm":    {API: GatewayAPI, Name: "antwort", Image: "antwort-filter", HeapBytes: 512 << 20},
		"routes":  {API: GatewayAPI, Name: "antwort-frontend", Image: "antwort-filter"},

		"authentication": {API: GatewayAPI, Name: "antwort-frontend", Image: "antwort-filter"},
	} {
		t.Run(folder, func(t *testing.T) {
			dir := filepath.Join("..", "..", "..", "istio", folder)
			cfg, err := configfile.LoadUnresolved(filepath.Join(dir, "config.yaml"))
			require.NoError(t, err)
			got, err := Render(cfg, opt)
			require.NoError(t, err)
			file := filepath.Join(dir, "manifests.yaml")
			if *update {
				require.NoError(t, os.WriteFile(file, got, 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got), "run: go test ./server/render/istio -update")
		})
	}
}

func rendered(t *testing.T, text string, opt Options) (string, error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "antwort.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	cfg, err := configfile.LoadUnresolved(name)
	require.NoError(t, err)
	out, err := Render(cfg, opt)
	return string(out), err
}

func TestSecretsAreReferences(t *testing.T) {
	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			out, err := rendered(t, `
engine: {provider: vllm, backend_url: "http://llm.models:8000", api_key: do-not-print}
filter: {profile: `+profile+`}
`, Options{API: GatewayAPI, Name: "gw", Image: "r/f@sha256:00"})
			require.NoError(t, err)
			assert.NotContains(t, out, "do-not-print")
			assert.Contains(t, out, "ENGINE_API_KEY")
		})
	}
}

// A gateway that translates has a bound for the heap of its Envoy; one that forwards reads no
// faster than its clients do.
func TestHeapIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		api      API
		provider string
		bytes    int64
		said     []string
	}{
		"gateway-api": {GatewayAPI, "vllm", 100 << 20, []string{"name: gw-deployment}", "configMap: {name: gw-bootstrap}", `"max_heap_size_bytes":104857600}`}},
		"classic":     {Classic, "vllm", 100 << 20, []string{"sidecar.istio.io/bootstrapOverride: gw-bootstrap", `"max_heap_size_bytes":104857600}`}},
		"without":     {GatewayAPI, "vllm", 0, nil},
		"forwards":    {GatewayAPI, "vllm-responses", 100 << 20, nil},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := rendered(t, `engine: {provider: `+c.provider+`, backend_url: "http://llm:80"}`, Options{API: c.api, Name: "gw", Image: "f", HeapBytes: c.bytes})
			require.NoError(t, err)
			for _, text := range c.said {
				assert.Contains(t, out, text)
			}
			if c.said == nil {
				assert.NotContains(t, out, "ConfigMap")
			}
			if c.api == Classic {
				assert.NotContains(t, out, "gw-deployment")
			}
		})
	}
}

func TestBackendURL(t *testing.T) {
	for url, want := range map[string]backend{
		"http://llm":                                       {Service: "llm", Port: 80},
		"http://llm:8080":                                  {Service: "llm", Port: 8080},
		"https://llm":                                      {Service: "llm", Port: 443, TLS: true},
		"http://llm.models:8000":                           {Service: "llm", Namespace: "models", Port: 8000},
		"http://llm.models.svc:8000":                       {Service: "llm", Namespace: "models", Port: 8000},
		"http://llm.models.svc.cluster.local:8000":         {Service: "llm", Namespace: "models", Port: 8000},
		"http://api.example.com":                           {},
		"http://10.0.0.1:8000":                             {},
		"http://[::1]:8000":                                {},
		"http://llm:8080/prefix":                           {},
		"http://llm.models.svc.elsewhere.example.com:8000": {},
	} {
		t.Run(url, func(t *testing.T) {
			got, err := parseBackend(url)
			if want == (backend{}) {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestWhatDependsOnTheConfiguration(t *testing.T) {
	for name, tt := range map[string]struct {
		config   string
		opt      Options
		has, not []string
	}{
		"a Service of another namespace": {
			"engine: {provider: vllm, backend_url: 'http://llm.models.svc.cluster.local:8000', connect_timeout: 1500ms}",
			Options{API: GatewayAPI, Name: "gw", Image: "f"},
			[]string{"namespace: models", "host: llm.models.svc.cluster.local", "connectTimeout: 1.5s", "value: /v1/chat/completions", "action: DENY"},
			[]string{"tls:", "kind: VirtualService"},
		},
		"an https backend": {
			"engine: {provider: vllm-responses, backend_url: 'https://gateway:8443'}",
			Options{API: Classic, Name: "gw", Image: "f", PullSecret: "registry"},
			[]string{"tls: {mode: SIMPLE}", "imagePullSecret: registry", "kind: VirtualService"},
			[]string{"/v1/chat/completions", "kind: HTTPRoute", "applyTo: LISTENER"},
		},
		"as many requests at once as the process may have": {
			"engine: {provider: vllm, backend_url: 'http://llm', max_requests: 64}\nlimits: {max_requests: 50}",
			Options{API: GatewayAPI, Name: "gw", Image: "f"},
			[]string{"http1MaxPendingRequests: 50, http2MaxRequests: 50"},
			[]string{"max_requests"},
		},
		"requests a minute": {
			"engine: {provider: vllm, backend_url: 'http://llm'}\nauth: {type: api_key, api_keys: [{key_env: K, subject: a}]}\nlimits: {rules: [{name: callers, per: [subject], requests_per_minute: 7}]}",
			Options{API: GatewayAPI, Name: "gw", Image: "f"},
			[]string{"name: gw-rules", `"max_tokens":7`, "rate_limits: callers"},
			[]string{"limits:\n"},
		},
		"tokens that a service counts": {
			"engine: {provider: vllm, backend_url: 'http://llm'}\nlimits: {store: redis, service: 'http://ratelimit:8081', redis: {url_env: R}, rules: [{name: all, tokens_per_day: 7}]}",
			Options{API: GatewayAPI, Name: "gw", Image: "f"},
			[]string{"name: gw-rules", "applyTo: CLUSTER", `"name":"limits"`, "envoy.filters.http.header_to_metadata", `"envoy.filters.http.ratelimit"`, "tell_tokens: true"},
			[]string{"service:", "local_ratelimit"},
		},
		"the gated profile": {
			"engine: {provider: vllm-responses, backend_url: 'http://backend', response_timeout: 20m}\nfilter: {profile: gated}\nlimits: {request_body_bytes: 4MiB}",
			Options{API: Classic, Name: "gw", Image: "f"},
			[]string{"allow_on_headers_stop_iteration: true", "per_connection_buffer_limit_bytes: 65536", "stream_idle_timeout: 1200s", `"profile":"gated"`},
			[]string{"WasmPlugin\n", "applyTo: LISTENER"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := rendered(t, tt.config, tt.opt)
			require.NoError(t, err)
			for _, text := range tt.has {
				assert.Contains(t, out, text)
			}
			for _, text := range tt.not {
				assert.NotContains(t, out, text)
			}
		})
	}
}

// A route may be called as another one's backends are counted.
func TestNamesOfResourcesDiffer(t *testing.T) {
	for _, api := range []API{GatewayAPI, Classic} {
		out, err := rendered(t, `
engine: {provider: vllm}
filter: {profile: gated}
routes:
- {name: a, match: {models: [m]}, backends: [{url: "http://one"}, {url: "http://two"}]}
- {name: a-1, backends: [{url: "http://three"}]}
`, Options{API: api, Name: "gw", Image: "f"})
		require.NoError(t, err)
		seen := map[string]bool{}
		for _, document := range strings.Split(out, "\n---\n") {
			var resource struct {
				Kind     string
				Metadata struct{ Name string }
			}
			require.NoError(t, yaml.Unmarshal([]byte(document), &resource))
			name := resource.Kind + " " + resource.Metadata.Name
			assert.False(t, seen[name], "%s stands there twice", name)
			seen[name] = true
		}
	}
}

func TestWhatIstioCannotDo(t *testing.T) {
	const route, token = "filter: {profile: gated}\nroutes: ", "auth: {type: jwt, jwt: {issuer: i, audiences: [a], "
	for config, problem := range map[string]string{
		route + "[{name: a, match: {models: [m]}, balance: affinity, backends: [{url: 'http://one'}, {url: 'http://two'}]}]":                                              "routes[0].balance: ",
		route + "[{name: a, match: {models: [m]}, backends: [{url: 'http://one'}, {url: 'http://two', priority: 1}]}]":                                                    "routes[0].backends[1].priority: ",
		route + "[{name: a, match: {models: [m]}, backends: [{url: 'http://one/path'}]}]":                                                                                 "routes[0].backends[0].url: ",
		route + "[{name: a, match: {models: [m]}, backends: [{url: 'http://one'}]}, {name: b, match: {models: [n]}, balance: affinity, backends: [{url: 'http://one'}]}]": "routes[1].backends[0]: ",
		route + "[{name: a, match: {models: [m]}, backends: [{url: 'https://one', tls: {server_name: one.internal}}]}]":                                                   "routes[0].backends[0].tls: ",
		route + "[{name: a, match: {models: [m]}, backends: [{url: 'http://one', protocol: http2}]}]":                                                                     "routes[0].backends[0].protocol: ",
		"server: {tls: {cert_file: c, key_file: k}}":                                                                                                                      "server.tls: ",
		"limits: {rules: [{name: a, requests_at_once: 1}]}":                                                                                                               "limits.rules[0].requests_at_once: ",
		"limits: {max_requests: 9}\n" + route + "[{name: a, match: {models: [m]}, backends: [{url: 'http://one'}]}]":                                                      "limits.max_requests: ",
		"server: {trusted_proxies: [10.0.0.1]}":                                                                                                                           "server.trusted_proxies: ",
		token + "jwks_file: f}}":                                                                                                                                          "auth.jwt.jwks_file: ",
		token + "jwks_url: 'https://i', clock_skew: 2m}}":                                                                                                                 "auth.jwt.clock_skew: ",
		token + "jwks_url: 'https://i', jwks_refresh: 1m}}":                                                                                                               "auth.jwt.jwks_refresh: ",
	} {
		t.Run(problem, func(t *testing.T) {
			_, err := rendered(t, "engine: {provider: vllm, backend_url: 'http://backend'}\n"+config, Options{API: GatewayAPI, Name: "gw", Image: "f"})
			require.ErrorContains(t, err, problem)
		})
	}
}
