package ingress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guard is how long anything may take before a test gives up waiting.
const guard = time.Minute

// A client that leaves while its answer ends takes its connection along.
func TestConnectionsLeftAtTheAnswersEnd(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	set := &takenConns{returned: newReturnedConns(), idle: time.Minute, all: make(map[*Taken]struct{}), open: &openConns{}}
	left, closed := make(chan struct{}), make(chan struct{})
	c := &Taken{conn: &Conn{Conn: &shut{server, closed}, phase: answering}, set: set, gone: func() { close(left) }}
	set.all[c] = struct{}{}
	go c.watch()
	wait(t, left, "the client's leaving was not noticed")
	c.Finish(true) // all was written nevertheless
	wait(t, closed, "the connection stays open, and nobody knows it")
}

// shut is a connection with nothing to read, which can be written.
type shut struct {
	net.Conn
	closed chan struct{}
}

func (h *shut) Read([]byte) (int, error) { return 0, io.EOF }
func (h *shut) Close() error             { close(h.closed); return h.Conn.Close() }

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(guard):
		require.Fail(t, "waited in vain: "+what)
	}
}

// Who has not taken what was written before gets no goodbye of TLS, for which it
// would be waited.
func TestClosingToWhoReadsNothing(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	below := &counted{Conn: server}
	secure := tls.Server(below, selfSigned(t).config())
	shaken := make(chan error, 1)
	go func() {
		theirs := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // there is nobody else
		shaken <- theirs.Handshake()
	}()
	require.NoError(t, secure.Handshake())
	require.NoError(t, <-shaken)
	c := &Conn{Conn: secure}
	require.NoError(t, c.SetWriteDeadline(past))
	_, err := c.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	before := below.writes.Load()
	closed := make(chan struct{})
	go func() {
		_ = c.Close()
		close(closed)
	}()
	wait(t, closed, "it waits for a client that reads nothing")
	require.Equal(t, before, below.writes.Load(), "a goodbye was written")
}

// counted counts what is written to a connection.
type counted struct {
	net.Conn
	writes atomic.Int32
}

func (c *counted) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// selfSigned is a certificate that nobody has signed.
func selfSigned(t *testing.T) *Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	at := t.TempDir()
	certFile, keyFile := filepath.Join(at, "cert.pem"), filepath.Join(at, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	var c Certificate
	_, err = c.Load(certFile, keyFile)
	require.NoError(t, err)
	return &c
}
