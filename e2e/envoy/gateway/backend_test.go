package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/upstream/pki"
)

// Backends that want a certificate and have one of a private authority with
// another name, in each protocol; a changed certificate counts, a wrong one does
// not.
func TestBackendCertificates(t *testing.T) {
	for protocol, spoken := range map[string]string{"http1": "HTTP/1.1", "http2": "HTTP/2.0"} {
		t.Run(protocol, func(t *testing.T) {
			ca, dir := pki.New(t), t.TempDir()
			pair, err := tls.X509KeyPair(ca.Issue(t, "llm.internal"))
			require.NoError(t, err)
			backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				fmt.Fprintf(w, `{"who":%q,"name":%q,"proto":%q}`, r.TLS.PeerCertificates[0].DNSNames[0], r.TLS.ServerName, r.Proto)
			}))
			backend.EnableHTTP2 = true
			backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
			backend.TLS.ClientCAs.AppendCertsFromPEM(ca.PEM)
			backend.StartTLS()
			t.Cleanup(backend.Close)
			write := func(name string, b []byte) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
			}
			show := func(name string) {
				cert, key := ca.Issue(t, name)
				write("key.pem", key)
				write("cert.pem", cert)
			}
			write("ca.pem", ca.PEM)
			show("alice")
			g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q, protocol: %s, tls: {ca_file: %s/ca.pem, cert_file: %s/cert.pem, key_file: %s/key.pem, server_name: llm.internal}}\n",
				backend.URL, protocol, dir, dir, dir)).Ready()
			who := func() string {
				resp, err := http.Post(g.URL+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"x"}`))
				return read(t, resp, err).body
			}
			assert.JSONEq(t, fmt.Sprintf(`{"who":"alice","name":"llm.internal","proto":%q}`, spoken), who())
			show("bob")
			g.Logged(1, "the changed configuration is in force")
			assert.Contains(t, who(), `"who":"bob"`)
			write("key.pem", []byte("no key"))
			g.Logged(1, "the old one stays in force", "tls.cert_file and tls.key_file")
			assert.Contains(t, who(), `"who":"bob"`)
		})
	}
}

// HTTP/2 in clear needs no negotiation, for health checks neither.
func TestBackendInHTTP2(t *testing.T) {
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"proto":%q}`, r.Proto)
	}))
	backend.Config.Protocols = new(http.Protocols)
	backend.Config.Protocols.SetUnencryptedHTTP2(true)
	backend.Start()
	t.Cleanup(backend.Close)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses, backend_url: %q, protocol: http2}\n", backend.URL)).Ready()
	resp, err := http.Post(g.URL+"/v1/responses", "application/json", strings.NewReader(`{"model":"m","input":"x"}`))
	assert.JSONEq(t, `{"proto":"HTTP/2.0"}`, read(t, resp, err).body)
}

// A backend that leads back to the gateway is told the client.
func TestLoop(t *testing.T) {
	port := gateway.FreePort(t)
	circle := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", fmt.Sprintf("127.0.0.1:%d", port), ""
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.Header().Set("Content-Type", resp.Header.Get("Content-Type"))
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(circle.Close)
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm-responses, backend_url: %q}\n", port, circle.URL))
	g.Logged(1, "no contact with the upstream yet")
	resp, err := http.Post(fmt.Sprintf("http://127.0.0.1:%d/v1/responses", port), "application/json", strings.NewReader(`{"model":"m","input":"x"}`))
	got := read(t, resp, err)
	assert.Equal(t, http.StatusLoopDetected, got.status)
	assert.Contains(t, got.body, `"code":"loop_detected"`)
}
