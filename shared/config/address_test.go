package config

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBaseURL(t *testing.T) {
	for given, want := range map[string]string{
		"http://llm":                           "http://llm",
		"http://llm/":                          "http://llm",
		"http://llm//":                         "http://llm",
		"http://llm/v1":                        "http://llm",
		"http://llm/v1/v1":                     "http://llm",
		"http://llm/v1/":                       "http://llm",
		"https://llm.example:8443":             "https://llm.example:8443",
		"http://10.0.0.1:8000/v1":              "http://10.0.0.1:8000",
		"http://[::1]:8000":                    "http://[::1]:8000",
		"http://[fd00::1]":                     "http://[fd00::1]",
		"http://gateway/team-a/v1":             "http://gateway/team-a",
		"http://gateway/team-a/":               "http://gateway/team-a",
		"http://gateway/v1/models/llama":       "http://gateway/v1/models/llama",
		"http://gateway/a%20b":                 "http://gateway/a%20b",
		"http://a_b.svc.cluster.local:8080/v2": "http://a_b.svc.cluster.local:8080/v2",
	} {
		base, problem := parseBase(given)
		assert.Empty(t, problem, given)
		assert.Equal(t, want, base, given)
	}
	for given, want := range map[string]string{
		"":                               "it does not begin with http:// or https://",
		"llm:8000":                       "it does not begin with http:// or https://",
		"/v1":                            "it does not begin with http:// or https://",
		"HTTP://llm":                     "it does not begin with http:// or https://",
		"unix:///run/llm.sock":           "it does not begin with http:// or https://",
		"http://":                        "the host is not a name or an IP address (IPv6 in brackets)",
		"http:///v1":                     "the host is not a name or an IP address (IPv6 in brackets)",
		"http://:8000":                   "the host is not a name or an IP address (IPv6 in brackets)",
		"http://a b":                     "the host is not a name or an IP address (IPv6 in brackets)",
		"http://größe":                   "the host is not a name or an IP address (IPv6 in brackets)",
		"http://::1":                     "the host is not a name or an IP address (IPv6 in brackets)",
		"http://[::1":                    "the host is not a name or an IP address (IPv6 in brackets)",
		"http://a..b":                    "the host is not a name or an IP address (IPv6 in brackets)",
		"http://llm:":                    "there is no port after the colon",
		"http://llm:0":                   "the port is not a number from 1 to 65535",
		"http://llm:99999":               "the port is not a number from 1 to 65535",
		"http://llm:http":                "the port is not a number from 1 to 65535",
		"http://me@llm":                  "it must not have user information: keys are given apart",
		"http://llm?a=b":                 "it must not have a query or a fragment",
		"http://llm/#a":                  "it must not have a query or a fragment",
		"http://llm/a b":                 "the path has characters or segments that a URL cannot have",
		"http://llm/%zz":                 "the path has characters or segments that a URL cannot have",
		"http://llm/%2":                  "the path has characters or segments that a URL cannot have",
		"http://llm/a/../b":              "the path has characters or segments that a URL cannot have",
		"http://llm//v1":                 "the path has characters or segments that a URL cannot have",
		"http://llm/a\r\nHost: b":        "the path has characters or segments that a URL cannot have",
		"http://llm/v1/responses":        "give the base without /v1/responses",
		"http://llm/v1/chat/completions": "give the base without /v1/chat/completions",
	} {
		_, problem := parseBase(given)
		assert.Equal(t, want, problem, given)
	}
}

func TestIPv6(t *testing.T) {
	for _, s := range []string{
		"::", "::1", "1::", "fd00::1", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::ffff:10.0.0.1", "1:2:3:4:5:6:10.0.0.1", "FD00::aB",
		"", ":", ":::", "1", "1:2", ":1", "1:", ":0:", "1::2::3", "1:2:3:4:5:6:7:8:9", "::12345", "::g", "1:2:3:4:5:6:7:10.0.0.1",
		"::10.0.0", "::10.0.0.256", "::10.0.0.1.", "::01.0.0.1", "10.0.0.1::", "10.0.0.1", "::+1", "::1%lo", "::1_0",
	} {
		addr, err := netip.ParseAddr(s)
		assert.Equalf(t, err == nil && addr.Is6() && addr.Zone() == "", isIPv6(s), "%q", s)
	}
}

// What is accepted, net/url reads the same way: no confusion about the host.
func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{"http://llm:8000/v1", "https://[::1]:1/a%20b/", "http://a_b.c", "http://1.2.3.4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, given string) {
		base, problem := parseBase(given)
		if problem != "" {
			assert.Empty(t, base)
			return
		}
		u, err := url.Parse(base + "/v1/responses")
		require.NoError(t, err)
		authority, _, _ := strings.Cut(strings.SplitN(base, "://", 2)[1], "/")
		assert.Equal(t, authority, u.Host)
		assert.Nil(t, u.User)
		assert.Empty(t, u.RawQuery+u.Fragment)
		assert.Equal(t, base+"/v1/responses", u.String())
		again, _ := parseBase(base)
		assert.Equal(t, base, again, "reading a base again changes nothing")
	})
}
