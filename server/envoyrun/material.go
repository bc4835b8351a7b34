package envoyrun

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"maps"
	"os"

	"antwort/server/upstream"
	"antwort/shared/config"
)

// material is what is in the files that the configuration names for Envoy. It is
// read here, so that a changed file is seen as a changed configuration is, and a
// wrong one changes nothing.
type material struct {
	certificate, key []byte            // server.tls
	jwks             []byte            // auth.jwt.jwks_file
	backends         map[string][]byte // engine.tls and that of backends, by path
}

func readMaterial(cfg *config.Config) (m material, err error) {
	read := func(key, path string) (b []byte) {
		if path == "" || err != nil {
			return nil
		}
		if b, err = os.ReadFile(path); err != nil {
			err = fmt.Errorf("%s: cannot read the file: %w", key, err)
		}
		return b
	}
	m.certificate = read("server.tls.cert_file", cfg.Server.TLS.CertFile)
	m.key = read("server.tls.key_file", cfg.Server.TLS.KeyFile)
	m.jwks = read("auth.jwt.jwks_file", cfg.Auth.JWT.JWKSFile)
	m.backends = make(map[string][]byte)
	for _, route := range cfg.AllRoutes() {
		for _, b := range route.Backends {
			if err == nil {
				err = m.readBackend(&b)
			}
			if err != nil {
				return m, fmt.Errorf("route %s: backend %s: %w", route.Name, b.URL, err)
			}
		}
	}
	if err == nil && cfg.Server.TLS.On() {
		if _, pairErr := tls.X509KeyPair(m.certificate, m.key); pairErr != nil {
			err = fmt.Errorf("server.tls: not a certificate with its key: %w", pairErr)
		}
	}
	return m, err
}

// readBackend reads the files for calling a backend.
func (m material) readBackend(b *config.Backend) error {
	files := upstream.Files{CA: b.TLS.CAFile, Cert: b.TLS.CertFile, Key: b.TLS.KeyFile}
	read, err := files.Read()
	if err == nil {
		_, err = read.Config("")
	}
	for path, content := range map[string][]byte{files.CA: read.CA, files.Cert: read.Cert, files.Key: read.Key} {
		if path != "" {
			m.backends[path] = content
		}
	}
	return err
}

// stays reports whether the files of the same configuration are as they were. A
// file that cannot be read counts as changed.
func (m material) stays(cfg *config.Config) bool {
	now, err := readMaterial(cfg)
	return err == nil && bytes.Equal(now.certificate, m.certificate) && bytes.Equal(now.key, m.key) && bytes.Equal(now.jwks, m.jwks) && maps.EqualFunc(now.backends, m.backends, bytes.Equal)
}
