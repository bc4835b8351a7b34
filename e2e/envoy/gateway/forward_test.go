package gateway_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// configMap is a folder as the kubelet mounts a ConfigMap: the file is a link
// into ..data, which is a link to the folder of one version.
type configMap struct {
	folder  string
	version int
}

func (m *configMap) file() string { return filepath.Join(m.folder, "config.yaml") }

// update exchanges all files in one step, as the kubelet does.
func (m *configMap) update(t *testing.T, config string) {
	t.Helper()
	m.version++
	name := fmt.Sprintf("..v%d", m.version)
	require.NoError(t, os.Mkdir(filepath.Join(m.folder, name), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(m.folder, name, "config.yaml"), []byte(config), 0o644))
	fresh := filepath.Join(m.folder, "..data_tmp")
	require.NoError(t, os.Symlink(name, fresh))
	require.NoError(t, os.Rename(fresh, filepath.Join(m.folder, "..data")))
	if m.version == 1 {
		require.NoError(t, os.Symlink("..data/config.yaml", m.file()))
	}
}

const forwarding = `
server: {host: 127.0.0.1, port: %d, idle_timeout: %s}
engine: {provider: vllm-responses, backend_url: %q}
`

// The life of one gateway: it waits for its backend, serves, follows its
// configuration, and drains.
func TestForward(t *testing.T) {
	a, b := newUpstream(t, "a"), newUpstream(t, "b")
	m := &configMap{folder: t.TempDir()}
	later := gateway.FreePort(t)
	m.update(t, fmt.Sprintf(forwarding, 0, "5m", fmt.Sprintf("http://127.0.0.1:%d", later)))
	g := gateway.StartFile(t, m.file()).Listening()

	t.Run("not ready before the first contact", func(t *testing.T) {
		line := g.Logged(1, "no contact with the upstream yet")
		assert.Contains(t, line, "remote connection failure")
		assert.Equal(t, http.StatusOK, get(t, g.URL+"/healthz").status)
		ready := get(t, g.URL+"/readyz")
		assert.Equal(t, http.StatusServiceUnavailable, ready.status)
		assert.Equal(t, "waiting for the first contact with the upstream\n", ready.body)
	})
	t.Run("ready after it", func(t *testing.T) {
		ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", later))
		require.NoError(t, err)
		go http.Serve(ln, a)
		t.Cleanup(func() { ln.Close() })
		begin := time.Now()
		g.Ready()
		assert.Less(t, time.Since(begin), 10*time.Second)
		assert.Equal(t, http.StatusOK, get(t, g.URL+"/readyz").status)
		got := post(t, g.URL+"/v1/responses", `{"input":"hi"}`)
		require.Equal(t, http.StatusOK, got.status, got.body)
		assert.Equal(t, `{"path":"/v1/responses","from":"a"}`, got.body)
	})
	config := func(port int, idle string, u *upstream) string { return fmt.Sprintf(forwarding, port, idle, u.URL) }
	m.update(t, config(0, "5m", a))
	g.Logged(1, "the changed configuration is in force")

	serves(t, g, a)
	t.Run("paths", func(t *testing.T) { paths(t, g, a) })

	// A stream is open from here to the end of the changes.
	running := openStream(t, newClient(t), g.URL, "hi")
	kept := newClient(t) // keeps its one connection
	from := func(url string) string {
		resp, err := kept.Post(url+"/v1/responses", "application/json", strings.NewReader("{}"))
		got := read(t, resp, err)
		require.Equal(t, http.StatusOK, got.status, got.body)
		return got.header.Get("X-Upstream")
	}
	require.Equal(t, "a", from(g.URL))

	t.Run("another backend", func(t *testing.T) {
		m.update(t, config(0, "5m", b))
		g.Logged(2, "the changed configuration is in force")
		assert.Equal(t, "b", from(g.URL), "connections that clients keep are served by the new configuration")
	})
	for name, c := range map[string]struct{ config, problem string }{
		"unknown key": {config(0, "5m", a) + "filter: {profil: gated}\n", "config.yaml:4:10: filter.profil: "},
		"bad value":   {config(0, "5 minutes", a), "server.idle_timeout: "},
		"no YAML":     {"engine: {", "config.yaml:1:"},
		"for Envoy":   {strings.Replace(config(0, "5m", a), "127.0.0.1", "gateway", 1), "server.host: "},
	} {
		t.Run("a wrong configuration changes nothing: "+name, func(t *testing.T) {
			m.update(t, c.config)
			g.Logged(1, "the changed configuration is wrong, the old one stays in force", c.problem)
			assert.Equal(t, "b", from(g.URL))
		})
	}
	t.Run("the old configuration again", func(t *testing.T) {
		m.update(t, config(0, "5m", b))
		g.Logged(1, "the configuration is again the one in force")
		assert.Contains(t, get(t, g.URL+"/metrics").body, `antwort_config_reloads_total{provider="vllm-responses",result="refused"} 4`)
	})
	t.Run("another time-out of the listener", func(t *testing.T) {
		m.update(t, config(0, "90s", b))
		g.Logged(3, "the changed configuration is in force")
		assert.Equal(t, "b", from(g.URL))
	})
	t.Run("a port that is in use", func(t *testing.T) {
		_, port, err := net.SplitHostPort(strings.TrimPrefix(b.URL, "http://"))
		require.NoError(t, err)
		var n int
		_, err = fmt.Sscan(port, &n)
		require.NoError(t, err)
		m.update(t, config(n, "90s", b))
		g.Logged(1, "the old one stays in force", "server.port: cannot listen on 127.0.0.1:"+port)
	})
	t.Run("another port", func(t *testing.T) {
		port := gateway.FreePort(t)
		m.update(t, config(port, "90s", a))
		g.Logged(4, "the changed configuration is in force")
		before := g.URL
		g.URL = fmt.Sprintf("http://127.0.0.1:%d", port)
		assert.Equal(t, "a", from(g.URL))
		_, err := net.Dial("tcp", strings.TrimPrefix(before, "http://"))
		assert.ErrorIs(t, err, syscall.ECONNREFUSED, "nobody may listen at the old port any more")
	})
	a.finish()
	assert.Empty(t, running.end(), "a stream must not notice any change")

	t.Run("SIGTERM under load", func(t *testing.T) { drains(t, g, m, b, config) })
}

// drains ends the gateway under streams: none may be cut.
func drains(t *testing.T, g *gateway.Gateway, m *configMap, u *upstream, config func(int, string, *upstream) string) {
	var port int
	_, err := fmt.Sscanf(g.URL, "http://127.0.0.1:%d", &port)
	require.NoError(t, err)
	m.update(t, config(port, "90s", u))
	g.Logged(5, "the changed configuration is in force")

	var streams []*stream
	for range 32 {
		streams = append(streams, openStream(t, newClient(t), g.URL, "hi"))
	}
	kept := newClient(t)
	probe := func() answer {
		resp, err := kept.Get(g.URL + "/readyz")
		return read(t, resp, err)
	}
	require.Equal(t, http.StatusOK, probe().status)
	g.Signal(syscall.SIGTERM)
	g.Logged(1, `"msg":"draining"`)
	assert.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
		if err == nil {
			conn.Close()
		}
		return err != nil
	}, 5*time.Second, 10*time.Millisecond, "new connections must be refused")
	ready := probe()
	assert.Equal(t, http.StatusServiceUnavailable, ready.status)
	assert.Equal(t, "shutting down\n", ready.body)
	assert.True(t, ready.last, "clients must be told to go")

	u.finish()
	begin := time.Now()
	for i, s := range streams {
		assert.Empty(t, s.end(), "stream %d of %d", i+1, len(streams))
	}
	assert.Zero(t, g.Wait())
	t.Logf("ended %s after the last stream", time.Since(begin).Round(time.Millisecond))
	g.Logged(1, `"msg":"stopped"`)
}

// serves: whole answers, streams, probes, metrics and log of the API.
func serves(t *testing.T, g *gateway.Gateway, u *upstream) {
	t.Run("header of the answer", func(t *testing.T) {
		got := post(t, g.URL+"/v1/responses", `{"input":"hi"}`)
		assert.NotEmpty(t, got.header.Get("X-Request-Id"))
		assert.Empty(t, got.header.Get("Server"), "what the backend is made of is nobody's business")
		for name := range got.header {
			assert.NotContains(t, name, "Envoy")
		}
	})
	t.Run("HTTP/2", func(t *testing.T) {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		defer transport.CloseIdleConnections()
		resp, err := (&http.Client{Transport: transport}).Post(g.URL+"/v1/responses", "application/json", strings.NewReader("{}"))
		got := read(t, resp, err)
		assert.Equal(t, http.StatusOK, got.status)
		assert.Equal(t, 2, resp.ProtoMajor)
	})
	t.Run("probes are not written to", func(t *testing.T) {
		got := post(t, g.URL+"/readyz", "")
		assert.Equal(t, http.StatusMethodNotAllowed, got.status)
		assert.Equal(t, "method_not_allowed", got.code(t))
	})
	t.Run("metrics", func(t *testing.T) {
		text := get(t, g.URL+"/metrics").body
		for _, want := range []string{
			"antwort_build_info{", "antwort_config_reloads_total{provider=\"vllm-responses\",result=\"applied\"} 1\n", "\nantwort_requests_total{provider=\"vllm-responses\",endpoint=\"/v1/responses\",code=\"200\"} ",
			"envoy_http_downstream_rq_total{", "envoy_server_live{} 1\n",
		} {
			assert.Contains(t, text, want)
		}
	})
	t.Run("log", func(t *testing.T) {
		post(t, g.URL+"/v1/responses?key=do-not-log", `{"input":"nor this"}`)
		assert.Contains(t, g.Logged(1, `"msg":"request"`, `"path":"/v1/responses"`), `"status":200`)
		for _, line := range g.Log() {
			assert.NotContains(t, line, "do-not-log")
			assert.NotContains(t, line, "nor this")
			if strings.Contains(line, `"method":"GET"`) { // what was POSTed there is no probe
				assert.NotContains(t, line, "/readyz", "probes are not logged")
			}
		}
	})
	t.Run("headers that steer Envoy", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPost, g.URL+"/v1/responses", strings.NewReader(`{}`))
		require.NoError(t, err)
		for _, name := range []string{"X-Envoy-Upstream-Rq-Timeout-Ms", "X-Envoy-Max-Retries", "X-Envoy-Retry-On"} {
			req.Header.Set(name, "1")
		}
		resp, err := http.DefaultClient.Do(req)
		require.Equal(t, http.StatusOK, read(t, resp, err).status)
		seen := u.requests()
		for name := range seen[len(seen)-1].Header {
			assert.NotContains(t, name, "X-Envoy")
		}
	})
	t.Run("fields that are for the next hop", func(t *testing.T) {
		req, err := http.NewRequest(http.MethodPost, g.URL+"/v1/responses", strings.NewReader(`{}`))
		require.NoError(t, err)
		names := []string{"Proxy-Authorization", "Te", "Keep-Alive", "Proxy-Connection"}
		for _, name := range names {
			req.Header.Set(name, "trailers")
		}
		resp, err := http.DefaultClient.Do(req)
		require.Equal(t, http.StatusOK, read(t, resp, err).status)
		seen := u.requests()
		for _, name := range names {
			assert.NotContains(t, seen[len(seen)-1].Header, name)
		}
	})
}
