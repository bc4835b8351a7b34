package conformance_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/filter/filtertest"
	"antwort/filter/filtertest/conformance"
)

// The wazero host does what Envoy did when the recordings were made.
func TestHostDoesWhatEnvoyDoes(t *testing.T) {
	wasm, err := filtertest.Build("../testdata/script")
	require.NoError(t, err)
	conformance.Run(t, func(t *testing.T, setup conformance.Setup, upstream http.Handler) conformance.Proxy {
		return startHost(t, wasm, setup, upstream)
	}, false, "")
}

func startHost(t *testing.T, wasm []byte, setup conformance.Setup, upstream http.Handler) conformance.Proxy {
	lines := &lines{}
	lines.changed.L = &lines.mu
	opt := filtertest.Options{
		Configuration:               []byte(conformance.Configuration),
		Upstream:                    upstream,
		Clusters:                    map[string]http.Handler{"other": upstream},
		Routes:                      setup.Routes,
		AllowOnHeadersStopIteration: setup.Knob,
		BufferLimit:                 setup.BufferLimit,
		RouteTimeout:                setup.RouteTimeout,
		FailurePolicy:               setup.Policy,
		ReloadInterval:              time.Nanosecond,
		Trace:                       lines,
	}
	if setup.Unreachable {
		opt.Upstream = filtertest.Unreachable
	}
	if setup.Metadata != "" {
		var noted map[string]any
		require.NoError(t, json.Unmarshal([]byte(setup.Metadata), &noted))
		opt.Metadata = func(*http.Request) map[string]any { return map[string]any{"noted.by": noted} }
	}
	host, err := filtertest.Start(wasm, opt)
	require.NoError(t, err)
	t.Cleanup(host.Close)
	lines.addr = strings.TrimPrefix(host.URL, "http://")
	return lines
}

// lines is a host's trace, readable while it grows.
type lines struct {
	addr    string
	mu      sync.Mutex
	changed sync.Cond
	all     []string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.TrimSuffix(string(p), "\n"))
	l.changed.Broadcast()
	return len(p), nil
}

func (l *lines) Addr() string { return l.addr }

func (l *lines) Lines() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func (l *lines) Line(ctx context.Context, n int) (string, error) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.changed.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for n >= len(l.all) {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		l.changed.Wait()
	}
	return l.all[n], nil
}
