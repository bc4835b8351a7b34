package gateway_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
	"antwort/server/mockllm"
)

// signed is a self-signed certificate.
type signed struct {
	pem []byte
	tls tls.Certificate
}

// certificate is for these names, and is its own authority.
func certificate(t *testing.T, names ...string) signed {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	var text bytes.Buffer
	require.NoError(t, pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return signed{text.Bytes(), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}}
}

// key is the private key, in PEM.
func (s signed) key(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(s.tls.PrivateKey)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// A backend with TLS, a base path and a key that changes, behind the gated
// profile.
func TestSecureBackend(t *testing.T) {
	cert := certificate(t, "localhost")
	var wanted atomic.Pointer[string] // key
	set := func(key string) { wanted.Store(&key) }
	set("first-key")
	mock := mockllm.New(mockllm.Options{})
	var sent atomic.Int64
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/team/a")
		if path == "/health" {
			return
		}
		if r.Method == http.MethodPost {
			sent.Add(1)
		}
		switch {
		case !ok:
			http.Error(w, "wrong base path", http.StatusTeapot)
		case r.Header.Get("Authorization") != "Bearer "+*wanted.Load():
			w.WriteHeader(http.StatusUnauthorized)
		default:
			r.URL.Path = path
			mock.ServeHTTP(w, r)
		}
	}))
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{cert.tls}}
	backend.StartTLS()
	defer backend.Close()

	dir := t.TempDir()
	roots, keyFile := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(roots, cert.pem, 0o600))
	require.NoError(t, os.WriteFile(keyFile, []byte("first-key\n"), 0o600))
	port := backend.Listener.Addr().String()[strings.LastIndex(backend.Listener.Addr().String(), ":"):]
	config := func(host string) string {
		return fmt.Sprintf(`
server: {host: 127.0.0.1, port: 0}
engine: {provider: vllm, backend_url: "https://%s%s/team/a", default_model: /mnt/models, api_key_file: %q}
filter: {profile: gated}
limits: {request_body_bytes: 4MiB}
`, host, port, keyFile)
	}
	// The certificate is for another name than this address.
	g := gateway.Start(t, config("127.0.0.1"), "SSL_CERT_FILE="+roots).Listening()
	g.Logged(1, "no contact with the upstream yet", "503")
	assert.Equal(t, http.StatusServiceUnavailable, get(t, g.URL+"/readyz").status)
	g.Write(config("localhost"))
	g.Logged(1, "the changed configuration is in force")
	g.Ready()

	ask := func(input string) answer { return post(t, g.URL+"/v1/responses", fmt.Sprintf(`{"input":%q}`, input)) }
	t.Run("with the right name", func(t *testing.T) {
		got := ask("hi")
		require.Equal(t, http.StatusOK, got.status, got.body)
	})
	t.Run("what is invalid reaches no backend", func(t *testing.T) {
		before := sent.Load()
		got := post(t, g.URL+"/v1/responses", `{"input":[{"type":"no_such_item"}]}`)
		assert.Equal(t, http.StatusBadRequest, got.status, got.body)
		assert.Equal(t, before, sent.Load())
	})
	t.Run("a body over Envoy's own limit", func(t *testing.T) {
		got := ask(strings.Repeat("word ", 600_000))
		require.Equal(t, http.StatusOK, got.status, got.body[:min(len(got.body), 300)])
	})
	t.Run("a body over ours", func(t *testing.T) {
		got := ask(strings.Repeat("word ", 1_000_000))
		require.Equal(t, http.StatusRequestEntityTooLarge, got.status)
		assert.Equal(t, "request_too_large", got.code(t))
	})
	t.Run("another key", func(t *testing.T) {
		s := openStream(t, newClient(t), g.URL, "mock: tokens=40 delay=100ms")
		set("second-key")
		got := ask("hi")
		assert.Equal(t, http.StatusBadGateway, got.status, got.body)
		require.NoError(t, os.WriteFile(keyFile, []byte("second-key\n"), 0o600))
		begin := time.Now()
		g.Logged(2, "the changed configuration is in force")
		t.Logf("the new key was in force after %s", time.Since(begin).Round(time.Millisecond))
		got = ask("hi")
		assert.Equal(t, http.StatusOK, got.status, got.body)
		assert.Empty(t, s.end(), "a stream must not notice the change of the key")
	})
	for _, line := range g.Log() {
		assert.NotContains(t, line, "first-key")
		assert.NotContains(t, line, "second-key")
	}
}
