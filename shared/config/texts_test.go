package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextsSayWhichEntryIsWrong(t *testing.T) {
	for entries, problem := range map[string]string{
		`["10.0.0.0/8","10.0.0.0/33"]`: `server.trusted_proxies[1]: got the text "10.0.0.0/33", want a text: an IP address, or a network such as 10.0.0.0/8`,
		`[null]`:                       `server.trusted_proxies[0]: got nothing (null), want a text`,
		`[10]`:                         `server.trusted_proxies[0]: got the number 10, want a text`,
		`["::"` + strings.Repeat(",0", 100) + `]`: "server.trusted_proxies: has 101 entries, at most 100 are allowed",
	} {
		_, err := Parse([]byte(`{"server":{"trusted_proxies":` + entries + `}}`))
		assert.ErrorContains(t, err, problem)
	}
}

func TestTextsFromTheEnvironment(t *testing.T) {
	c := Default()
	require.NoError(t, c.ApplyEnv(environment(map[string]string{"ANTWORT_TRUSTED_PROXIES": ` ["10.0.0.1", "fd00::/8"]`})))
	assert.Equal(t, []string{"10.0.0.1", "fd00::/8"}, c.Server.TrustedProxies)
	for _, wrong := range []string{`10.0.0.1`, `"10.0.0.1"`, `["10.0.0.1"`, `["10.0.0.1",]`, `["localhost"]`, `{}`} {
		err := c.ApplyEnv(environment(map[string]string{"ANTWORT_TRUSTED_PROXIES": wrong}))
		assert.ErrorContains(t, err, `want a list such as ["a","b"] of at most 100 texts`, wrong)
		assert.Equal(t, []string{"10.0.0.1", "fd00::/8"}, c.Server.TrustedProxies, "a wrong value changes nothing")
	}
}

func TestNetworks(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.1.2.3", "10.0.0.0/8", "10.0.0.0/32", "::", "::1/128", "fd00::/0", "::ffff:10.0.0.0/104"} {
		assert.True(t, isNetwork(s), s)
	}
	for _, s := range []string{"", "/", "/8", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0/8", "::/129", "[::1]", "fe80::1%eth0", "localhost", "10.0.0.1:80"} {
		assert.False(t, isNetwork(s), s)
	}
}

func TestOrigin(t *testing.T) {
	for _, s := range []string{"*", "https://chat.example", "http://localhost:3000", "http://[::1]:8080", "chrome-extension://abcdef", "http://a.example:443"} {
		assert.True(t, isOrigin(s), s)
	}
	for _, s := range []string{"", "chat.example", "https://", "://a", "https://chat.example/", "https://Chat.example", "https://*.example", "https://a.example:443",
		"http://a.example:80", "https://a b", "https://me@a.example", "https://a.example?x", "null"} {
		assert.False(t, isOrigin(s), s)
	}
}
