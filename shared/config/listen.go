package config

import "strings"

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

// isLoopback reports whether only this machine reaches what listens there.
func isLoopback(host string) bool {
	return host == "localhost" || host == "::1" || isIPv4(host) && strings.HasPrefix(host, "127.")
}

// IsLoopback reports whether only this machine reaches the server.
func (s *Server) IsLoopback() bool { return isLoopback(s.Host) }

// IsLoopback reports whether only this machine reaches the admin port.
func (a *Admin) IsLoopback() bool { return isLoopback(a.Host) }

// HasToken reports whether the console asks for one.
func (a *Admin) HasToken() bool { return a.Token.IsSet() || a.TokenFile != "" || a.TokenEnv != "" }

// withoutToken is c for the filter, which has no console.
func (c *Config) withoutToken() {
	a := &c.Server.Admin
	a.Token, a.TokenFile, a.TokenEnv = Secret{}, "", ""
}
