package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"time"

	"antwort/e2e/chain"
)

// watched is a server that limits or traces, or both. The server with neither is its
// measure; metrics are counted in all of them.
type watched struct {
	name, limits, ratio string
	inRedis             bool // its limits are counted there
}

const counted = "rules: [{name: all, requests_per_minute: 1000000000, tokens_per_day: 100000000000}]"

var watchedServers = []watched{
	{"server, limits", counted, "", false},
	{"server, limits, not sampled", counted, "0", false},
	{"server, sampled", "", "1", false},
	{"server, limits in Redis", counted, "", true},
}

func watchedNames() (names []string) {
	for _, w := range watchedServers {
		names = append(names, w.name)
	}
	return names
}

// watched starts them, and what takes their traces. Without a redis-server nothing is
// limited in Redis.
func (s *stage) watched(llm, server target) error {
	if !s.only.has(watchedNames()...) {
		return nil
	}
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })) // until the run ends
	for _, w := range watchedServers {
		if !s.only.has(w.name) {
			continue
		}
		limits, traces := w.limits, ""
		if w.inRedis {
			redis, err := s.redis()
			if err != nil {
				return err
			}
			if redis == "" {
				continue
			}
			limits = "store: redis, on_failure: closed, redis: {url: 'unix://" + redis + "'}, " + limits
		}
		if w.ratio != "" {
			traces = fmt.Sprintf(", otlp: {endpoint: '%s', queue: 100000}, tracing: {sample_ratio: %s}", collector.URL, w.ratio)
		}
		t, err := s.configured(w.name, "serve", func(port int) string {
			return fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm, backend_url: %s}\nstate: {type: none}\nobservability: {log: {level: warn}%s}\nlimits: {%s}\n",
				port, llm.url, traces, limits)
		})
		if err := s.add(t, err, server.name); err != nil {
			return err
		}
	}
	return nil
}

// redis starts a Redis, and returns the path of its socket; "" where there is none.
func (s *stage) redis() (string, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return "", nil // then the rest is measured
	}
	socket := filepath.Join(s.dir, "redis.socket")
	p, err := chain.StartProcess(s.ctx, "redis", filepath.Join(s.dir, "redis.log"), program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", s.dir)
	if err != nil {
		return "", err
	}
	s.processes = append(s.processes, p)
	for range 100 {
		if conn, err := net.Dial("unix", socket); err == nil {
			return socket, conn.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return "", fmt.Errorf("redis-server does not come up: see %s", s.dir)
}
