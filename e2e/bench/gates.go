package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"

	"antwort/shared/corpus"
)

// What a gateway asks before it answers: who calls, and where the request goes.
// Its cost is the difference to a server that asks nothing.

// lastOf are routes of which the last one fits the requests of all workloads.
func lastOf(routes int, upstream string) string {
	var b strings.Builder
	for i := range routes {
		match := fmt.Sprintf("{models: [other-%d-*, m%d], tenants: [team-%d], headers: {x-team: research}}", i, i, i)
		if i == routes-1 {
			match = "{models: ['/mnt/*']}"
		}
		fmt.Fprintf(&b, "- {name: r%d, match: %s, backends: [{url: %s}]}\n", i, match, upstream)
	}
	return b.String()
}

// gates are servers with keys or tokens, and routes.
func (s *stage) gates(llm, server target) error {
	const routes = 20
	keys := &strings.Builder{}
	for i := range 100 {
		fmt.Fprintf(keys, "  - {sha256: %x, subject: s%d, tenant: team-a}\n", sha256.Sum256(fmt.Append(nil, "key-", i)), i)
	}
	issuer, err := corpus.NewIssuer()
	if err != nil {
		return err
	}
	token := issuer.Token(&corpus.TokenCase{Claims: map[string]any{
		"iss": "https://issuer.example", "aud": "antwort", "sub": "alice", "org": "team-a", "groups": strings.Split(strings.Repeat("group,", 20), ","),
	}})
	jwks := s.file("jwks.json", string(issuer.JWKS()))
	// A token is long, and reading it costs too: the measure is a server that
	// ignores it.
	const ignored = "server, token ignored"
	for _, gate := range []struct{ name, to, auth, routes, credential string }{
		{"server, 100 keys, 20 routes", server.name, "type: api_key\n  api_keys:\n" + keys.String(), lastOf(routes, llm.url), "key-50"},
		{ignored, server.name, "type: none\n", lastOf(1, llm.url), token},
		{"server, tokens, 20 routes", ignored, "type: jwt\n  jwt: {issuer: 'https://issuer.example', audiences: [antwort], tenant_claim: org, jwks_file: " + jwks + "}\n", lastOf(routes, llm.url), token},
	} {
		t, err := s.run(gate.name, "/readyz", s.antwort, func(port int) []string {
			return []string{"serve", "--config", s.file(fmt.Sprintf("%d.yaml", port), fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm}\nobservability: {log: {level: warn}}\nauth:\n  %sroutes:\n%s",
				port, gate.auth, gate.routes))}
		})
		t.credential = gate.credential
		if err := s.add(t, err, gate.to); err != nil {
			return err
		}
	}
	return nil
}

// header is that of every request to the target.
func (t target) header() http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	if t.credential != "" {
		h.Set("Authorization", "Bearer "+t.credential)
	}
	return h
}

func (t target) post(client *http.Client, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, t.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = t.header()
	return client.Do(req)
}
