// Package conformance holds exchanges between a client, a filter and an
// upstream that tell a proxy-wasm host's behaviour, and runs them on a host of
// one's choice. The same exchanges run on filtertest's host and on a real
// Envoy; what each came to is compared with the recordings in testdata, which
// were made with Envoy.
//
// A recording has three parts: the callbacks that the filter got, with sizes,
// end of stream and what they returned, each followed by the host calls that
// the script made and their results; what the upstream received; what the
// client received.
package conformance

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"antwort/filter/filtertest"
)

//go:embed testdata/*.txt
var recordings embed.FS

// Setup is how a proxy is configured for an exchange. Equal setups may share a
// proxy, unless the exchange kills the VM.
type Setup struct {
	Knob          bool // allow_on_headers_stop_iteration
	BufferLimit   int  // per_connection_buffer_limit_bytes, 0: 1 MiB
	RouteTimeout  time.Duration
	Routes        []string // path prefixes, none: every path
	Policy        filtertest.FailurePolicy
	OwnVM         string // not empty: a VM of its own, by this name
	Unreachable   bool   // the upstream refuses connections
	HTTP2Upstream bool   // HTTP/2 to the upstream, whatever the client speaks
	Metadata      string // JSON that a filter in front notes as dynamic metadata, under "noted.by"
}

// BufferLimit of the exchanges about limits, in bytes.
const smallLimit = 16 << 10

// Configuration is the script plugin's: a tick every 20 ms.
const Configuration = "tick=20"

// Proxy is a running host with the script plugin and an upstream.
type Proxy interface {
	// Addr is the listener's host and port.
	Addr() string
	// Line gives line n of the proxy's record, waiting for it: callbacks,
	// returns and what the plugin logged, in order, as "#2 proxy_on_log()",
	// "#2 proxy_on_done = 1" and "log: TEXT".
	Line(ctx context.Context, n int) (string, error)
	// Lines is how many lines there are now.
	Lines() int
}

// Starter starts a proxy for a setup. The upstream answers HTTP/1.1, or HTTP/2
// for requests that came in by it. The proxy ends with the test.
type Starter func(t *testing.T, setup Setup, upstream http.Handler) Proxy

// ReloadInterval is the least time between two VMs under FailReload; a host
// that was started just now may take less. (One millisecond kills Envoy 1.40.)
const ReloadInterval = 10 * time.Millisecond

// limit is how long one exchange may take on a busy machine.
const limit = 30 * time.Second

// Run runs all exchanges on proxies by start and compares them with their
// recordings; with update set it makes the recordings instead, in dir.
func Run(t *testing.T, start Starter, update bool, dir string) {
	up := newUpstream()
	proxies := map[string]Proxy{}
	for _, x := range Exchanges() {
		key := fmt.Sprintf("%+v", x.Setup)
		if proxies[key] == nil {
			proxies[key] = start(t, x.Setup, up)
		}
		proxy := proxies[key]
		t.Run(x.Name, func(t *testing.T) {
			got := x.run(t, proxy, up)
			name := "testdata/" + x.Name + ".txt"
			if update {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := recordings.ReadFile(name)
			if errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("no recording %s: make one with `go test ./envoy -update` in e2e; got:\n%s", name, got)
			}
			if string(want) != got {
				t.Errorf("differs from Envoy's recording %s\n--- expected\n%s--- got\n%s", name, want, got)
			}
		})
	}
}

// run does the exchange and gives its record.
func (x Exchange) run(t *testing.T, proxy Proxy, up *upstream) string {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	r := &record{ctx: ctx, proxy: proxy, from: proxy.Lines(), name: x.Name, arrived: make(chan struct{})}
	up.begin(x, r)
	client, leave := x.exchange(r)
	defer leave()
	if !x.Kills || x.Revives {
		if err := r.finish(); err != nil {
			client += fmt.Sprintf("the stream did not end: %v\n", err)
		}
	}
	trace := r.trace()
	if x.AnySizes {
		trace = maskSizes(trace)
	}
	return strings.Join([]string{"filter:", indent(trace), "upstream:", indent(up.end()), "client:", indent(client), ""}, "\n")
}

func indent(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return "  " + strings.ReplaceAll(s, "\n", "\n  ")
}
