package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// HTTPS for clients, with a certificate that is exchanged while one of them
// keeps its connection, and a port of its own for metrics.
func TestServerCertificate(t *testing.T) {
	up := &arrivals{release: make(chan struct{})}
	backend := httptest.NewServer(up)
	t.Cleanup(backend.Close)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	install := func(s signed) {
		require.NoError(t, os.WriteFile(keyFile, s.key(t), 0o600))
		require.NoError(t, os.WriteFile(certFile, s.pem, 0o600))
	}
	first, second := certificate(t, "localhost"), certificate(t, "localhost")
	install(first)
	admin := gateway.FreePort(t)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0, tls: {cert_file: %s, key_file: %s}, admin: {port: %d}}\nengine: {provider: vllm-responses, backend_url: %q}\n",
		certFile, keyFile, admin, backend.URL)).Ready()
	url := strings.Replace(g.URL, "http://", "https://", 1)
	trusting := func(s signed) *http.Client {
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(s.pem))
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "localhost"}, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	ask := func(c *http.Client) (*http.Response, error) {
		resp, err := c.Post(url+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"x"}`))
		if err == nil {
			read(t, resp, err)
		}
		return resp, err
	}
	kept := trusting(first)
	resp, err := ask(kept)
	require.NoError(t, err)
	assert.Equal(t, []int{200, 2}, []int{resp.StatusCode, resp.ProtoMajor})
	assert.Equal(t, "https", up.take()[0].Get("X-Forwarded-Proto"))
	_, err = http.Get(g.URL + "/healthz")
	require.Error(t, err, "HTTP in clear on the same port")

	install(second)
	g.Logged(1, "the changed configuration is in force")
	_, err = ask(trusting(second))
	require.NoError(t, err)
	_, err = ask(trusting(first))
	require.Error(t, err, "the old certificate")
	_, err = ask(kept)
	require.NoError(t, err, "a connection that is open")

	require.NoError(t, os.WriteFile(certFile, first.pem, 0o600)) // not of this key
	g.Logged(1, "the old one stays in force", "server.tls")
	_, err = ask(trusting(second))
	require.NoError(t, err)

	at := fmt.Sprintf("http://127.0.0.1:%d", admin)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/v1/models": 404, "/v1/responses": 404, "/stats": 404} {
		assert.Equal(t, want, get(t, at+path).status, path)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 404} {
		resp, err := trusting(second).Get(url + path)
		assert.Equal(t, want, read(t, resp, err).status, path)
	}
}

// Only proxies that are trusted are believed about whom they speak for.
func TestTrustedProxies(t *testing.T) {
	up := &arrivals{release: make(chan struct{})}
	backend := httptest.NewServer(up)
	t.Cleanup(backend.Close)
	const said = "POST /v1/responses HTTP/1.1\r\nHost: gateway\r\nX-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: elsewhere\r\nX-Forwarded-User: root\r\n" +
		"Forwarded: for=203.0.113.9\r\nX-Real-IP: 203.0.113.9\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
	configure := func(trusted string) string {
		return fmt.Sprintf("server: {host: 127.0.0.1, port: 0, trusted_proxies: [%s]}\nengine: {provider: vllm-responses, backend_url: %q}\n", trusted, backend.URL)
	}
	g := gateway.Start(t, configure("198.51.100.0/24")).Ready()
	raw(t, g.URL, said)
	h := up.take()[0]
	assert.NotContains(t, h.Get("X-Forwarded-For"), "203.0.113.9") // Envoy has an address of the host for a loopback one
	assert.NotContains(t, h.Get("X-Forwarded-For"), ",")
	assert.NotContains(t, h, "X-Forwarded-User", "it says who a proxy has let in")
	assert.Equal(t, []string{"http", "", "", ""},
		[]string{h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-Host"), h.Get("Forwarded"), h.Get("X-Real-Ip")})

	g.Write(configure("127.0.0.1"))
	g.Logged(1, "the changed configuration is in force")
	raw(t, g.URL, said)
	h = up.take()[0]
	before, _, more := strings.Cut(h.Get("X-Forwarded-For"), ",")
	assert.True(t, more, "Envoy has added who has asked it")
	assert.Equal(t, []string{"203.0.113.9", "https", "elsewhere", "for=203.0.113.9", "203.0.113.9"},
		[]string{before, h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-Host"), h.Get("Forwarded"), h.Get("X-Real-Ip")})
}
