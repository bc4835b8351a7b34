package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// Who a request is from, by who says it.
func TestClientAddress(t *testing.T) {
	for name, test := range map[string]struct {
		trusted   []string
		peer      string
		forwarded []string
		want      string
	}{
		"nobody is trusted":               {nil, "10.0.0.1:1", []string{"1.2.3.4"}, "10.0.0.1"},
		"another one is trusted":          {[]string{"10.0.0.2", "10.1.0.0/16"}, "10.0.0.1:1", []string{"1.2.3.4"}, "10.0.0.1"},
		"a trusted proxy":                 {[]string{"10.0.0.1"}, "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		"a trusted proxy says nothing":    {[]string{"10.0.0.0/8"}, "10.0.0.1:1", nil, "10.0.0.1"},
		"the client forged a hop":         {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"9.9.9.9, 1.2.3.4"}, "1.2.3.4"},
		"the client forged a trusted hop": {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"9.9.9.9, 10.9.9.9, 1.2.3.4, 10.0.0.7"}, "1.2.3.4"},
		"two fields":                      {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"9.9.9.9", "1.2.3.4,10.0.0.7"}, "1.2.3.4"},
		"only trusted ones":               {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"10.0.0.9, 10.0.0.7"}, "10.0.0.9"},
		"with a port":                     {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"1.2.3.4:567"}, "1.2.3.4"},
		"IPv6":                            {[]string{"fd00::/8"}, "[fd00::1]:1", []string{"2001:db8::1"}, "2001:db8::1"},
		"IPv6 in brackets":                {[]string{"::1"}, "[::1]:1", []string{"[2001:db8::1]"}, "2001:db8::1"},
		"IPv6 with a port":                {[]string{"::1"}, "[::1]:1", []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		"IPv4 in IPv6":                    {[]string{"10.0.0.0/8"}, "[::ffff:10.0.0.1]:1", []string{"::ffff:1.2.3.4"}, "1.2.3.4"},
		"a network of IPv4 in IPv6":       {[]string{"::ffff:10.0.0.0/104"}, "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		"what is no address":              {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"1.2.3.4, _hidden, 10.0.0.7"}, "10.0.0.7"},
		"nothing between commas":          {[]string{"10.0.0.0/8"}, "10.0.0.1:1", []string{"1.2.3.4,,"}, "10.0.0.1"},
		"everybody is trusted":            {[]string{"0.0.0.0/0"}, "10.0.0.1:1", []string{"1.2.3.4"}, "1.2.3.4"},
		"a socket":                        {[]string{"0.0.0.0/0"}, "@", []string{"1.2.3.4"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			trusted, err := newTrustedProxies(test.trusted)
			require.NoError(t, err)
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.peer
			r.Header["X-Forwarded-For"] = test.forwarded
			require.Equal(t, test.want, trusted.client(r).String())
		})
	}
}

// Whatever the configuration takes as a network is one here.
func TestTrustedProxiesAreReadAsTheyAreAccepted(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.1.2.3", "10.1.2.3/8", "::", "::1/128", "fd00::/0", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/80"} {
		_, err := config.Parse(fmt.Appendf(nil, `{"server":{"trusted_proxies":[%q]}}`, s))
		require.NoError(t, err)
		_, err = newTrustedProxies([]string{s})
		require.NoError(t, err, s)
	}
}

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
				if tellsForwarding(field) {
					got[field] = values
				}
			}
			host, port := test.r.addr, test.r.addr[strings.LastIndexByte(test.r.addr, ':')+1:]
			for field, values := range test.want {
				test.want[field] = []string{strings.NewReplacer("host", host, "port", port).Replace(values[0])}
			}
			require.Equal(t, test.want, got)
			client := "127.0.0.1"
			if test.r.first.trusted.has(peer("127.0.0.1:1")) && test.say != nil {
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
			streaming(w)("event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":0,\"response\":{}}\n\n")
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
