package upstream

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// Files name what a client trusts and shows. Paths may be empty.
type Files struct {
	CA         string // authorities in PEM, instead of the system's
	Cert, Key  string // the client's certificate with its chain and its key, in PEM
	ServerName string // that the upstream's certificate must have, instead of the URL's host
}

// Material is what is in the files.
type Material struct{ CA, Cert, Key []byte }

// Read reads the files. An error names the key of the configuration's section
// tls that is wrong.
func (f Files) Read() (m Material, err error) {
	for _, one := range []struct {
		key, path string
		to        *[]byte
	}{{"ca_file", f.CA, &m.CA}, {"cert_file", f.Cert, &m.Cert}, {"key_file", f.Key, &m.Key}} {
		if one.path == "" {
			continue
		}
		if *one.to, err = os.ReadFile(one.path); err != nil {
			return Material{}, fmt.Errorf("tls.%s: cannot read the file: %w", one.key, err)
		}
	}
	return m, nil
}

// Equal reports whether both are the same bytes.
func (m Material) Equal(other Material) bool {
	return bytes.Equal(m.CA, other.CA) && bytes.Equal(m.Cert, other.Cert) && bytes.Equal(m.Key, other.Key)
}

// Config is for a client's side of handshakes. serverName may be empty. An error
// names the key that is wrong, as that of Read.
func (m Material) Config(serverName string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if m.CA != nil {
		c.RootCAs = x509.NewCertPool()
		if err := addAuthorities(c.RootCAs, m.CA); err != nil {
			return nil, fmt.Errorf("tls.ca_file: %w", err)
		}
	}
	if m.Cert != nil || m.Key != nil {
		pair, err := tls.X509KeyPair(m.Cert, m.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

func addAuthorities(pool *x509.CertPool, text []byte) error {
	found := false
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		pool.AddCert(one)
		found = true
	}
	if !found {
		return errors.New("there is no certificate in PEM in it")
	}
	return nil
}

// HasFiles reports whether there is anything for Reload to read.
func (c *Client) HasFiles() bool { return c.opt.Files.CA+c.opt.Files.Cert != "" }

// Reload reads the client's files again. When they have changed, connections
// that are made from now on go by them, and it returns true. Wrong ones change
// nothing.
func (c *Client) Reload() (changed bool, err error) {
	m, err := c.opt.Files.Read()
	if err != nil || m.Equal(*c.material.Load()) {
		return false, err
	}
	certificates, err := m.Config(c.opt.Files.ServerName)
	if err != nil {
		return false, err
	}
	c.material.Store(&m)
	c.setTLS(certificates)
	return true, nil
}
