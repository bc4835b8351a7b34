package ingress

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Certificate is the server's, read again when its files change. Connections
// keep the one that they began with.
type Certificate struct {
	current atomic.Pointer[keyPair]
}

// keyPair is a certificate with what it was read from.
type keyPair struct {
	chain, key []byte
	tls.Certificate
}

func readPair(certFile, keyFile string) (*keyPair, error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("server.tls.cert_file: %w", err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("server.tls.key_file: %w", err)
	}
	return &keyPair{chain: chain, key: key}, nil
}

// parse makes the certificate of the files' bytes.
func (p *keyPair) parse() (err error) {
	if p.Certificate, err = tls.X509KeyPair(p.chain, p.key); err != nil {
		err = fmt.Errorf("server.tls.cert_file and key_file: %w", err)
	}
	return err
}

// Load takes the files, in PEM, over when they are not those that are held. It
// reports whether it has.
func (c *Certificate) Load(certFile, keyFile string) (changed bool, err error) {
	p, err := readPair(certFile, keyFile)
	if err != nil {
		return false, err
	}
	if old := c.current.Load(); old != nil && bytes.Equal(old.chain, p.chain) && bytes.Equal(old.key, p.key) {
		return false, nil
	}
	if err = p.parse(); err != nil {
		return false, err
	}
	c.current.Store(p)
	return true, nil
}

// Expires returns when the certificate does; false when there is none.
func (c *Certificate) Expires() (time.Time, bool) {
	held := c.current.Load()
	if held == nil {
		return time.Time{}, false
	}
	return held.Leaf.NotAfter, true
}

// Follow loads the files that current names again and again, every interval, until
// ctx ends; empty names are left out. Wrong files change nothing; what is wrong is
// logged once.
func (c *Certificate) Follow(ctx context.Context, every time.Duration, current func() (certFile, keyFile string), log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var refused string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		certFile, keyFile := current()
		if certFile == "" {
			continue
		}
		changed, err := c.Load(certFile, keyFile)
		switch {
		case err == nil && (changed || refused != ""):
			log.Info("the certificate in force", "not_after", c.current.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
		case err != nil && err.Error() != refused:
			log.Error("the changed certificate is wrong, the old one stays in force", "problem", err.Error())
		}
		refused = ""
		if err != nil {
			refused = err.Error()
		}
	}
}

// config is for the server's side of a handshake.
func (c *Certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().Certificate, nil
		},
	}
}
