package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// What the upstream hears of where a request came from.
func TestForwardedFields(t *testing.T) {
	up := &arrivals{}
	said := []string{"X-Forwarded-For", "1.2.3.4", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "api.example", "X-Forwarded-Port", "443",
		"X-Real-IP", "1.2.3.4", "Forwarded", `for=1.2.3.4;proto=https`, "X_Forwarded_For", "6.6.6.6", "X-Forwarded_Proto", "gopher",
		"X-Forwarded-User", "root", "X-Forwarded-Prefix", "/api", "X_Forwarded_User", "root"}
	c := newCertified(t, "antwort")
	backend := upstreamOf(t, up)
	for name, test := range map[string]struct {
		r    *running
		say  []string
		want http.Header // "" is the server's own host or port
	}{
		"a stranger": {start(t, config.VLLMResponses, backend), said, http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"host"}, "X-Forwarded-Port": {"port"}}},
		"a stranger over TLS": {c.start(t, config.VLLMResponses, backend), said, http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"host"}, "X-Forwarded-Port": {"port"}}},
		"a trusted proxy": {start(t, config.VLLMResponses, backend, func(c *config.Config) { c.Server.TrustedProxies = []string{"127.0.0.0/8"} }), said, http.Header{
			"X-Forwarded-For": {"1.2.3.4, 127.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"api.example"}, "X-Forwarded-Port": {"443"},
			"X-Forwarded-User": {"root"}, "X-Forwarded-Prefix": {"/api"}, "X-Real-Ip": {"1.2.3.4"}, "Forwarded": {"for=1.2.3.4;proto=https, for=127.0.0.1;proto=http"}}},
		"a trusted proxy that says nothing": {start(t, config.VLLMResponses, backend, func(c *config.Config) { c.Server.TrustedProxies = []string{"127.0.0.1"} }), nil, http.Header{
			"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"host"}, "X-Forwarded-Port": {"port"}}},
		"a model server": {start(t, config.VLLM, backend, func(c *config.Config) { c.Server.TrustedProxies = []string{"127.0.0.1"} }), said, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			up.take()
			require.Equal(t, 200, test.r.post(ask, test.say...).status)
			seen := up.take()
			require.Len(t, seen, 1)
			got := http.Header{}
			for field, values := range seen[0] {
				if name := strings.ReplaceAll(strings.ToLower(field), "_", "-"); strings.HasPrefix(name, "x-forwarded-") || name == "forwarded" || name == "x-real-ip" {
					got[field] = values
				}
			}
			host, port := test.r.addr, test.r.addr[strings.LastIndexByte(test.r.addr, ':')+1:]
			for field, values := range test.want {
				test.want[field] = []string{strings.NewReplacer("host", host, "port", port).Replace(values[0])}
			}
			require.Equal(t, test.want, got)
			client := "127.0.0.1"
			if len(test.r.first.cfg.Server.TrustedProxies) > 0 && test.say != nil {
				client = "1.2.3.4"
			}
			test.r.log.waitFor(t, `"path":"/v1/responses"`, `"client":"`+client+`"`)
		})
	}
}

// A connection that a stream took over is still the same client's.
func TestForwardedFieldsAfterAStream(t *testing.T) {
	c := newCertified(t, "antwort")
	var seen []http.Header
	r := c.start(t, config.VLLMResponses, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			seen = append(seen, r.Header)
			sending(w)("event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":0,\"response\":{}}\n\n")
		}
	})))
	ready(t, r)
	client := c.dial(t, r)
	for range 3 {
		client.send(request(askStream))
		require.Equal(t, 200, client.answer().status)
	}
	for _, h := range seen {
		require.Equal(t, []string{"https", "127.0.0.1"}, []string{h.Get("X-Forwarded-Proto"), h.Get("X-Forwarded-For")})
	}
	require.Len(t, seen, 3)
}
