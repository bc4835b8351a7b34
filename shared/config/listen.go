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

// IsLoopback reports whether only this machine reaches the admin port.
func (a *Admin) IsLoopback() bool {
	return a.Host == "localhost" || a.Host == "::1" || isIPv4(a.Host) && strings.HasPrefix(a.Host, "127.")
}

// HasToken reports whether the console asks for one.
func (a *Admin) HasToken() bool { return a.Token.IsSet() || a.TokenFile != "" || a.TokenEnv != "" }

// withoutToken is c for the filter, which has no console.
func (c *Config) withoutToken() {
	a := &c.Server.Admin
	a.Token, a.TokenFile, a.TokenEnv = Secret{}, "", ""
}
