package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/upstream/pki"
	"antwort/shared/config"
)

const (
	askMock       = `{"model":"/mnt/models","input":"hi"}`
	askMockStream = `{"model":"/mnt/models","input":"hi","stream":true}`
)

// The chain over HTTPS with a private authority, in each protocol.
func TestBackendsOverTLS(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	c := newCertified(t, "antwort")
	backend := c.start(t, config.VLLM, llm)
	for _, protocol := range []string{config.HTTP1, config.HTTP2} {
		r := start(t, config.VLLMResponses, backend.url, func(cfg *config.Config) {
			cfg.Engine.TLS.CAFile, cfg.Engine.Protocol = c.CertFile, protocol
		})
		require.Equal(t, 200, r.post(askMock).status, protocol)
		got := r.post(askMockStream)
		checkStream(t, got.body)
		require.Equal(t, "response.completed", lastEvent(t, got.body), protocol)
	}
	r := start(t, config.VLLMResponses, backend.url)
	require.Equal(t, 502, r.post(askMock).status, "an unknown authority is trusted")
}

// HTTP/2 in clear needs to be asked for only.
func TestBackendsInHTTP2(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm).front(func(cfg *config.Config) { cfg.Engine.Protocol = config.HTTP2 })
	got := r.post(askMockStream)
	checkStream(t, got.body)
	require.Equal(t, "response.completed", lastEvent(t, got.body))
	require.Contains(t, r.call("GET", "/v1/models", "").body, `"object":"list"`)
}

// A changed client certificate counts from the next connection on; a wrong one
// changes nothing.
func TestChangedCertificateForTheBackend(t *testing.T) {
	t.Parallel()
	ca, dir := pki.New(t), t.TempDir()
	pair, err := tls.X509KeyPair(ca.Issue(t, "llm.internal"))
	require.NoError(t, err)
	llm := httptest.NewUnstartedServer(chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"for %s"},"finish_reason":"stop"}]}`, r.TLS.PeerCertificates[0].DNSNames[0])
	}))
	llm.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	llm.TLS.ClientCAs.AppendCertsFromPEM(ca.PEM)
	llm.StartTLS()
	t.Cleanup(llm.Close)
	at := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, b []byte) { require.NoError(t, os.WriteFile(at(name), b, 0o600)) }
	show := func(name string) {
		cert, key := ca.Issue(t, name)
		write("cert.pem", cert)
		write("key.pem", key)
	}
	write("ca.pem", ca.PEM)
	show("alice")
	files := config.BackendTLS{CAFile: at("ca.pem"), CertFile: at("cert.pem"), KeyFile: at("key.pem"), ServerName: "llm.internal"}
	r := start(t, config.VLLM, "", withRoutes(t, fmt.Sprintf(`[{"name":"r","backends":[{"url":%q}]}]`, llm.URL)), func(cfg *config.Config) {
		cfg.Routes[0].Backends[0].TLS = files
	})
	require.Contains(t, r.post(ask).body, "for alice")
	show("bob")
	r.log.waitFor(t, "the certificates for the backend in force")
	require.Contains(t, r.post(ask).body, "for bob")
	write("key.pem", []byte("no key"))
	r.log.waitFor(t, "the changed certificates for the backend are wrong", "tls.cert_file and tls.key_file")
	require.Contains(t, r.post(ask).body, "for bob")

	cfg := *r.inForce.Load().cfg
	_, err = New(&cfg, Options{})
	require.ErrorContains(t, err, "route r: backend "+llm.URL+": tls.cert_file and tls.key_file: ")
}
