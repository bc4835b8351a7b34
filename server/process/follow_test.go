package process

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// guard is how long anything may take before a test gives up waiting.
const guard = time.Minute

// program follows a configuration that a test sets.
type program struct {
	t     *testing.T
	asked chan struct{}
	reg   *prometheus.Registry

	mu            sync.Mutex
	file, inForce *config.Config
	wrong         error // of the file
	refuses       error // of Apply
	log           bytes.Buffer
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func run(t *testing.T) *program {
	p := &program{t: t, asked: make(chan struct{}), reg: prometheus.NewRegistry(), file: config.Default(), inForce: config.Default()}
	f := Follower{
		Load:    func() (*config.Config, error) { p.mu.Lock(); defer p.mu.Unlock(); return p.file, p.wrong },
		Current: func() *config.Config { p.mu.Lock(); defer p.mu.Unlock(); return p.inForce },
		Apply: func(_ context.Context, c *config.Config) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.refuses == nil {
				p.inForce = c
			}
			return p.refuses
		},
		Asked: p.asked, Command: config.Serve, Log: slog.New(slog.NewTextHandler(p, nil)), Reloads: NewReloads(p.reg),
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { f.Follow(ctx); close(done) }()
	t.Cleanup(func() { stop(); <-done })
	return p
}

// set changes the file, and asks for it to be read.
func (p *program) set(wrong, refuses error, edit func(*config.Config)) {
	c := config.Default()
	edit(c)
	p.mu.Lock()
	p.file, p.wrong, p.refuses = c, wrong, refuses
	p.log.Reset()
	p.mu.Unlock()
	p.asked <- struct{}{}
}

func (p *program) logged(words ...string) {
	p.t.Helper()
	text := ""
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		text = p.log.String()
		p.mu.Unlock()
		for _, w := range words {
			if !strings.Contains(text, w) {
				return false
			}
		}
		return true
	}, guard, time.Millisecond, "no %q in the log", words)
}

func TestFollow(t *testing.T) {
	p := run(t)
	model := func(name string) func(*config.Config) {
		return func(c *config.Config) { c.Engine.DefaultModel = name }
	}
	p.set(nil, nil, func(*config.Config) {})
	p.logged("a signal asks for it", "the configuration is the one in force")

	p.set(nil, nil, model("a"))
	p.logged(`msg="the changed configuration is in force"`)
	assert.Equal(t, "a", p.inForce.Engine.DefaultModel)

	p.set(errors.New("line 3"), nil, model("b"))
	p.logged("the old one stays in force", "line 3")
	p.set(nil, errors.New("no such backend"), model("b"))
	p.logged("the old one stays in force", "no such backend")
	assert.Equal(t, "a", p.inForce.Engine.DefaultModel)

	p.set(nil, nil, func(c *config.Config) { model("a")(c); c.Server.Port, c.Observability.Log.Level = 1, "warn" })
	p.logged("level=WARN", "in force, but for keys that need a restart", `restart="server.port, observability.log.level"`)
	p.set(nil, nil, func(c *config.Config) { model("b")(c); c.Server.Port = 1 })
	p.logged("level=WARN", `restart=server.port`) // though only the model has changed now
	p.set(nil, nil, model("c"))
	p.logged(`msg="the changed configuration is in force"`)

	all, err := p.reg.Gather()
	require.NoError(t, err)
	counted := map[string]float64{}
	for _, m := range all[0].GetMetric() {
		counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	assert.Equal(t, "config_reloads_total", all[0].GetName())
	assert.Equal(t, map[string]float64{"applied": 4, "refused": 2}, counted)
}

// Nobody has to ask.
func TestFollowSeesAChangeByItself(t *testing.T) {
	p := run(t)
	p.mu.Lock()
	p.wrong = errors.New("line 3")
	p.mu.Unlock()
	p.logged("the old one stays in force", "line 3")
	p.mu.Lock()
	p.wrong = nil
	p.mu.Unlock()
	p.logged("the configuration is again the one in force")
	assert.Equal(t, 1, strings.Count(p.log.String(), "stays in force"), "what is wrong is logged once")
}

func TestBuildInfo(t *testing.T) {
	reg := prometheus.NewRegistry()
	RegisterBuildInfo(reg, "v1", prometheus.Labels{"envoy": "1.40.0"})
	all, err := reg.Gather()
	require.NoError(t, err)
	require.Len(t, all, 1)
	labels := map[string]string{}
	for _, l := range all[0].GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	assert.Equal(t, "v1", labels["version"])
	assert.Equal(t, "1.40.0", labels["envoy"])
	assert.Regexp(t, `^go\d`, labels["go"])
}
