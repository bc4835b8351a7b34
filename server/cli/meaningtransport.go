package cli

import (
	"net/url"
	"strings"

	"antwort/server/upstream"
	"antwort/shared/config"
)

// transportOf says how a backend is called, where that is not the plain way.
func transportOf(b *config.Backend) string {
	var parts []string
	say := func(text ...string) { parts = append(parts, strings.Join(text, "")) }
	proxy, err := upstream.ProxyFor(b.URL)
	switch {
	case b.Protocol == config.HTTP2 && strings.HasPrefix(b.URL, "https:"):
		say("in HTTP/2 where it offers that")
	case b.Protocol == config.HTTP2:
		say("in HTTP/2")
	case b.Transport == config.StdTransport && proxy == nil:
		say("by net/http's client")
	}
	if err == nil && proxy != nil {
		say("through the proxy ", proxy.Redacted())
	}
	if b.TLS.CAFile != "" {
		say("its certificate of an authority in ", b.TLS.CAFile)
	}
	if b.TLS.ServerName != "" {
		say("its name there ", b.TLS.ServerName)
	}
	if b.TLS.CertFile != "" {
		say("ours in ", b.TLS.CertFile)
	}
	if parts == nil {
		return ""
	}
	return ", " + strings.Join(parts, ", ")
}

// notProxied warns of backends that antwort serve would call through a proxy of the
// environment, where Envoy goes through none.
func notProxied(c *config.Config, proxyFor func(base string) (*url.URL, error)) (warnings []string) {
	for _, r := range c.AllRoutes() {
		for i := range r.Backends {
			if proxy, err := proxyFor(r.Backends[i].URL); err == nil && proxy != nil {
				warnings = append(warnings, "HTTPS_PROXY, HTTP_PROXY: no effect, Envoy calls "+r.Backends[i].URL+" without a proxy; antwort serve goes through it")
			}
		}
	}
	return warnings
}
