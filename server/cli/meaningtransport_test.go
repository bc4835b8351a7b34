package cli

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

func TestEnvoyGoesThroughNoProxy(t *testing.T) {
	c, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://inside"},"routes":[{"name":"r","match":{"models":["m"]},"backends":[{"url":"https://outside"}]}]}`)})
	require.NoError(t, err)
	require.Equal(t, []string{"HTTPS_PROXY, HTTP_PROXY: no effect, Envoy calls https://outside without a proxy; antwort serve goes through it"},
		notProxied(c, func(base string) (*url.URL, error) {
			if strings.HasPrefix(base, "https:") {
				return &url.URL{Scheme: "http", Host: "proxy:3128"}, nil
			}
			return nil, nil
		}))
}
