package config

import (
	"strings"

	"github.com/valyala/fastjson"
)

// secure reports whether the backend is called over TLS.
func (b *Backend) secure() bool { return strings.HasPrefix(b.URL, "https:") }

// validateTransport checks how the server calls the backends.
func (c *Config) validateTransport(ps *Problems) {
	e := &c.Engine
	e.TLS.validate(ps, "engine.tls")
	encrypted := false
	routes := c.AllRoutes()
	for i, route := range routes {
		for j := range route.Backends {
			b := &route.Backends[j]
			encrypted = encrypted || b.secure()
			at := "engine"
			if route.Name != DefaultRoute && i < len(c.Routes) {
				at = backendAt(routeAt(i), j)
				given := &c.Routes[i].Backends[j].TLS
				given.validate(ps, at+".tls")
				if *given != (BackendTLS{}) && !b.secure() {
					ps.add(at+".tls", "", "the url is http://, so nothing is encrypted: make it https://, or leave this out")
				}
			}
			if b.Protocol == HTTP2 && b.Transport == OwnTransport {
				ps.add(at+".transport", "", OwnTransport+" does not speak HTTP/2: leave it out, or let protocol be "+HTTP1)
			}
		}
	}
	if e.TLS != (BackendTLS{}) && !encrypted && len(routes) > 0 {
		ps.add("engine.tls", "", "no backend has an https:// URL, so nothing is encrypted: make them https://, or leave this out")
	}
}

// transportLess refuses what the filter cannot do: it does not call the backend.
func (c *Config) transportLess(ps *Problems) {
	const envoys = "the filter does not call the backend, Envoy does: this belongs into its cluster"
	if c.Engine.TLS != (BackendTLS{}) {
		ps.add("engine.tls", "", envoys)
	}
	if c.Engine.Protocol != HTTP1 {
		ps.add("engine.protocol", "", envoys)
	}
	for i := range c.Routes {
		for j := range c.Routes[i].Backends {
			if b, at := &c.Routes[i].Backends[j], backendAt(routeAt(i), j); b.TLS != (BackendTLS{}) {
				ps.add(at+".tls", "", envoys)
			} else if b.Protocol != "" && b.Protocol != HTTP1 {
				ps.add(at+".protocol", "", envoys)
			}
		}
	}
}

// validate refuses half a certificate.
func (t *BackendTLS) validate(ps *Problems, at string) {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		ps.add(at+".key_file", "", "must be set with "+at+".cert_file")
	case t.KeyFile != "" && t.CertFile == "":
		ps.add(at+".cert_file", "", "must be set with "+at+".key_file")
	}
}

// withoutTransport is c without how the backends are called, for the filter.
func (c *Config) withoutTransport() {
	c.Engine.Protocol, c.Engine.Transport, c.Engine.TLS = HTTP1, AutoTransport, BackendTLS{}
	for i := range c.Routes {
		for j := range c.Routes[i].Backends {
			b := &c.Routes[i].Backends[j]
			b.Protocol, b.Transport, b.TLS = "", "", BackendTLS{}
		}
	}
}

func (r *reader) backendTLS(path string, v *fastjson.Value, t *BackendTLS) {
	r.object(path, v, []member{
		{"ca_file", textAt(&t.CAFile, isLine, "path of a file", false)},
		{"cert_file", textAt(&t.CertFile, isLine, "path of a file", false)},
		{"key_file", textAt(&t.KeyFile, isLine, "path of a file", false)},
		{"server_name", textAt(&t.ServerName, isName, "host name", false)},
	}, nil)
}

func (t *BackendTLS) appendJSON(w *objectWriter) {
	if *t == (BackendTLS{}) {
		return
	}
	w.name("tls")
	in := objectWriter{dst: w.dst}
	in.text("ca_file", t.CAFile)
	in.text("cert_file", t.CertFile)
	in.text("key_file", t.KeyFile)
	in.text("server_name", t.ServerName)
	w.dst = in.end()
}
