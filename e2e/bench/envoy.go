package main

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
)

// envoys are Envoy at its barest, with nothing but the filter added, and as
// antwort envoy runs it: with its access log, path checks, probes and limits.
// Chat goes to mock-llm and Responses to the server, so that what is forwarded
// and what passes a plain Envoy are the same bytes.
func (s *stage) envoys(llm, server target) error {
	const translating, forwarding, both = "antwort envoy translating", "antwort envoy forwarding", "chain of Envoy and server"
	all := []string{plainName, forwardName, translating, forwarding, both, extProcName}
	for i := range s.filters {
		all = append(all, s.filterName("translating", i), s.filterName("forwarding", i))
	}
	if !s.only.has(all...) {
		return nil
	}
	plain, err := s.bare(plainName, "", "", llm.url, server.url)
	plain.chat = true
	if err := s.add(plain, err, ""); err != nil {
		return err
	}
	plain.name, plain.chat = forwardName, false
	s.list = append(s.list, plain)

	for i, module := range s.filters {
		for _, f := range []struct{ way, provider, to string }{
			{"translating", "vllm", plainName}, {"forwarding", "vllm-responses", forwardName},
		} {
			name := s.filterName(f.way, i)
			asked := i == 0 && f.provider == "vllm" && s.only.has(extProcName)
			if !s.only.has(name) && !asked {
				continue
			}
			upstream := server.url
			if f.provider == "vllm" {
				upstream = llm.url
			}
			t, err := s.bare(name, fmt.Sprintf(plugin, module, f.provider), "", upstream, upstream)
			if err := s.add(t, err, f.to); err != nil {
				return err
			}
			if asked {
				if err := s.extProc(llm, t); err != nil {
					return err
				}
			}
		}
	}

	if s.only.has(translating) {
		t, err := s.tier(translating, "envoy", "vllm", llm.url, s.log)
		if err := s.add(t, err, plainName); err != nil {
			return err
		}
	}
	if s.only.has(forwarding, both) {
		t, err := s.tier(forwarding, "envoy", "vllm-responses", server.url, s.log)
		if err := s.add(t, err, forwardName); err != nil {
			return err
		}
		s.list = append(s.list, chained(both, forwardName, t, server))
	}
	return nil
}

// filterName names a plain Envoy with a filter; others than this tree's by
// their file.
func (s *stage) filterName(way string, i int) string {
	if i == 0 {
		return "filter alone " + way
	}
	return "filter " + strings.TrimSuffix(filepath.Base(s.filters[i]), ".wasm") + " " + way
}

// bare starts the least that Envoy does as a proxy, with one worker and what
// HTTP filters and clusters are given.
func (s *stage) bare(name, filters, clusters, chat, responses string) (target, error) {
	return s.run(name, "/v1/models", s.envoy, func(port int) []string {
		config := s.file(fmt.Sprintf("%d.yaml", port), fmt.Sprintf(plainEnvoy, port, filters, portOf(chat), portOf(responses))+clusters)
		return []string{"--concurrency", "1", "--use-dynamic-base-id", "-l", "error", "-c", config}
	})
}

func portOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		panic(err)
	}
	return u.Port()
}

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
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: /v1/responses}, route: {cluster: responses, timeout: 0s}}
              - {match: {prefix: /}, route: {cluster: chat, timeout: 0s}}
          http_filters:%s
          - {name: envoy.filters.http.router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
  clusters:
  - name: chat
    type: STATIC
    circuit_breakers: {thresholds: [{max_connections: 4096, max_requests: 4096, max_pending_requests: 4096}]}
    load_assignment: {cluster_name: chat, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
  - name: responses
    type: STATIC
    circuit_breakers: {thresholds: [{max_connections: 4096, max_requests: 4096, max_pending_requests: 4096}]}
    load_assignment: {cluster_name: responses, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %s}}}}]}]}
`

const plugin = `
          - name: antwort
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                vm_config: {runtime: envoy.wasm.runtime.v8, code: {local: {filename: %q}}}
                configuration: {"@type": type.googleapis.com/google.protobuf.StringValue, value: '{"engine":{"provider":%q}}'}`
