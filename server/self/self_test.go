package self

import (
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

func TestCheck(t *testing.T) {
	local, err := os.Hostname()
	require.NoError(t, err)
	for _, c := range []struct {
		host, url string
		own       bool
	}{
		{"0.0.0.0", "http://127.0.0.1:8080", true},
		{"0.0.0.0", "http://127.1.2.3:8080/base", true},
		{"0.0.0.0", "https://localhost:8080", true},
		{"0.0.0.0", "http://LocalHost.:8080", true},
		{"0.0.0.0", "http://0.0.0.0:8080", true},
		{"0.0.0.0", "http://[::1]:8080", true},
		{"0.0.0.0", "http://" + local + ":8080", true},
		{"::", "http://[::ffff:127.0.0.1]:8080", true},
		{"127.0.0.1", "http://localhost:8080", true},
		{"127.0.0.1", "http://0.0.0.0:8080", true},
		{"localhost", "http://127.0.0.1:8080", true},
		{"gateway.example", "http://Gateway.Example:8080", true},
		{"0.0.0.0", "http://127.0.0.1:8081", false},
		{"0.0.0.0", "http://llm.example:8080", false},
		{"0.0.0.0", "http://192.0.2.1:8080", false},
		{"127.0.0.1", "http://127.0.0.2:8080", false},
		{"192.0.2.1", "http://127.0.0.1:8080", false},
		{"0.0.0.0", "http://127.0.0.1", false},
	} {
		cfg := config.Default()
		cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, c.url
		err := Check(cfg, c.host, 8080)
		if !c.own {
			require.NoError(t, err, "%v", c)
			continue
		}
		require.ErrorContains(t, err, "engine.backend_url: "+c.url+" is where this server itself listens", "%v", c)
		require.NoError(t, Check(cfg, c.host, 0))
	}
}

func TestCheckKnowsTheMachine(t *testing.T) {
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, one := range all {
		p, err := netip.ParsePrefix(one.String())
		require.NoError(t, err)
		cfg := config.Default()
		cfg.Engine.Provider = config.VLLM
		cfg.Routes = []config.Route{{Name: "r", Backends: []config.Backend{{URL: "http://llm.example"}, {URL: "http://" + netip.AddrPortFrom(p.Addr(), 9000).String()}}}}
		require.ErrorContains(t, Check(cfg, "::", 9000), "routes[0].backends[1].url: ")
	}
}
