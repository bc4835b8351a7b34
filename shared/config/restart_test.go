package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRestartKeys(t *testing.T) {
	at := func(edit func(*Config)) *Config {
		c := Default()
		edit(c)
		return c
	}
	secure := at(func(c *Config) { c.Server.TLS = TLS{CertFile: "a.crt", KeyFile: "a.key"} })
	for name, c := range map[string]struct {
		before, after *Config
		serve, envoy  []string
	}{
		"nothing": {Default(), Default(), nil, nil},
		"what is live": {Default(), at(func(c *Config) {
			c.Engine.BackendURL, c.Server.DrainTimeout, c.Observability.Metrics.Path = "http://b:1", 1, "/m"
		}), nil, nil},
		"addresses": {Default(), at(func(c *Config) { c.Server.Host, c.Server.Port, c.Server.Admin.Port = "::", 1, 2 }),
			[]string{"server.host", "server.port", "server.admin.port"}, nil},
		"the log": {Default(), at(func(c *Config) { c.Observability.Log = Log{"warn", "text"} }),
			[]string{"observability.log.level", "observability.log.format"}, []string{"observability.log.level", "observability.log.format"}},
		"TLS":                 {Default(), secure, []string{"server.tls.cert_file", "server.tls.key_file"}, nil},
		"no TLS any more":     {secure, Default(), []string{"server.tls.cert_file", "server.tls.key_file"}, nil},
		"another certificate": {secure, at(func(c *Config) { c.Server.TLS = TLS{CertFile: "b.crt", KeyFile: "b.key"} }), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.serve, c.before.RestartKeys(c.after, Serve))
			assert.Equal(t, c.envoy, c.before.RestartKeys(c.after, Envoy))
		})
	}
}

func TestReferenceSaysWhatNeedsARestart(t *testing.T) {
	for path, want := range map[string]string{
		"server.port":             "logs it. In `antwort serve` a change needs a restart.",
		"server.tls.key_file":     "in PEM. In `antwort serve` a change from no value, or to none, needs a restart.",
		"observability.log.level": "logged. A change needs a restart.",
		"server.read_timeout":     "above all, may take longer.",
	} {
		assert.Regexp(t, "(?m)^\\| `"+path+"` .*"+want+" \\|$", string(Reference()))
	}
}
