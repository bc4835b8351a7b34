package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"antwort/shared/config"
)

// certificate is the server's, read again when its files change. Connections
// keep the one that they began with.
type certificate struct {
	current atomic.Pointer[keyPair]
}

// keyPair is a certificate with what it was read from.
type keyPair struct {
	chain, key []byte
	tls.Certificate
}

func readPair(files config.TLS) (*keyPair, error) {
	chain, err := os.ReadFile(files.CertFile)
	if err != nil {
		return nil, fmt.Errorf("server.tls.cert_file: %w", err)
	}
	key, err := os.ReadFile(files.KeyFile)
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

// load takes the files over when they are not those that are held. It reports
// whether it has.
func (c *certificate) load(files config.TLS) (changed bool, err error) {
	p, err := readPair(files)
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

// follow loads the files of the configuration in force again and again, until
// ctx ends. Wrong ones change nothing; what is wrong is logged once.
func (c *certificate) follow(ctx context.Context, p *Server) {
	var refused string
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		s := p.inForce.Load()
		if !s.cfg.Server.TLS.On() {
			continue // a changed configuration, which takes effect at the next start
		}
		changed, err := c.load(s.cfg.Server.TLS)
		switch {
		case err == nil && (changed || refused != ""):
			s.log.Info("the certificate in force", "not_after", c.current.Load().Leaf.NotAfter.UTC().Format(time.RFC3339))
		case err != nil && err.Error() != refused:
			s.log.Error("the changed certificate is wrong, the old one stays in force", "problem", err.Error())
		}
		refused = ""
		if err != nil {
			refused = err.Error()
		}
	}
}

// config is for the server's side of a handshake.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &c.current.Load().Certificate, nil
		},
	}
}
