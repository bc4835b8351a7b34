package filter_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy"
	"antwort/filter/filtertest"
	"antwort/server/testkit"
)

type object = map[string]any

// plugin is one configured filter: a listener of its own.
type plugin struct {
	name    string
	config  []byte
	gated   bool   // the configuration's profile
	noKnob  bool   // without allow_on_headers_stop_iteration
	routes  string // path prefix, "": all
	nobody  bool   // the upstream refuses connections
	timeout string // of the route, "": none
	reloads bool   // a VM that dies is started anew
	env     object // of the VM
}

// gateway is an Envoy with the plugins in one VM, and an upstream.
type gateway struct {
	*envoy.Process
	up *upstream
}

// start runs Envoy with the plugins. All of them share the module's VM.
func start(t *testing.T, module string, plugins []plugin) *gateway {
	t.Helper()
	envoy.Find(t)
	g := &gateway{up: &upstream{}}
	server := httptest.NewUnstartedServer(g.up)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)

	var listeners []object
	for _, p := range plugins {
		listeners = append(listeners, listener(p, module))
	}
	all := object{
		"admin": object{"address": socket("127.0.0.1:0")},
		"static_resources": object{"listeners": listeners, "clusters": []object{
			cluster("upstream", server.Listener.Addr().String()), cluster("nobody", testkit.Refused(t).String()),
		}},
	}
	maps.Copy(all, measuresTurns)
	bootstrap, err := json.Marshal(all)
	require.NoError(t, err)
	g.Process = envoy.Start(t, bootstrap, "-l", "info")
	return g
}

func socket(address string) object {
	host, port, _ := net.SplitHostPort(address)
	number, _ := strconv.Atoi(port)
	return object{"socket_address": object{"address": host, "port_value": number}}
}

// cluster speaks the client's protocol, so that trailers pass.
func cluster(name, address string) object {
	const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
	return object{
		"name": name, "connect_timeout": "5s", "per_connection_buffer_limit_bytes": 64 << 10, // as it is rendered
		"circuit_breakers": object{"thresholds": []object{{"max_connections": 10000, "max_requests": 10000, "max_pending_requests": 10000}}},
		"load_assignment": object{"cluster_name": name, "endpoints": []object{
			{"lb_endpoints": []object{{"endpoint": object{"address": socket(address)}}}},
		}},
		"typed_extension_protocol_options": object{options: object{
			"@type":                          "type.googleapis.com/" + options,
			"use_downstream_protocol_config": object{"http_protocol_options": object{}, "http2_protocol_options": object{}},
		}},
	}
}

func listener(p plugin, module string) object {
	const filters = "type.googleapis.com/envoy.extensions.filters."
	wasm := object{
		"name":          p.name,
		"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": string(p.config)},
		"vm_config": object{
			"runtime": "envoy.wasm.runtime.v8",
			"code":    object{"local": object{"filename": module}},
		},
	}
	if p.env != nil {
		wasm["vm_config"].(object)["environment_variables"] = object{"key_values": p.env}
	}
	if p.reloads {
		wasm["failure_policy"] = "FAIL_RELOAD"
	}
	if p.gated && !p.noKnob {
		wasm["allow_on_headers_stop_iteration"] = true
	}
	route := object{"cluster": "upstream", "timeout": "0s"}
	if p.nobody {
		route["cluster"] = "nobody"
	}
	if p.timeout != "" {
		route["timeout"] = p.timeout
	}
	prefix := p.routes
	if prefix == "" {
		prefix = "/"
	}
	return object{
		"name": p.name, "address": socket("127.0.0.1:0"),
		"filter_chains": []object{{"filters": []object{{
			"name": "http", "typed_config": object{
				"@type":       filters + "network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix": "http",
				"route_config": object{"virtual_hosts": []object{{"name": "all", "domains": []string{"*"}, "routes": []object{
					{"match": object{"prefix": prefix}, "route": route},
				}}}},
				"http_filters": []object{
					{"name": "wasm", "typed_config": object{"@type": filters + "http.wasm.v3.Wasm", "config": wasm}},
					{"name": "router", "typed_config": object{"@type": filters + "http.router.v3.Router"}},
				},
			},
		}}}},
	}
}

// url is where a plugin listens.
func (g *gateway) url(t testing.TB, name string) string {
	t.Helper()
	address, err := g.Listener(name)
	require.NoError(t, err)
	return "http://" + address
}

// stat is a counter or gauge of the filter.
func (g *gateway) stat(t testing.TB, name string) int {
	t.Helper()
	text, err := g.Get("/stats?filter=" + "^wasmcustom.antwort." + name + "$")
	require.NoError(t, err)
	_, value, found := strings.Cut(strings.TrimSpace(text), ": ")
	if !found {
		return 0
	}
	n, err := strconv.Atoi(value)
	require.NoError(t, err, text)
	return n
}

// becomes waits until a stat has the value.
func (g *gateway) becomes(t testing.TB, name string, want int) {
	t.Helper()
	got := 0
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got = g.stat(t, name); got == want {
			return
		}
	}
	t.Fatalf("stat antwort.%s: expected %d, got %d after 30 s", name, want, got)
}

// upstream answers as it is told to.
type upstream struct {
	mu     sync.Mutex
	answer http.HandlerFunc
}

func (u *upstream) set(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	answer := u.answer
	u.mu.Unlock()
	answer(w, r)
}

// config is a configuration of the filter; more are members of sections, given
// as JSON.
func config(provider, profile string, more ...string) []byte {
	return fmt.Appendf(nil, `{"engine":{"provider":%q},"filter":{"profile":%q%s}}`, provider, profile, strings.Join(more, ""))
}

// root is the checkout.
func root(t testing.TB) string {
	dir, err := filepath.Abs("../../..")
	require.NoError(t, err)
	return dir
}

// shipped is the path of the filter as it is built.
func shipped(t testing.TB) string {
	path := filepath.Join(root(t), "bin", "filter.wasm")
	_, err := os.Stat(path)
	require.NoError(t, err, "run make build")
	return path
}

// panicking builds the filter that panics on demand.
func panicking(t testing.TB) string {
	out := filepath.Join(t.TempDir(), "panicking.wasm")
	args := filtertest.BuildArgs(out, "./wasm")
	for i, a := range args {
		if a == "-tags=tinygo" {
			args[i] = "-tags=tinygo,antwort_panic"
		}
	}
	cmd := exec.Command("go", args...)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return out
}
