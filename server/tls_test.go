package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// certified is a folder with a certificate of this name for 127.0.0.1.
type certified struct{ config.TLS }

func newCertified(t *testing.T, name string) certified {
	dir := t.TempDir()
	c := certified{config.TLS{CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key")}}
	chain, key := newPair(t, name)
	c.write(t, chain, key)
	return c
}

func (c certified) write(t *testing.T, chain, key []byte) {
	require.NoError(t, os.WriteFile(c.CertFile, chain, 0o600))
	require.NoError(t, os.WriteFile(c.KeyFile, key, 0o600))
}

func newPair(t *testing.T, name string) (chain, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func (c certified) roots(t *testing.T) *x509.CertPool {
	pool := x509.NewCertPool()
	chain, err := os.ReadFile(c.CertFile)
	require.NoError(t, err)
	require.True(t, pool.AppendCertsFromPEM(chain))
	return pool
}

// startTLS serves HTTPS; its clients are those of over.
func (c certified) start(t *testing.T, provider config.Provider, backend string, edit ...func(*config.Config)) *running {
	t.Helper()
	r := start(t, provider, backend, append(edit, func(cfg *config.Config) { cfg.Server.TLS = c.TLS })...)
	r.url = "https://" + r.addr
	return c.over(t, r, false)
}

// over is r for clients of HTTP/1.1 or HTTP/2.
func (c certified) over(t *testing.T, r *running, two bool) *running {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.roots(t)}, DisableCompression: true, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(!two)
	tr.Protocols.SetHTTP2(two)
	t.Cleanup(tr.CloseIdleConnections)
	other := *r //nolint:govet // the copy shares all but the client
	other.client = &http.Client{Transport: tr, Timeout: guard}
	return &other
}

// dialTLS is dial over TLS.
func (c certified) dial(t *testing.T, r *running) *rawClient {
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: c.roots(t), NextProtos: []string{"http/1.1"}})
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(guard)))
	return &rawClient{t, conn, bufio.NewReader(conn)}
}

// Streams longer than any buffer go over TLS, and the connection serves the
// next request.
func TestStreamsOverTLS(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	c := newCertified(t, "antwort")
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		backend := llm
		if provider == config.VLLMResponses {
			backend = start(t, config.VLLM, llm).url
		}
		r := c.start(t, provider, backend)
		for _, two := range []bool{false, true} {
			proto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[two]
			t.Run(string(provider)+"/"+proto, func(t *testing.T) {
				over := c.over(t, &running{Server: r.Server, first: r.first, t: t, url: r.url, addr: r.addr, log: r.log}, two)
				for i := range 4 {
					var reused bool
					ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
					resp, err := over.do(ctx, "POST", "/v1/responses", strings.NewReader(`{"model":"/mnt/models","input":"mock: tokens=2000","stream":true}`))
					require.NoError(t, err)
					require.Equal(t, proto, resp.Proto)
					require.Equal(t, i > 0, reused, "a connection serves one request after the other")
					got := finish(t, resp)
					require.Greater(t, len(got.body), 64<<10)
					checkStream(t, got.body)
					require.Equal(t, "response.completed", lastEvent(t, got.body))
				}
				require.Equal(t, 200, over.post(`{"model":"/mnt/models","input":"x"}`).status)
			})
		}
	}
}

// Several requests written at once, streams among them, over one connection.
func TestPipelinedRequestsOverTLS(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	c := newCertified(t, "antwort")
	r := c.start(t, config.VLLM, llm)
	client := c.dial(t, r)
	stream := request(`{"model":"/mnt/models","input":"Count from 1 to 5.","stream":true}`)
	whole := request(`{"model":"/mnt/models","input":"What is the capital of France?"}`)
	client.send(stream + whole + stream + stream + whole)
	for _, sent := range []string{stream, whole, stream, stream, whole} {
		a := client.answer()
		require.Equal(t, 200, a.status)
		if sent == stream {
			checkStream(t, a.body)
		} else {
			require.Contains(t, a.body, "Paris")
		}
	}
}

// A client that leaves ends the work upstream, whatever it speaks.
func TestClientLeavesOverTLS(t *testing.T) {
	c := newCertified(t, "antwort")
	for _, two := range []bool{false, true} {
		left := make(chan struct{})
		r := c.start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			sending(w)(chatRole + chatText("x"))
			<-r.Context().Done()
			close(left)
		})))
		over := c.over(t, r, two)
		ctx, leave := context.WithCancel(context.Background())
		resp, err := over.do(ctx, "POST", "/v1/responses", strings.NewReader(askStream))
		require.NoError(t, err)
		readEvents(t, resp.Body).until("response.output_text.delta")
		leave()
		wait(t, left, "the upstream's request ends")
		r.log.waitFor(t, `"failure":"client_gone"`)
		resp.Body.Close()
	}
}

// A new certificate is for the connections that come; a stream goes on, and a
// wrong one changes nothing.
func TestCertificateIsReadAgain(t *testing.T) {
	t.Parallel()
	c := newCertified(t, "first")
	goOn := make(chan struct{})
	r := c.start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := sending(w)
		send(chatRole + chatText("x"))
		<-goOn
		send(chatFinish + chatUsage + chatDone)
	})))
	finish := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(finish)
	name := func() string {
		conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its name is what is asked for
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	require.Equal(t, "first", name())
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	ev := readEvents(t, resp.Body)
	ev.until("response.output_text.delta")

	oldChain, err := os.ReadFile(c.CertFile)
	require.NoError(t, err)
	chain, key := newPair(t, "second")
	for _, wrong := range []struct {
		problem    string
		chain, key []byte
	}{
		{"private key does not match public key", oldChain, key},
		{"failed to find any PEM data", chain[:10], key},
		{"malformed certificate", bytes.Replace(chain, []byte("M"), []byte("N"), 1), key},
	} {
		c.write(t, wrong.chain, wrong.key)
		r.log.waitFor(t, "the changed certificate is wrong, the old one stays in force", "server.tls.cert_file and key_file: ", wrong.problem)
		require.Equal(t, "first", name())
	}
	require.NoError(t, os.Remove(c.KeyFile))
	r.log.waitFor(t, "the old one stays in force", "server.tls.key_file: open")
	c.write(t, chain, key)
	r.log.waitFor(t, "the certificate in force")
	require.Equal(t, "second", name())

	finish()
	rest, err := io.ReadAll(ev.r)
	require.NoError(t, err)
	require.Contains(t, string(rest), "response.completed")
}

func TestWhatTLSRefuses(t *testing.T) {
	t.Parallel()
	c := newCertified(t, "antwort")
	r := c.start(t, config.VLLM, upstreamOf(t, &arrivals{}), slowness)
	t.Run("old versions", func(t *testing.T) {
		_, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: c.roots(t), MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}) //nolint:gosec // that is the test
		require.ErrorContains(t, err, "protocol version")
	})
	t.Run("HTTP in clear", func(t *testing.T) {
		client := dial(t, r)
		client.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		a := client.answer()
		require.Equal(t, 400, a.status)
		_, _, code := a.errorCode(t)
		require.Equal(t, "https_needed", code)
		client.closed()
	})
	t.Run("HTTP/2 in clear within TLS", func(t *testing.T) {
		client := c.dial(t, r)
		client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		require.NotEqual(t, 200, client.answer().status)
	})
	t.Run("what is no HTTP", func(t *testing.T) {
		client := c.dial(t, r)
		client.send("GET /healthz HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n")
		a := client.answer()
		_, _, code := a.errorCode(t)
		require.Equal(t, []any{400, "invalid_http"}, []any{a.status, code})
	})
	t.Run("other protocols", func(t *testing.T) {
		_, err := tls.Dial("tcp", r.addr, &tls.Config{RootCAs: c.roots(t), NextProtos: []string{"smtp"}})
		require.ErrorContains(t, err, "no application protocol")
	})
	t.Run("a handshake that does not come", func(t *testing.T) {
		dial(t, r).closed()
	})
	t.Run("a header that does not come", func(t *testing.T) {
		client := c.dial(t, r)
		client.send("GET /healthz HTTP/1.1\r\n")
		_, _ = io.Copy(io.Discard, client.r)
	})
}

// Who shakes hands does not hold the end up.
func TestShutdownDuringAHandshake(t *testing.T) {
	c := newCertified(t, "antwort")
	r := c.start(t, config.VLLM, upstreamOf(t, &arrivals{}), func(c *config.Config) { c.Server.ReadHeaderTimeout = time.Hour })
	ready(t, r)
	dial(t, r)
	require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	r.stop()
	r.drained()
}

// What goes out of date by itself shows in the metrics.
func TestMetricsOfCertificateAndKeys(t *testing.T) {
	is, c := newIssuer(t), newCertified(t, "antwort")
	is.publish(key("1"))
	r := c.start(t, config.VLLM, upstreamOf(t, &arrivals{}), is.asked)
	inService(t, r)
	require.InDelta(t, time.Now().Add(time.Hour).Unix(), metric(t, r, "antwort_certificate_expiry_seconds"), 60)
	require.Contains(t, r.call("GET", "/metrics", "").body, "antwort_issuer_keys_age_seconds{")

	without := start(t, config.VLLM, upstreamOf(t, &arrivals{})).call("GET", "/metrics", "").body
	require.NotContains(t, without, "antwort_certificate")
	require.NotContains(t, without, "antwort_issuer")
}

func TestCertificateThatCannotBeUsed(t *testing.T) {
	c := newCertified(t, "antwort")
	cfg := config.Default()
	cfg.Engine.Provider, cfg.Engine.BackendURL, cfg.Server.TLS = config.VLLM, "http://llm", c.TLS
	for problem, break_ := range map[string]func(){
		"server.tls.cert_file and key_file: tls: failed to find any PEM data in key input": func() { c.write(t, must(os.ReadFile(c.CertFile)), nil) },
		"server.tls.key_file: open ": func() { require.NoError(t, os.RemoveAll(c.KeyFile)) },
	} {
		break_()
		_, err := New(cfg, Options{})
		require.ErrorContains(t, err, problem)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
