package config

// validateListeners refuses half a certificate, and two listeners in one place.
func (c *Config) validateListeners(ps *Problems) {
	s := &c.Server
	switch {
	case s.TLS.CertFile != "" && s.TLS.KeyFile == "":
		ps.add("server.tls.key_file", "", "must be set with server.tls.cert_file")
	case s.TLS.KeyFile != "" && s.TLS.CertFile == "":
		ps.add("server.tls.cert_file", "", "must be set with server.tls.key_file")
	}
	if s.Admin.Port != 0 && s.Admin.Port == s.Port && (s.Admin.Host == s.Host || isEvery(s.Host) || isEvery(s.Admin.Host)) {
		ps.add("server.admin.port", "", "must not be the same as server.port")
	}
}

// isEvery reports whether listening there is listening on every address.
func isEvery(host string) bool { return host == "0.0.0.0" || host == "::" }
