package envoy

//go:generate go test -update .

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"antwort/server/configfile"
	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what is rendered as what is expected")

const rerun = "if it is right: go test ./server/render/envoy -update"

// golden compares text with a file of testdata.
func golden(t *testing.T, file string, text []byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.WriteFile(file, text, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, rerun)
	assert.Equal(t, string(want), string(text), rerun)
}

var alone = Options{Module: "filter.wasm", Admin: "127.0.0.1:9901", Roots: "/etc/ssl/certs/ca-certificates.crt"}

// The rendered configurations are given to real Envoy in e2e/envoy.
func TestBootstrap(t *testing.T) {
	for _, name := range []string{"translate", "forward", "every-key", "routes", "tokens", "traced", "backends", "limits", "sharedlimits"} {
		t.Run(name, func(t *testing.T) {
			c, err := configfile.LoadUnresolved(filepath.Join("testdata", name, "config.yaml"))
			require.NoError(t, err)
			doc, err := Bootstrap(c, alone)
			require.NoError(t, err)
			text, err := doc.YAML()
			require.NoError(t, err)
			golden(t, name+"/envoy.yaml", text)

			asJSON, err := doc.JSON()
			require.NoError(t, err)
			fromYAML, err := configfile.Parse("envoy.yaml", text)
			require.NoError(t, err)
			assert.JSONEq(t, string(asJSON), string(fromYAML.JSON), "YAML and JSON must say the same")
		})
	}
}

// The service is given its file in e2e/envoy.
func TestService(t *testing.T) {
	c, err := configfile.LoadUnresolved(filepath.Join("testdata", "sharedlimits", "config.yaml"))
	require.NoError(t, err)
	doc, err := Service(c)
	require.NoError(t, err)
	text, err := doc.YAML()
	require.NoError(t, err)
	golden(t, "sharedlimits/ratelimit.yaml", text)

	c.Limits.Store = config.MemoryLimits
	c.Limits.Rules = nil
	_, err = Service(c)
	require.ErrorContains(t, err, "limits.service: each Envoy counts for itself")
}

func supervised(folder string) Options {
	o := alone
	o.Module, o.Admin = folder+"/filter.wasm", folder+"/admin"
	o.Supervised = &Supervised{Folder: folder, Control: folder + "/control", Upstream: folder + "/upstream", Generation: 3, Keeps: true}
	return o
}

func TestFiles(t *testing.T) {
	c, err := configfile.Load(filepath.Join("testdata", "supervised", "config.yaml"))
	require.NoError(t, err)
	files, err := Files(c, supervised("/tmp/antwort"))
	require.NoError(t, err)
	require.Len(t, files, 5)
	for name, f := range files {
		golden(t, "supervised/"+name, f.JSON)
	}
}

func TestVersionIsOfTheContent(t *testing.T) {
	load := func(text string) map[string]File {
		file, err := configfile.Parse("antwort.yaml", []byte(text))
		require.NoError(t, err)
		c, err := config.Load(config.Sources{JSON: file.JSON})
		require.NoError(t, err)
		files, err := Files(c, supervised("/tmp/antwort"))
		require.NoError(t, err)
		return files
	}
	const base = "engine: {provider: vllm, backend_url: \"http://llm:8000\"}\n"
	before := load(base)
	for name, c := range map[string]struct {
		text    string
		changed []string
	}{
		"nothing":        {base, nil},
		"the filter":     {base + "translation: {unsupported_tools: drop}\n", []string{PluginFile}},
		"retries":        {strings.Replace(base, "}", ", retry: {max_attempts: 2}}", 1), []string{PluginFile, RoutesFile}},
		"the backend":    {strings.Replace(base, "llm:", "other:", 1), []string{ClustersFile, PluginFile}},
		"idle time-out":  {base + "server: {idle_timeout: 1m}\n", []string{ListenersFile, PluginFile}},
		"path of metric": {base + "observability: {metrics: {path: /m}}\n", []string{PluginFile, RoutesFile}},
	} {
		t.Run(name, func(t *testing.T) {
			var changed []string
			after := load(c.text)
			for _, name := range []string{ClustersFile, ListenersFile, PluginFile, RoutesFile} {
				require.NotEmpty(t, after[name].Version)
				if before[name].Version != after[name].Version {
					changed = append(changed, name)
				}
			}
			assert.Equal(t, c.changed, changed)
		})
	}
}

func TestSecretsAreOnlyForTheChild(t *testing.T) {
	c, err := config.Parse([]byte(`{"engine":{"provider":"vllm","backend_url":"http://llm:8000","api_key":"top-secret"}}`))
	require.NoError(t, err)
	doc, err := Bootstrap(c, alone)
	require.NoError(t, err)
	text, err := doc.JSON()
	require.NoError(t, err)
	assert.NotContains(t, string(text), "top-secret")
	assert.Contains(t, string(text), `"host_env_keys": [`)

	files, err := Files(c, supervised("/tmp/antwort"))
	require.NoError(t, err)
	for name, f := range files {
		assert.Equal(t, name == PluginFile, strings.Contains(string(f.JSON), "top-secret"), name)
	}
}

func TestNamesCannotBeListenedOn(t *testing.T) {
	c, err := config.Parse([]byte(`{"server":{"host":"gateway.example"},"engine":{"provider":"vllm","backend_url":"http://llm:8000"}}`))
	require.NoError(t, err)
	_, err = Bootstrap(c, alone)
	require.ErrorContains(t, err, `server.host: Envoy listens on IP addresses only, got the name "gateway.example"`)
}

func TestBackend(t *testing.T) {
	for url, want := range map[string]backend{
		"http://llm":              {address: address{"llm", 80, false}, tls: false, authority: "llm", base: ""},
		"https://llm":             {address: address{"llm", 443, false}, tls: true, authority: "llm", base: ""},
		"http://llm:8000/a/b":     {address: address{"llm", 8000, false}, tls: false, authority: "llm:8000", base: "/a/b"},
		"http://10.0.0.1:1":       {address: address{"10.0.0.1", 1, true}, tls: false, authority: "10.0.0.1:1", base: ""},
		"https://[2001:db8::1]:9": {address: address{"2001:db8::1", 9, true}, tls: true, authority: "[2001:db8::1]:9", base: ""},
	} {
		t.Run(url, func(t *testing.T) {
			got, err := parseBackend(url)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Second: "1s", 10 * time.Minute: "600s", 1500 * time.Millisecond: "1.5s", time.Nanosecond: "0.000000001s", 100 * time.Second: "100s",
	} {
		assert.Equal(t, want, duration(d))
	}
}

func TestLocalRepliesAreErrorsOfTheAPI(t *testing.T) {
	for i, r := range replies {
		if r.error == nil {
			require.Zero(t, i, "only the first leaves a reply as it is")
			continue
		}
		text := string(r.error.AppendBody(nil))
		assert.NotContains(t, text, "%", "Envoy would take it for a command")
		var body struct {
			Error struct{ Message, Type, Code string }
		}
		require.NoError(t, json.Unmarshal([]byte(text), &body))
		assert.NotEmpty(t, body.Error.Message)
		assert.NotEmpty(t, body.Error.Type)
		assert.NotEmpty(t, body.Error.Code)
		assert.GreaterOrEqual(t, r.error.Status, http.StatusBadRequest)
	}
}

// What one cluster of Envoy's cannot be, by the key that asks for it.
func TestWhatEnvoyCannotDo(t *testing.T) {
	for name, test := range map[string]struct{ config, problem string }{
		"two base paths": {
			`"routes":[{"name":"a","backends":[{"url":"http://a/x"},{"url":"http://b/y"}]}]`,
			`routes[0].backends[1].url: Envoy has one base path for all backends of a route, and the first one's is "/x": make a route of each`,
		},
		"two times to connect": {
			`"routes":[{"name":"a","backends":[{"url":"http://a"},{"url":"http://b","connect_timeout":"1s"}]}]`,
			`routes[0].backends[1].connect_timeout: Envoy has one for all backends of a route`,
		},
		"two times of silence": {
			`"routes":[{"name":"a","backends":[{"url":"http://a"},{"url":"http://b","stream_idle_timeout":"1s"}]}]`,
			`routes[0].backends[1].stream_idle_timeout: Envoy has one for all backends of a route`,
		},
		"two protocols": {
			`"routes":[{"name":"a","backends":[{"url":"http://a"},{"url":"http://b","protocol":"http2"}]}]`,
			`routes[0].backends[1].protocol: Envoy has one for all backends of a route`,
		},
		"two ways of HTTP/2": {
			`"routes":[{"name":"a","backends":[{"url":"http://a","protocol":"http2"},{"url":"https://b","protocol":"http2"}]}]`,
			`routes[0].backends[1].url: Envoy speaks HTTP/2 to all backends of a route in TLS, or to all in clear`,
		},
		"a name to listen on": {
			`"server":{"admin":{"host":"metrics.example","port":9090}},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`server.admin.host: Envoy listens on IP addresses only, got the name "metrics.example"`,
		},
		"as many requests as all routes together": {
			`"limits":{"max_requests":9},"routes":[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a"}]},{"name":"b","backends":[{"url":"http://b"}]}]`,
			`limits.max_requests: Envoy counts the requests of each route by itself`,
		},
		"two numbers of requests": {
			`"routes":[{"name":"a","backends":[{"url":"http://a","max_requests":2},{"url":"http://b"}]}]`,
			`routes[0].backends[1].max_requests: Envoy counts for all backends of a route together, and another one has another`,
		},
		"numbers of requests and weights": {
			`"routes":[{"name":"a","backends":[{"url":"http://a","max_requests":2,"weight":2},{"url":"http://b","max_requests":2}]}]`,
			`routes[0].backends[0].max_requests: Envoy counts for all backends of a route together, and with weights`,
		},
		"requests of a caller at once": {
			`"limits":{"rules":[{"name":"a","requests_at_once":1}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.rules[0].requests_at_once: Envoy knows of requests at once of a cluster, not of a caller`,
		},
		"tokens": {
			`"limits":{"rules":[{"name":"a","requests_per_minute":1,"tokens_per_day":1}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.rules[0].tokens_per_day: Envoy counts requests`,
		},
		"a model that is read too late": {
			`"limits":{"rules":[{"name":"a","per":["model"],"requests_per_minute":1}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.rules[0]: depends on the model, which Envoy learns with filter.profile gated only`,
		},
		"counts of several": {
			`"limits":{"store":"redis","redis":{"url_env":"R"},"rules":[{"name":"a","requests_per_minute":1}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.store: an Envoy asks no Redis: set limits.service`,
		},
		"a month of a service": {
			`"limits":{"store":"redis","service":"http://l:8081","redis":{"url_env":"R"},"rules":[{"name":"a","tokens_per_month":1}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.rules[0].tokens_per_month: the month of envoyproxy/ratelimit has 30 days`,
		},
		"more tokens than a service counts": {
			`"limits":{"store":"redis","service":"http://l:8081","redis":{"url_env":"R"},"rules":[{"name":"a","tokens_per_day":5000000000}]},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]`,
			`limits.rules[0].tokens_per_day: Envoy counts to 4294967295 at most`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(config.Sources{Unresolved: true, JSON: []byte(`{"engine":{"provider":"vllm"},` + test.config + `}`)})
			require.NoError(t, err)
			_, err = Bootstrap(c, alone)
			require.ErrorContains(t, err, test.problem)
		})
	}
}

// What a supervised Envoy is given is in the files, so that another certificate is
// another version of the clusters.
func TestBackendsCertificates(t *testing.T) {
	c, err := configfile.Load(filepath.Join("testdata", "backends", "config.yaml"))
	require.NoError(t, err)
	version := func(key string) string {
		o := supervised("/tmp/antwort")
		o.Supervised.Backends = map[string][]byte{
			"/etc/antwort/backend/ca.crt": []byte("AUTHORITY"), "/etc/antwort/backend/tls.crt": []byte("CERTIFICATE"),
			"/etc/antwort/backend/tls.key": []byte(key), "/etc/antwort/other/ca.crt": []byte("OTHER"),
		}
		files, err := Files(c, o)
		require.NoError(t, err)
		for name, f := range files {
			assert.Equal(t, name == ClustersFile, strings.Contains(string(f.JSON), key), name)
			assert.NotContains(t, string(f.JSON), "/etc/antwort/", name)
		}
		return files[ClustersFile].Version
	}
	assert.NotEqual(t, version("KEY-1"), version("KEY-2"))
}

// How many requests a cluster may have at once, for all backends of its route together.
func TestRequestsAtOnce(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		most   []int
	}{
		"none":                    {`"engine":{"provider":"vllm","backend_url":"http://a"}`, []int{0}},
		"of the backend":          {`"engine":{"provider":"vllm","backend_url":"http://a","max_requests":5}`, []int{5}},
		"of the process":          {`"engine":{"provider":"vllm","backend_url":"http://a","max_requests":5},"limits":{"max_requests":3}`, []int{3}},
		"of the process, greater": {`"engine":{"provider":"vllm","backend_url":"http://a","max_requests":5},"limits":{"max_requests":9}`, []int{5}},
		"several backends":        {`"engine":{"provider":"vllm","max_requests":5},"routes":[{"name":"a","backends":[{"url":"http://a"},{"url":"http://b"}]}]`, []int{10}},
		"of each its own": {
			`"engine":{"provider":"vllm","max_requests":5},"routes":[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a","max_requests":7}]},{"name":"b","backends":[{"url":"http://b"}]}]`,
			[]int{7, 5},
		},
		"one that stands behind two": {
			`"engine":{"provider":"vllm","max_requests":5},"routes":[{"name":"a","backends":[{"url":"http://a"},{"url":"http://b"},{"url":"http://c","priority":1}]}]`, []int{5},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := config.Load(config.Sources{JSON: []byte("{" + test.config + "}")})
			require.NoError(t, err)
			all, err := pools(c, nil)
			require.NoError(t, err)
			for i, most := range test.most {
				assert.Equal(t, most, all[i].most)
				text, err := all[i].breaker().JSON()
				require.NoError(t, err)
				if most == 0 {
					most = maxConcurrent
				}
				assert.JSONEq(t, fmt.Sprintf(`{"max_connections":65536,"max_pending_requests":%d,"max_requests":%d,"max_retries":65536}`, most, most), string(text))
			}
		})
	}
}

// What of tracing Envoy cannot do is refused by its key.
func TestTracingThatEnvoyCannotDo(t *testing.T) {
	for observability, problem := range map[string]string{
		`otlp: {endpoint: "https://c", ca_file: /ca}`:                    "observability.otlp.ca_file",
		`{otlp: {endpoint: "http://c"}, capture: 1KiB}`:                  "observability.capture",
		`otlp: {endpoint: "http://c", headers_env: H}`:                   "observability.otlp.headers",
		`otlp: {endpoint: "https://c.example/v1", protocol: grpc}`:       "",
		`otlp: {endpoint: "http://[::1]:4318", service_name: "front-1"}`: "",
	} {
		if observability[0] != '{' {
			observability = "{" + observability + "}"
		}
		file := filepath.Join(t.TempDir(), "antwort.yaml")
		require.NoError(t, os.WriteFile(file, []byte("engine: {provider: vllm, backend_url: http://llm}\nobservability: "+observability), 0o600))
		c, err := configfile.LoadUnresolved(file)
		require.NoError(t, err)
		if _, err = Bootstrap(c, alone); problem != "" {
			require.ErrorContains(t, err, problem)
			continue
		}
		require.NoError(t, err)
	}
}
