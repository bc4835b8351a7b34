package gateway_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy/gateway"
)

// The route for what the filter makes of requests comes with the provider vllm. A
// connection that was there before, and has the filters of then, is no way to it.
func TestProviderChanges(t *testing.T) {
	const config = "server: {host: 127.0.0.1, port: 0}\nengine: {provider: %s, backend_url: %q}\n"
	u := newUpstream(t, "a")
	g := gateway.Start(t, fmt.Sprintf(config, "vllm-responses", u.URL)).Ready()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	answers := bufio.NewReader(conn)
	ask := func() (status int, open bool) {
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		if _, err := fmt.Fprint(conn, "GET /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n\r\n"); err != nil {
			return 0, false
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			return 0, false
		}
		read(t, resp, nil)
		return resp.StatusCode, !resp.Close
	}
	status, open := ask()
	require.Equal(t, http.StatusNotFound, status)
	require.True(t, open, "the connection must outlive the question")
	g.Write(fmt.Sprintf(config, "vllm", u.URL))
	for range time.Tick(5 * time.Millisecond) {
		if !open {
			break
		}
		if status, open = ask(); status != 0 {
			require.Equal(t, http.StatusNotFound, status)
		}
	}
	g.Logged(1, "the changed configuration is in force")
	for _, r := range u.requests() {
		assert.NotContains(t, r.URL.Path, "chat", "a client's request reached the backend's Chat Completions")
	}
}

// Provider and backend change in one: each request is answered, by the backend that speaks
// what the filter has made of it, whether its connection is new or was there before, and
// its body in clear or not.
func TestProviderAndBackendChange(t *testing.T) {
	c, err := chain.Start(context.Background(), chain.Options{Antwort: checkout.Antwort(t), Tiers: []string{"serve"}, Dir: t.TempDir(), Log: t.Logf})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	forwards := fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q}\n", c.BaseURL)
	translates := fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm, backend_url: %q}\n", c.Upstream)
	body := []byte(`{"model":"/mnt/models","input":"mock: tokens=3"}`)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(body)
	require.NoError(t, errors.Join(err, w.Close()))
	g := gateway.Start(t, forwards).Ready()

	var stops []func() map[string]int
	for _, kept := range []bool{true, false} {
		stops = append(stops, askAlways(t, g.URL, body, "identity", kept), askAlways(t, g.URL, packed.Bytes(), "gzip", kept))
	}
	for i, config := range []string{translates, forwards, translates} {
		g.Write(config)
		g.Logged(i+1, "the changed configuration is in force")
	}
	for _, stop := range stops {
		assert.Equal(t, []string{"200 "}, slices.Collect(maps.Keys(stop())))
	}
}

// askAlways posts a body again and again, on a connection that is kept or on new ones,
// until it is stopped: then it says how often there was which answer, in words.
func askAlways(t *testing.T, url string, body []byte, coding string, kept bool) (stop func() map[string]int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: !kept}}
	t.Cleanup(client.CloseIdleConnections)
	ask := func() string {
		req, err := http.NewRequest(http.MethodPost, url+"/v1/responses", bytes.NewReader(body))
		if err != nil {
			return err.Error()
		}
		req.Header = http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {coding}}
		resp, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		switch {
		case err != nil:
			return err.Error()
		case resp.StatusCode == http.StatusOK:
			return "200 "
		}
		return fmt.Sprint(resp.StatusCode, " ", string(text))
	}
	done, ended := make(chan struct{}), make(chan struct{})
	said := map[string]int{}
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			default:
				said[ask()]++
			}
		}
	}()
	return func() map[string]int {
		close(done)
		<-ended
		return said
	}
}

// A backend gets requests for itself only, while another one takes its place.
func TestBackendMoves(t *testing.T) {
	const config = "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: \"%s/%s\"}\n"
	a, b := newUpstream(t, "a"), newUpstream(t, "b")
	g := gateway.Start(t, fmt.Sprintf(config, a.URL, a.name)).Ready()
	stop := askAlways(t, g.URL, []byte("{}"), "identity", true)
	for i, u := range []*upstream{b, a, b, a} {
		g.Write(fmt.Sprintf(config, u.URL, u.name))
		g.Logged(i+1, "the changed configuration is in force")
	}
	assert.Equal(t, []string{"200 "}, slices.Collect(maps.Keys(stop())))
	for _, u := range []*upstream{a, b} {
		wrong := map[string]int{}
		for _, r := range u.requests() {
			if at := r.Host + r.URL.Path; !strings.HasSuffix(at, "/healthz") && at != strings.TrimPrefix(u.URL, "http://")+"/"+u.name+"/v1/responses" {
				wrong[at]++
			}
		}
		assert.Empty(t, wrong, u.URL)
	}
}

// While the filter changes it puts in the key of before: the backends of afterwards
// must not see it.
func TestBackendAndKeyChange(t *testing.T) {
	const config = "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q, api_key_env: %s}\n"
	a, b := newUpstream(t, "a"), newUpstream(t, "b")
	g := gateway.Start(t, fmt.Sprintf(config, a.URL, "KEY_OF_A"), "KEY_OF_A=key-of-a", "KEY_OF_B=key-of-b").Ready()
	client := newClient(t)
	ask := func() answer {
		resp, err := client.Post(g.URL+"/v1/responses", "application/json", strings.NewReader("{}"))
		return read(t, resp, err)
	}
	require.Equal(t, http.StatusOK, ask().status)
	stream, err := client.Post(g.URL+"/v1/responses", "application/json", strings.NewReader(`{"stream":true}`))
	require.NoError(t, err)
	g.Write(fmt.Sprintf(config, b.URL, "KEY_OF_B"))
	require.Eventually(t, func() bool {
		got := ask()
		if got.status != http.StatusOK {
			require.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
			require.NotEmpty(t, got.header.Get("Retry-After"))
			require.Equal(t, "upstream_unavailable", got.code(t))
		}
		return got.header.Get("X-Upstream") == "b"
	}, time.Minute, time.Millisecond)
	g.Logged(1, "the changed configuration is in force")
	a.finish()
	rest := read(t, stream, nil)
	assert.Equal(t, "a", rest.header.Get("X-Upstream"))
	assert.Contains(t, rest.body, "response.completed", "what is in flight goes on")
	metrics, err := client.Get(g.URL + "/metrics")
	assert.Contains(t, read(t, metrics, err).body, `envoy_cluster_upstream_rq_total{envoy_cluster_name="backend"}`)
	for u, key := range map[*upstream]string{a: "Bearer key-of-a", b: "Bearer key-of-b"} {
		for _, r := range u.requests() {
			assert.Equal(t, key, r.Header.Get("Authorization"), "the key of another backend")
		}
	}
}

// A request whose body was still coming has the filter of before, and its key. The
// backends of afterwards do not get it, however late the body is.
func TestBackendAndKeyChangeUnderARequest(t *testing.T) {
	const head = "server: {host: 127.0.0.1, port: 0}\nfilter: {profile: gated}\nengine: {provider: %s"
	const env, body = "KEY_OF_%s=key-of-%[1]s", `{"model":"m","input":"x"}`
	for provider, config := range map[string]string{
		"vllm":           head + ", backend_url: %q, api_key_env: KEY_OF_%s}\n",
		"vllm-responses": head + "}\nroutes: [{name: moves, match: {models: [m]}, backends: [{url: %q, api_key_env: KEY_OF_%s}]}]\n",
	} {
		t.Run(provider, func(t *testing.T) {
			a, b := newUpstream(t, "a"), newUpstream(t, "b")
			g := gateway.Start(t, fmt.Sprintf(config, provider, a.URL, "A"), fmt.Sprintf(env, "A"), fmt.Sprintf(env, "B")).Ready()
			finish := postSlowly(t, g.URL, body)
			g.Write(fmt.Sprintf(config, provider, b.URL, "B"))
			g.Logged(1, "the changed configuration is in force")
			got := finish()
			assert.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
			for _, r := range b.requests() {
				assert.NotEqual(t, "Bearer key-of-A", r.Header.Get("Authorization"), "the key of another backend")
			}
			post(t, g.URL+"/v1/responses", body)
			assert.Equal(t, "Bearer key-of-B", b.requests()[0].Header.Get("Authorization"), "the route is not open again")
		})
	}
}

// A route may be gone when the body of a request that chose it has come. The
// request has its key, and goes nowhere else.
func TestRouteLeavesUnderARequest(t *testing.T) {
	a, b := newUpstream(t, "a"), newUpstream(t, "b")
	config := fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q}\nfilter: {profile: gated}\n", a.URL)
	route := fmt.Sprintf("routes: [{name: leaves, match: {models: [m]}, backends: [{url: %q, api_key_env: THE_KEY}]}]\n", b.URL)
	g := gateway.Start(t, config+route, "THE_KEY=key-of-b").Ready()
	finish := postSlowly(t, g.URL, `{"model":"m","input":"x"}`)
	g.Write(config)
	g.Logged(1, "the changed configuration is in force")
	got := finish()
	assert.Equal(t, http.StatusServiceUnavailable, got.status, got.body)
	assert.Equal(t, "upstream_unavailable", got.code(t))
	for _, r := range a.requests() {
		assert.Empty(t, r.Header.Get("Authorization"), "the key of another backend")
	}
}
