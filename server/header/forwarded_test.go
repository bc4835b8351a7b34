package header

import (
	"fmt"
	"net/http/httptest"
	"testing"

	"antwort/shared/config"

	"github.com/stretchr/testify/require"
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
			trusted, err := NewProxies(test.trusted)
			require.NoError(t, err)
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = test.peer
			r.Header["X-Forwarded-For"] = test.forwarded
			require.Equal(t, test.want, trusted.Client(r).String())
		})
	}
}

// Whatever the configuration takes as a network is one here.
func TestTrustedProxiesAreReadAsTheyAreAccepted(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.1.2.3", "10.1.2.3/8", "::", "::1/128", "fd00::/0", "::ffff:10.0.0.0/104", "::ffff:10.0.0.0/80"} {
		_, err := config.Parse(fmt.Appendf(nil, `{"server":{"trusted_proxies":[%q]}}`, s))
		require.NoError(t, err)
		_, err = NewProxies([]string{s})
		require.NoError(t, err, s)
	}
}
