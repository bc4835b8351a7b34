package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTransportOfBackends(t *testing.T) {
	c, err := Load(Sources{JSON: []byte(`{"filter":{"profile":"gated"},"engine":{"provider":"vllm","backend_url":"https://llm","protocol":"http2","tls":{"ca_file":"/ca","server_name":"llm.internal"}},
		"routes":[{"name":"a","match":{"models":["m"]},"backends":[{"url":"https://a"},{"url":"http://b"},{"url":"https://c","protocol":"http1","transport":"own","tls":{"cert_file":"/c","key_file":"/k"}}]}]}`)})
	require.NoError(t, err)
	all := c.AllRoutes()
	engine := BackendTLS{CAFile: "/ca", ServerName: "llm.internal"}
	for i, want := range []struct {
		protocol, transport string
		tls                 BackendTLS
	}{
		{HTTP2, AutoTransport, engine},
		{HTTP2, AutoTransport, BackendTLS{}}, // in clear
		{HTTP1, OwnTransport, BackendTLS{CertFile: "/c", KeyFile: "/k"}},
	} {
		b := all[0].Backends[i]
		assert.Equal(t, want.protocol, b.Protocol, i)
		assert.Equal(t, want.transport, b.Transport, i)
		assert.Equal(t, want.tls, b.TLS, i)
	}
	assert.Equal(t, engine, all[1].Backends[0].TLS)

	again, err := Load(Sources{JSON: c.AppendJSON(nil)})
	require.NoError(t, err)
	assert.True(t, c.Equal(again))

	filter, _ := c.ForFilter()
	require.NoError(t, filter.ValidateFilter(), "how Envoy calls the backend is not the filter's")
	assert.Equal(t, "/c", c.Routes[0].Backends[2].TLS.CertFile, "the original must stay as it was")
}

func TestTransportIsRefused(t *testing.T) {
	for name, test := range map[string]struct{ engine, backend, problem string }{
		"half a certificate":   {`"backend_url":"https://x","tls":{"cert_file":"/c"}`, ``, "engine.tls.key_file: must be set with engine.tls.cert_file"},
		"half of a backend's":  {``, `"url":"https://a","tls":{"key_file":"/k"}`, "routes[0].backends[0].tls.cert_file: must be set with routes[0].backends[0].tls.key_file"},
		"own and http2":        {`"backend_url":"https://x","transport":"own","protocol":"http2"`, ``, "engine.transport: own does not speak HTTP/2"},
		"a backend's own":      {`"protocol":"http2"`, `"url":"https://a","transport":"own"`, "routes[0].backends[0].transport: own does not speak HTTP/2"},
		"tls in clear":         {`"backend_url":"http://x","tls":{"ca_file":"/c"}`, ``, "engine.tls: no backend has an https:// URL"},
		"a backend in clear":   {``, `"url":"http://a","tls":{"ca_file":"/c"}`, "routes[0].backends[0].tls: the url is http://"},
		"an unknown protocol":  {`"backend_url":"http://x","protocol":"http3"`, ``, `engine.protocol: got the text "http3"`},
		"an unknown transport": {`"backend_url":"http://x","transport":"curl"`, ``, `engine.transport: got the text "curl"`},
		"a backend's protocol": {``, `"url":"http://a","protocol":"http3"`, "routes[0].backends[0].protocol: got the text"},
		"an address as a name": {`"backend_url":"https://x","tls":{"server_name":"https://y"}`, ``, "engine.tls.server_name: got"},
		"an unknown file":      {``, `"url":"https://a","tls":{"ca":"/c"}`, "routes[0].backends[0].tls.ca: unknown key, allowed here: ca_file, cert_file, key_file, server_name"},
	} {
		json := `{"engine":{"provider":"vllm"`
		if test.engine != "" {
			json += "," + test.engine
		}
		json += "}"
		if test.backend != "" {
			json += `,"routes":[{"name":"a","backends":[{` + test.backend + `}]}]`
		}
		_, err := Load(Sources{JSON: []byte(json + "}")})
		require.ErrorContains(t, err, test.problem, name)
	}
	for what, json := range map[string]string{
		"engine.tls":                  `{"engine":{"provider":"vllm","tls":{"ca_file":"/c"}}}`,
		"engine.protocol":             `{"engine":{"provider":"vllm","protocol":"http2"}}`,
		"routes[0].backends[0].tls":   `{"engine":{"provider":"vllm"},"filter":{"profile":"gated"},"routes":[{"name":"a","backends":[{"url":"https://a","tls":{"ca_file":"/c"}}]}]}`,
		"routes[0].backends[0].proto": `{"engine":{"provider":"vllm"},"filter":{"profile":"gated"},"routes":[{"name":"a","backends":[{"url":"https://a","protocol":"http2"}]}]}`,
	} {
		_, err := LoadFilter(Sources{JSON: []byte(json)})
		require.ErrorContains(t, err, what)
		require.ErrorContains(t, err, "the filter does not call the backend")
	}
}
