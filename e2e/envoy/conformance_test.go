package envoy_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy"
	"antwort/filter/filtertest"
	"antwort/filter/filtertest/conformance"
	"antwort/server/testkit"
)

var update = flag.Bool("update", false, "record what Envoy does as what the wazero host is to do")

const recordings = "../../filter/filtertest/conformance"

// Envoy still does what it did when the recordings were made, which
// filtertest's host is held against.
func TestEnvoyDoesWhatIsRecorded(t *testing.T) {
	envoy.Find(t)
	wasm, err := filtertest.Build("../../filter/filtertest/testdata/script")
	require.NoError(t, err)
	module := filepath.Join(t.TempDir(), "script.wasm")
	require.NoError(t, os.WriteFile(module, wasm, 0o644))

	// All setups are listeners of one Envoy: the module is compiled once.
	up := &swap{}
	setups := map[string]conformance.Setup{}
	for _, x := range conformance.Exchanges() {
		setups[fmt.Sprintf("%+v", x.Setup)] = x.Setup
	}
	process := envoy.Start(t, bootstrap(t, module, setups, serve(t, up), testkit.Refused(t).String()), "--component-log-level", "wasm:trace")
	lines := &lines{process: process}
	conformance.Run(t, func(t *testing.T, setup conformance.Setup, upstream http.Handler) conformance.Proxy {
		up.set(upstream)
		addr, err := process.Listener(fmt.Sprintf("%+v", setup))
		require.NoError(t, err)
		return &proxy{lines, addr}
	}, *update, recordings)
}

// swap is a handler that is set later.
type swap struct {
	mu sync.Mutex
	h  http.Handler
}

func (s *swap) set(h http.Handler) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.h = h
}

func (s *swap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	h := s.h
	s.mu.Unlock()
	h.ServeHTTP(w, r)
}

// serve gives the address of an upstream that speaks HTTP/1.1 and HTTP/2.
func serve(t *testing.T, h http.Handler) string {
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// lines turns Envoy's log into conformance's lines.
type lines struct {
	process *envoy.Process
	mu      sync.Mutex
	all     []string
	read    int // lines of the log that are in all
}

var (
	called   = regexp.MustCompile(`^\[wasm\]\[trace\] \[host->vm\] (proxy_on_\w+)\((\d+)(?:, )?(.*)\)$`)
	returned = regexp.MustCompile(`^\[wasm\]\[trace\] \[host<-vm\] (proxy_on_\w+) return: (\S+)$`)
	logged   = regexp.MustCompile(`^\[wasm\]\[\w+\] wasm log(?: [\w.-]+)*: (.*)$`)
	failed   = regexp.MustCompile(`^\[wasm\]\[\w+\] Function: (\w+) failed`)
)

// next takes in a line of Envoy's log. A return does not name its context: it
// is that of the last call of the same name.
func (l *lines) next(line string) {
	if m := called.FindStringSubmatch(line); m != nil && m[1] != "proxy_on_memory_allocate" {
		l.all = append(l.all, fmt.Sprintf("#%s %s(%s)", m[2], m[1], m[3]))
	} else if m := returned.FindStringSubmatch(line); m != nil && m[1] != "proxy_on_memory_allocate" && m[2] != "void" {
		l.all = append(l.all, fmt.Sprintf("%s %s = %s", l.last(m[1]), m[1], m[2]))
	} else if m := logged.FindStringSubmatch(line); m != nil {
		l.all = append(l.all, "log: "+m[1])
	} else if m := failed.FindStringSubmatch(line); m != nil {
		l.all = append(l.all, fmt.Sprintf("%s %s failed", l.last(m[1]), m[1]))
	}
}

// last gives the context of the last call of a callback.
func (l *lines) last(callback string) string {
	for i := len(l.all) - 1; i >= 0; i-- {
		if id, rest, _ := strings.Cut(l.all[i], " "); strings.HasPrefix(rest, callback+"(") {
			return id
		}
	}
	return "#?"
}

func (l *lines) catchUp() {
	for n := l.process.LogLines(); l.read < n; l.read++ {
		line, err := l.process.LogLine(context.Background(), l.read)
		if err != nil {
			return
		}
		l.next(line)
	}
}

type proxy struct {
	*lines
	addr string
}

func (p *proxy) Addr() string { return p.addr }

func (p *proxy) Lines() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.catchUp()
	return len(p.all)
}

func (p *proxy) Line(ctx context.Context, n int) (string, error) {
	for {
		p.mu.Lock()
		p.catchUp()
		if n < len(p.all) {
			defer p.mu.Unlock()
			return p.all[n], nil
		}
		read := p.read
		p.mu.Unlock()
		if _, err := p.process.LogLine(ctx, read); err != nil {
			return "", err
		}
	}
}
