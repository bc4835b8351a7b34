package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// extProcName is the way of those who have no filter: Envoy asks a server.
const extProcName = "ext_proc translating"

// extProc is a plain Envoy that asks a server, which translates by the same code as the
// filter. It is measured when what it says is what the filter says.
func (s *stage) extProc(llm, filter target) error {
	program := filepath.Join(s.dir, "extproc")
	if out, err := exec.CommandContext(s.ctx, "go", "build", "-o", program, "./bench/extproc").CombinedOutput(); err != nil {
		return fmt.Errorf("build the ext_proc server: %w: %s", err, out)
	}
	socket := filepath.Join(s.dir, "extproc.socket")
	server, err := s.run("ext_proc server", "/", program, func(port int) []string {
		return []string{fmt.Sprintf("127.0.0.1:%d", port), socket}
	})
	if err != nil {
		return err
	}
	t, err := s.bare(extProcName, extProcFilter, fmt.Sprintf(extProcCluster, socket), llm.url, llm.url)
	t.pids = slices.Concat(t.pids, server.pids)
	if err := s.add(t, err, plainName); err != nil {
		return err
	}
	return sameAnswers(t, filter)
}

// sameAnswers reports where the answers of two targets differ, but for ids and times.
func sameAnswers(a, b target) error {
	for _, w := range workloads(1, 1) {
		path, body := w.request(a)
		ofA, err := a.answer(path, body)
		if err != nil {
			return err
		}
		ofB, err := b.answer(path, body)
		if err != nil {
			return err
		}
		if !bytes.Equal(ofA, ofB) {
			return fmt.Errorf("%s: %s answers\n%s\nand %s\n%s", w.name, a.name, ofA, b.name, ofB)
		}
	}
	return nil
}

// own are the ids and times of an answer.
var own = regexp.MustCompile(`(_)[a-z0-9]{26,}|(_at":)\d+`)

// answer is what the target says, without what is its own in each answer.
func (t target) answer(path string, body []byte) ([]byte, error) {
	resp, err := t.post(http.DefaultClient, path, body)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", t.name, resp.Status, all)
	}
	return own.ReplaceAll(all, []byte("$1$2…")), err
}

// extProcFilter shows the server as little as it can do with. The request's header is for
// nothing but that Envoy holds it until its body is there, which gives it another path.
const extProcFilter = `
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: extproc}, timeout: 60s}
              message_timeout: 60s
              processing_mode: {request_header_mode: SEND, request_body_mode: BUFFERED, response_header_mode: SEND, response_body_mode: STREAMED}`

const extProcCluster = `  - name: extproc
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    circuit_breakers: {thresholds: [{max_connections: 4096, max_requests: 4096, max_pending_requests: 4096}]}
    load_assignment: {cluster_name: extproc, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: %q}}}}]}]}
`
