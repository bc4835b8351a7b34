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
	keys, tokens, token, err := s.callers("server")
	if err != nil {
		return err
	}
	// A token is long, and reading it costs too: the measure is a server that
	// ignores it.
	const ignored = "server, token ignored"
	for _, gate := range []struct{ name, to, auth, routes, credential string }{
		{"server, 100 keys, 20 routes", server.name, keys, lastOf(routes, llm.url), "key-50"},
		{ignored, server.name, "type: none\n", lastOf(1, llm.url), token},
		{"server, tokens, 20 routes", ignored, tokens, lastOf(routes, llm.url), token},
	} {
		t, err := s.configured(gate.name, "serve", func(port int) string {
			return fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm}\nstate: {type: none}\nobservability: {log: {level: warn}}\nauth:\n  %sroutes:\n%s",
				port, gate.auth, gate.routes)
		})
		t.credential = gate.credential
		if err := s.add(t, err, gate.to); err != nil {
			return err
		}
	}
	return nil
}

// callers are two sections auth, of 100 keys (key-0 to key-99) and of tokens,
// with a token. Each use has an issuer of its own.
func (s *stage) callers(use string) (keys, tokens, token string, err error) {
	list := &strings.Builder{}
	for i := range 100 {
		fmt.Fprintf(list, "  - {sha256: %x, subject: s%d, tenant: team-a}\n", sha256.Sum256(fmt.Append(nil, "key-", i)), i)
	}
	issuer, err := corpus.NewIssuer()
	if err != nil {
		return "", "", "", err
	}
	token = issuer.Token(&corpus.TokenCase{Claims: map[string]any{
		"iss": "https://issuer.example", "aud": "antwort", "sub": "alice", "org": "team-a", "groups": strings.Split(strings.Repeat("group,", 20), ","),
	}})
	jwks := s.file(use+"-jwks.json", string(issuer.JWKS()))
	tokens = "type: jwt\n  jwt: {issuer: 'https://issuer.example', audiences: [antwort], tenant_claim: org, jwks_file: " + jwks + "}\n"
	return "type: api_key\n  api_keys:\n" + list.String(), tokens, token, nil
}

// envoyGates are the same questions in antwort envoy. The filter chooses by
// model in its profile gated only, so the measure is that profile with one route.
func (s *stage) envoyGates(llm target) error {
	const routes, open, ignored = 20, "antwort envoy gated", "antwort envoy gated, token ignored"
	names := []string{open, "antwort envoy, 100 keys, 20 routes", ignored, "antwort envoy, tokens, 20 routes"}
	if !s.only.has(names...) {
		return nil
	}
	keys, tokens, token, err := s.callers("envoy")
	if err != nil {
		return err
	}
	for i, gate := range []struct{ to, auth, routes, credential string }{
		{plainName, "type: none\n", lastOf(1, llm.url), ""},
		{open, keys, lastOf(routes, llm.url), "key-50"},
		{plainName, "type: none\n", lastOf(1, llm.url), token},
		{ignored, tokens, lastOf(routes, llm.url), token},
	} {
		t, err := s.configured(names[i], "envoy", func(port int) string {
			return fmt.Sprintf(
				"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm}\nfilter: {profile: gated}\nobservability: {log: {level: %s}}\nauth:\n  %sroutes:\n%s",
				port, s.log, gate.auth, gate.routes)
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
