package upstream

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/upstream/pki"
)

// authority is a file with the certificate of a test server, which has signed
// itself.
func authority(t *testing.T, ts *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ts.Certificate().Raw}), 0o600))
	return file
}

// mutual is a server that asks for a certificate of an authority and answers
// with its name and the protocol; conns counts the connections.
func mutual(t *testing.T, ca *pki.Authority, names ...string) (ts *httptest.Server, conns *atomic.Int32) {
	t.Helper()
	pair, err := tls.X509KeyPair(ca.Issue(t, names...))
	require.NoError(t, err)
	conns = new(atomic.Int32)
	ts = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.TLS.PeerCertificates[0].DNSNames[0], " ", r.TLS.ServerName, " ", r.Proto)
	}))
	ts.EnableHTTP2 = true
	ts.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}
	ts.TLS.ClientCAs.AppendCertsFromPEM(ca.PEM)
	ts.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}
	ts.StartTLS()
	t.Cleanup(ts.Close)
	return ts, conns
}

// write puts the certificate and the key of one name into a folder.
func write(t *testing.T, dir string, cert, key []byte) {
	t.Helper()
	for name, b := range map[string][]byte{"cert.pem": cert, "key.pem": key} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
}

// A private authority, a client certificate and another name, with each
// transport and protocol; changed files count from the next connection on.
func TestCertificates(t *testing.T) {
	for _, c := range []struct {
		name, proto string
		edit        func(*Options)
	}{
		{"own", "HTTP/1.1", func(o *Options) { o.Transport = Own }},
		{"std", "HTTP/1.1", func(o *Options) { o.Transport = Std }},
		{"http2", "HTTP/2.0", func(o *Options) { o.HTTP2 = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca, dir := pki.New(t), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "ca.pem"), ca.PEM, 0o600))
			ts, conns := mutual(t, ca, "llm.internal")
			cert, key := ca.Issue(t, "alice")
			write(t, dir, cert, key)
			files := Files{CA: filepath.Join(dir, "ca.pem"), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem"), ServerName: "llm.internal"}
			cl := newClient(t, Auto, ts.URL, c.edit, func(o *Options) { o.Files = files })
			for range 2 {
				_, body := do(t, cl, post("x"))
				require.Equal(t, "alice llm.internal "+c.proto, body)
			}
			require.EqualValues(t, 1, conns.Load())
			changed, err := cl.Reload()
			require.NoError(t, err)
			require.False(t, changed)

			held, err := cl.Do(t.Context(), post("x"))
			require.NoError(t, err)
			cert, key = ca.Issue(t, "bob")
			write(t, dir, cert, key)
			changed, err = cl.Reload()
			require.NoError(t, err)
			require.True(t, changed)
			_, body := do(t, cl, post("x"))
			require.Equal(t, "bob llm.internal "+c.proto, body)
			require.EqualValues(t, 2, conns.Load())
			b, err := io.ReadAll(held)
			require.NoError(t, err, "what is under way goes on")
			require.Equal(t, "alice llm.internal "+c.proto, string(b))
			held.Close()

			write(t, dir, cert, []byte("no key"))
			_, err = cl.Reload()
			require.ErrorContains(t, err, "tls.cert_file and tls.key_file: ")
			_, body = do(t, cl, post("x"))
			require.Equal(t, "bob llm.internal "+c.proto, body)

			for what, wrong := range map[string]Files{
				"another authority": {CA: authority(t, httptest.NewTLSServer(nil)), Cert: files.Cert, Key: files.Key, ServerName: files.ServerName},
				"another name":      {CA: files.CA, Cert: files.Cert, Key: files.Key, ServerName: "other.internal"},
				"the URL's name":    {CA: files.CA, Cert: files.Cert, Key: files.Key},
				"no certificate":    {CA: files.CA, ServerName: files.ServerName},
			} {
				write(t, dir, cert, key)
				_, err := newClient(t, Auto, ts.URL, c.edit, func(o *Options) { o.Files = wrong }).Do(t.Context(), post("x"))
				require.Error(t, err, what)
			}
		})
	}
}

func TestWrongFiles(t *testing.T) {
	ca, dir := pki.New(t), t.TempDir()
	cert, key := ca.Issue(t, "alice")
	write(t, dir, cert, key)
	at := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(at("text.pem"), []byte("text"), 0o600))
	require.NoError(t, os.WriteFile(at("half.pem"), bytes.Replace(ca.PEM, []byte("MII"), []byte("AAA"), 1), 0o600))
	for want, files := range map[string]Files{
		"tls.ca_file: cannot read the file: ":                                                   {CA: at("none.pem")},
		"tls.ca_file: there is no certificate in PEM in it":                                     {CA: at("text.pem")},
		"tls.ca_file: x509: ":                                                                   {CA: at("half.pem")},
		"tls.cert_file: cannot read the file: ":                                                 {Cert: at("none.pem"), Key: at("key.pem")},
		"tls.cert_file and tls.key_file: tls: failed to find any PEM data in certificate input": {Cert: at("text.pem"), Key: at("key.pem")},
	} {
		_, err := New("https://x", Options{Files: files})
		require.ErrorContains(t, err, want)
	}
}
