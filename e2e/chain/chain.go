// Package chain starts the processes of an end-to-end test on free loopback
// ports: a model server and the tiers of antwort in front of it.
package chain

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"
)

// Options say what to start.
type Options struct {
	Antwort  string   // path of the binary
	Tiers    []string // subcommand of each tier, the client's first: "serve", "serve"; see Keeps
	Upstream string   // base URL of a running model server; "" starts antwort mock-llm
	Forward  bool     // the upstream speaks Responses itself: no tier translates
	DropTool bool     // translation.unsupported_tools: drop, as Codex needs it
	Dir      string   // configurations and logs are written here
	Log      func(format string, args ...any)

	Observability string // this section of all tiers, in YAML on one line; "": the default
	Translating   string // more of the configuration of the tier that translates, in YAML
}

// Keeps is a tier that is a server which forwards and keeps responses itself, in front
// of others that keep none.
const Keeps = "keeps"

// command is the subcommand of a tier.
func command(tier string) string {
	if tier == Keeps {
		return "serve"
	}
	return tier
}

// state is where a tier keeps responses, "" by itself.
func state(tiers []string, i int) string {
	switch {
	case tiers[i] == Keeps:
		return "memory"
	case slices.Contains(tiers, Keeps):
		return "none"
	}
	return ""
}

// A Chain is a set of running processes. Stop it in the end.
type Chain struct {
	BaseURL    string // of the tier that clients talk to, without /v1
	BackendURL string // of the tier that talks to the model server
	Upstream   string // of the model server

	processes []*Process // in the order of their start
}

// configuration is what users write, with the ports of this run. The tier next
// to the model translates, the others forward. The keep-alive interval is short
// so that tests of it are.
var configuration = template.Must(template.New("config").Parse(`server: {host: 127.0.0.1, port: {{.Port}}, keepalive_interval: 3s}
engine:
  provider: {{.Provider}}
  backend_url: {{.Upstream}}
{{- if .DropTool}}
translation: {unsupported_tools: drop}
{{- end}}
{{- if .State}}
state: {type: {{.State}}}
{{- end}}
{{- if .Observability}}
observability: {{.Observability}}
{{- end}}
{{- if .Translating}}
{{.Translating}}
{{- end}}
`))

// startLimit is long for Envoy, which compiles the filter first.
const startLimit = 90 * time.Second

// Start starts the model server, then tier by tier towards the client, each
// when the one behind it is ready. On an error nothing is left running. The
// processes end with ctx at the latest.
func Start(ctx context.Context, opt Options) (_ *Chain, err error) {
	if len(opt.Tiers) == 0 {
		return nil, errors.New("chain: no tiers")
	}
	if err := os.MkdirAll(opt.Dir, 0o755); err != nil {
		return nil, err
	}
	c := &Chain{Upstream: strings.TrimSuffix(opt.Upstream, "/")}
	defer func() {
		if err != nil {
			_ = c.Stop() // the first error is the one to tell
		}
	}()
	if c.Upstream == "" {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		c.Upstream, err = c.start(ctx, opt, port, "mock-llm", "/v1/models", "mock-llm", "--vision", "--port", fmt.Sprint(port))
		if err != nil {
			return nil, err
		}
	}
	c.BaseURL = c.Upstream
	for i := len(opt.Tiers) - 1; i >= 0; i-- {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		last := i == len(opt.Tiers)-1
		name := fmt.Sprintf("tier%d-%s", i+1, opt.Tiers[i])
		file := filepath.Join(opt.Dir, name+".yaml")
		if err := writeConfiguration(file, port, c.BaseURL, last && !opt.Forward, opt, state(opt.Tiers, i)); err != nil {
			return nil, err
		}
		c.BaseURL, err = c.start(ctx, opt, port, name, "/readyz", command(opt.Tiers[i]), "--config", file)
		if err != nil {
			return nil, err
		}
		if last {
			c.BackendURL = c.BaseURL
		}
	}
	return c, nil
}

func writeConfiguration(file string, port int, upstream string, translates bool, opt Options, state string) error {
	provider, more := "vllm-responses", ""
	if translates {
		provider, more = "vllm", opt.Translating
	}
	var text strings.Builder
	if err := configuration.Execute(&text, map[string]any{
		"Port": port, "Provider": provider, "Upstream": upstream, "DropTool": opt.DropTool && translates, "State": state, "Observability": opt.Observability, "Translating": more,
	}); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}

// start runs one process and waits until it answers at ready. It returns the
// process's base URL.
func (c *Chain) start(ctx context.Context, opt Options, port int, name, ready, command string, args ...string) (string, error) {
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	p, err := StartProcess(ctx, name, filepath.Join(opt.Dir, name+".log"), opt.Antwort, append([]string{command}, args...)...)
	if err != nil {
		return "", err
	}
	c.processes = append(c.processes, p)
	if err := p.WaitReady(ctx, url+ready, startLimit); err != nil {
		return "", err
	}
	if opt.Log != nil {
		opt.Log("%s at %s (log: %s)", name, url, p.log)
	}
	return url, nil
}

// Stop ends the processes with SIGTERM, the client's tier first, and returns
// what did not end well.
func (c *Chain) Stop() error {
	var errs []error
	for i := len(c.processes) - 1; i >= 0; i-- {
		errs = append(errs, c.processes[i].Stop())
	}
	c.processes = nil
	return errors.Join(errs...)
}
