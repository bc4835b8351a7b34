package filter_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A panic in any callback fails that request only; the VM lives on.
func TestPanics(t *testing.T) {
	var plugins []plugin
	for _, profile := range profiles {
		plugins = append(plugins, plugin{name: profile, config: config("vllm", profile), gated: profile == "gated"})
	}
	g := start(t, panicking(t), plugins)
	panics := 0
	for _, profile := range profiles {
		url := g.url(t, profile)
		for _, c := range []struct {
			place, body string
			cut         bool // headers have left
		}{
			{"request_headers", hello, false},
			{"request_body", hello, false},
			{"response_headers", hello, false},
			{"response_body", hello, profile == "inline"},
			{"response_body", helloStream, profile == "inline"},
		} {
			t.Run(profile+"/"+c.place, func(t *testing.T) {
				g.up.set(gives(200, "application/json", chatHello))
				if c.body == helloStream {
					g.up.set(streams(chatEvents...))
				}
				got := post(t, url, c.body, "X-Panic-In", c.place)
				panics++
				require.Equal(t, c.cut, got.cut, got.body)
				if !c.cut {
					require.Equal(t, 500, got.status)
					require.Equal(t, "internal_error", code(t, got))
				}
				g.becomes(t, "panics_total", panics)
				g.up.set(gives(200, "application/json", chatHello))
				for range 3 {
					require.Equal(t, 200, post(t, url, hello).status, "the VM does not live on")
				}
			})
		}
	}
	g.becomes(t, "in_flight_bytes", 0)
}
