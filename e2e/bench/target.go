package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"antwort/e2e/chain"
)

// A target is what is measured: one or two processes between the client and
// mock-llm. Chat targets pass Chat Completions through; the others speak the
// Responses API.
type target struct {
	name  string
	to    string // the target that it is compared to, "" for none
	url   string
	chat  bool
	pids  []int // whose CPU and memory count
	start time.Duration

	credential string // that it asks for
}

// The targets that others are compared to.
const (
	proxyName   = "ReverseProxy"
	plainName   = "plain Envoy (chat)"
	forwardName = "plain Envoy (Responses)"
)

// choice is which targets are measured. What a chosen one needs, or is compared
// to, is started and measured too.
type choice []string

// has reports whether one of the names contains a chosen text, or is one that is
// chosen with = in front.
func (c choice) has(names ...string) bool {
	for _, name := range names {
		if len(c) == 0 || slices.ContainsFunc(c, func(part string) bool { return "="+name == part || strings.Contains(name, part) }) {
			return true
		}
	}
	return false
}

// stage starts the processes of a run.
type stage struct {
	ctx       context.Context
	dir       string
	antwort   string
	before    string // an earlier one; "": none
	envoy     string
	filters   []string // paths of filter.wasm, the first the one of this tree
	postgres  string   // URL of a database for responses; "": none
	only      choice
	log       string // level of antwort envoy
	processes []*chain.Process
	list      []target
	floods    bool
	limited   []target // of the workload flood
}

func (s *stage) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		_ = s.processes[i].Stop() // what was measured is measured
	}
}

// startLimit is long for Envoy, which compiles the filter first.
const startLimit = 2 * time.Minute

// run starts a program that listens on port and waits until path answers 200.
func (s *stage) run(name, path string, program string, args func(port int) []string) (t target, err error) {
	port, err := chain.FreePort()
	if err != nil {
		return t, err
	}
	began := time.Now()
	file := strings.NewReplacer(" ", "-", "+", "and", ",", "", "/", "-").Replace(name)
	p, err := chain.StartProcess(s.ctx, name, filepath.Join(s.dir, file+".log"), program, args(port)...)
	if err != nil {
		return t, err
	}
	s.processes = append(s.processes, p)
	t = target{name: name, url: fmt.Sprintf("http://127.0.0.1:%d", port), pids: []int{p.PID()}}
	err = p.WaitReady(s.ctx, t.url+path, startLimit)
	t.start = time.Since(began)
	return t, err
}

func (s *stage) file(name, text string) string {
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		panic(err)
	}
	return file
}

// configured starts antwort with the configuration of a port: command is serve or envoy.
func (s *stage) configured(name, command string, config func(port int) string) (target, error) {
	return s.run(name, "/readyz", s.antwort, func(port int) []string {
		args := []string{command, "--config", s.file(fmt.Sprintf("%d.yaml", port), config(port))}
		if command == "envoy" {
			args = append(args, "--concurrency", "1")
		}
		return args
	})
}

// tier starts antwort as a tier.
func (s *stage) tier(name, command, provider, upstream, log string) (target, error) {
	return s.configured(name, command, func(port int) string {
		return fmt.Sprintf("server: {host: 127.0.0.1, port: %d}\nengine: {provider: %s, backend_url: %s}\nstate: {type: none}\nobservability: {log: {level: %s}}\n", port, provider, upstream, log)
	})
}

// add puts a target on the list, when it was started without an error.
func (s *stage) add(t target, err error, to string) error {
	t.to = to
	s.list = append(s.list, t)
	return err
}

// targets starts what is measured, all in front of the same mock-llm. Without
// Envoy its targets are left out.
func (s *stage) targets(reverseProxy string) ([]target, error) {
	llm, err := s.run("mock-llm alone", "/v1/models", s.antwort, func(port int) []string {
		return []string{"mock-llm", "--port", fmt.Sprint(port)}
	})
	if err != nil {
		return nil, err
	}
	server, err := s.tier("server", "serve", "vllm", llm.url, "warn")
	if err != nil {
		return nil, err
	}
	if err := s.servers(llm, server, reverseProxy); err != nil {
		return nil, err
	}
	if s.envoy != "" {
		if err := s.envoys(llm, server); err != nil {
			return nil, err
		}
		if err := s.envoyGates(llm); err != nil {
			return nil, err
		}
	}
	if s.floods {
		s.limited, err = s.limitedTiers(llm)
	}
	return s.list, err
}

// servers are the native tiers.
func (s *stage) servers(llm, server target, reverseProxy string) error {
	const front, both = "frontend of the chain", "chain of two servers"
	llm.chat = true
	if s.only.has(llm.name) {
		s.list = append(s.list, llm)
	}
	if !s.only.has(append(slices.Concat(layerNames(), s.storeNames(), watchedNames()), proxyName, server.name, front, both)...) {
		return nil
	}
	proxy, err := s.run(proxyName, "/v1/models", reverseProxy, func(port int) []string {
		return []string{fmt.Sprintf("127.0.0.1:%d", port), llm.url}
	})
	proxy.chat = true
	if err := s.add(proxy, err, ""); err != nil {
		return err
	}
	if s.only.has(server.name) {
		server.to = proxyName
		s.list = append(s.list, server)
		if err := s.gates(llm, server); err != nil {
			return err
		}
	}
	if err := s.layers(llm); err != nil {
		return err
	}
	if err := s.stores(llm, server); err != nil {
		return err
	}
	if err := s.watched(llm, server); err != nil {
		return err
	}
	if err := s.earlier(llm, server); err != nil {
		return err
	}
	if !s.only.has(front, both) {
		return nil
	}
	frontend, err := s.tier(front, "serve", "vllm-responses", server.url, "warn")
	if err := s.add(frontend, err, proxyName); err != nil {
		return err
	}
	s.list = append(s.list, chained(both, proxyName, frontend, server))
	return nil
}

// earlier are the servers of the earlier binary, the frontend in front of the same
// backend. It may not know state.type, which an environment variable sets for those
// that do: the others only warn of it.
func (s *stage) earlier(llm, server target) error {
	if s.before == "" {
		return nil
	}
	for _, tier := range []struct{ name, provider, upstream string }{
		{"server before", "vllm", llm.url}, {"frontend before", "vllm-responses", server.url},
	} {
		t, err := s.run(tier.name, "/readyz", "env", func(port int) []string {
			return []string{"ANTWORT_STATE_TYPE=none", s.before, "serve", "--config", s.file(fmt.Sprintf("%d.yaml", port), fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: %s, backend_url: %s}\nobservability: {log: {level: warn}}\n", port, tier.provider, tier.upstream))}
		})
		if err := s.add(t, err, proxyName); err != nil {
			return err
		}
	}
	return nil
}

// chained is two tiers as one target.
func chained(name, to string, frontend, backend target) target {
	return target{name: name, to: to, url: frontend.url, pids: slices.Concat(frontend.pids, backend.pids)}
}
