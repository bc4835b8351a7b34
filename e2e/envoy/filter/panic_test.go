package filter_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

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

// What a VM held goes with it: the next one has all of in_flight_bytes, and takes what
// it held out of Envoy's gauge. Envoy cuts the streams that the VM had, so that nobody
// takes them for complete, and its log says of what the VM died.
func TestVMThatDies(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			g := start(t, panicking(t), []plugin{{name: profile, gated: profile == "gated", reloads: true,
				config: config("vllm", profile, `},"limits":{"in_flight_bytes":"8KiB","request_body_bytes":"8KiB"`)}})
			url := g.url(t, profile)
			g.up.set(withTicks(gives(200, "application/json", chatHello)))
			bystander := startTicks(t, url)
			held := `{"model":"m","input":"` + strings.Repeat("x", 3000)
			body, more := io.Pipe()
			r, err := http.NewRequest("POST", url+"/v1/responses", body)
			require.NoError(t, err)
			r.Header = http.Header{"Content-Type": {"application/json"}, "X-Panic-In": {"request_body 2 trap"}}
			ended := make(chan got, 1)
			go func() { ended <- send(t, http.DefaultTransport, r) }()
			_, err = io.WriteString(more, held)
			require.NoError(t, err)
			isHeld := func() bool { return g.stat(t, "in_flight_bytes") >= len(held) }
			require.Eventually(t, isHeld, time.Minute, 20*time.Millisecond)
			_, err = io.WriteString(more, `"}`)
			require.NoError(t, err)
			require.NotEqual(t, 200, (<-ended).status)
			<-bystander.done
			require.True(t, bystander.cut)
			require.Contains(t, bystander.text.String(), "event: response.output_text.delta")
			require.NotContains(t, bystander.text.String(), "event: response.completed")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for n, line := 0, ""; !strings.Contains(line, "proxy_on_request_body") || !strings.Contains(line, "memory access out of bounds"); n++ {
				line, err = g.LogLine(ctx, n)
				require.NoError(t, err, "Envoy's log does not say of what the VM died")
			}
			require.Eventually(t, func() bool { return post(t, url, hello).status == 200 }, time.Minute, 50*time.Millisecond)
			for range 3 {
				require.Equal(t, 200, post(t, url, held+strings.Repeat("x", 2000)+`"}`).status, "it believes that it holds what the other one held")
			}
			require.Zero(t, g.stat(t, "panics_total"))
			g.becomes(t, "in_flight_bytes", 0)
		})
	}
}
