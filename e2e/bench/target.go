package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"antwort/e2e/chain"
)

// A target is what is measured: one or two processes between the client and
// mock-llm. Chat targets pass Chat Completions through; the others speak the
// Responses API.
type target struct {
	name  string
	url   string
	chat  bool
	pids  []int // whose CPU and memory count
	start time.Duration
}

// stage starts the processes of a run.
type stage struct {
	ctx       context.Context
	dir       string
	antwort   string
	processes []*chain.Process
}

func (s *stage) stop() {
	for i := len(s.processes) - 1; i >= 0; i-- {
		_ = s.processes[i].Stop() // what was measured is measured
	}
}

// run starts a program that listens on port and waits until path answers 200.
func (s *stage) run(name, path string, program string, args func(port int) []string) (url string, pid int, took time.Duration, err error) {
	port, err := chain.FreePort()
	if err != nil {
		return "", 0, 0, err
	}
	began := time.Now()
	name = strings.NewReplacer(" ", "-", "+", "and", ",", "").Replace(name)
	p, err := chain.StartProcess(s.ctx, name, filepath.Join(s.dir, name+".log"), program, args(port)...)
	if err != nil {
		return "", 0, 0, err
	}
	s.processes = append(s.processes, p)
	url = fmt.Sprintf("http://127.0.0.1:%d", port)
	if path == "" {
		return url, p.PID(), 0, nil
	}
	return url, p.PID(), time.Since(began), p.WaitReady(s.ctx, url+path, time.Minute)
}

func (s *stage) file(name, text string) string {
	file := filepath.Join(s.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		panic(err)
	}
	return file
}

// tier starts antwort as a tier: command is serve or envoy.
func (s *stage) tier(name, command, provider, upstream string) (target, error) {
	url, pid, took, err := s.run(name, "/readyz", s.antwort, func(port int) []string {
		config := s.file(fmt.Sprintf("%d.yaml", port), fmt.Sprintf(
			"server: {host: 127.0.0.1, port: %d}\nengine: {provider: %s, backend_url: %s}\nobservability: {log: {level: warn}}\n", port, provider, upstream))
		args := []string{command, "--config", config}
		if command == "envoy" {
			args = append(args, "--concurrency", "1")
		}
		return args
	})
	return target{name: name, url: url, pids: []int{pid}, start: took}, err
}

// plainEnvoy is the least that Envoy does as a proxy.
const plainEnvoy = `admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: %d}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          route_config:
            virtual_hosts:
            - {name: all, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: upstream, timeout: 0s}}]}
          http_filters:
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: upstream
    type: STATIC
    circuit_breakers: {thresholds: [{max_connections: 4096, max_requests: 4096, max_pending_requests: 4096}]}
    load_assignment: {cluster_name: upstream, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
`

// targets starts everything that is measured, each in front of the same
// mock-llm. Without Envoy its targets are left out.
func (s *stage) targets(reverseProxy, envoy string) ([]target, error) {
	llm, llmPID, _, err := s.run("mock-llm", "/v1/models", s.antwort, func(port int) []string {
		return []string{"mock-llm", "--port", fmt.Sprint(port)}
	})
	if err != nil {
		return nil, err
	}
	list := []target{{name: "mock-llm alone", url: llm, chat: true, pids: []int{llmPID}}}

	url, pid, took, err := s.run("ReverseProxy", "/v1/models", reverseProxy, func(port int) []string {
		return []string{fmt.Sprintf("127.0.0.1:%d", port), llm}
	})
	if err != nil {
		return nil, err
	}
	list = append(list, target{name: reference, url: url, chat: true, pids: []int{pid}, start: took})

	server, err := s.tier("server", "serve", "vllm", llm)
	if err != nil {
		return nil, err
	}
	frontend, err := s.tier("frontend of the chain", "serve", "vllm-responses", server.url)
	if err != nil {
		return nil, err
	}
	both := target{name: "chain of two servers", url: frontend.url, pids: append(frontend.pids, server.pids...)}
	list = append(list, server, frontend, both)
	if envoy == "" {
		return list, nil
	}

	url, pid, took, err = s.run("plain Envoy", "/v1/models", envoy, func(port int) []string {
		_, upstream, _ := strings.Cut(strings.TrimPrefix(llm, "http://"), ":")
		return []string{"--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c", s.file("envoy.yaml", fmt.Sprintf(plainEnvoy, port, upstream))}
	})
	if err != nil {
		return nil, err
	}
	list = append(list, target{name: "plain Envoy", url: url, chat: true, pids: []int{pid}, start: took})
	forwarding, err := s.tier("Envoy + filter forwarding", "envoy", "vllm-responses", server.url)
	if err != nil {
		return nil, err
	}
	translating, err := s.tier("Envoy + filter translating", "envoy", "vllm", llm)
	if err != nil {
		return nil, err
	}
	chained := target{name: "chain of Envoy and server", url: forwarding.url, pids: append(forwarding.pids, server.pids...)}
	return append(list, forwarding, translating, chained), nil
}
