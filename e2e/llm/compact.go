package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"antwort/e2e/chain"
)

// compactCases sum conversations up with the real model. A model of this size loses most
// of what it is told: what must not be lost is kept beside its words.
var compactCases = []testCase{
	{"compact", func(s *session) string {
		t := s.tapped("compact")
		defer t.stop()
		input := talk(6)
		summed := s.post(t.url+"/v1/responses/compact", marshal(object{"model": modelName, "input": input}))
		s.check(summed.status == 200, "status %d: %s", summed.status, summed.body)
		s.check(strings.HasSuffix(summed.types(), "compaction"), "output %s", summed.types())
		s.check(len(t.chats()) == 1, "%d requests to the model", len(t.chats()))
		return s.goOn(t, window(summed), summed)
	}},
	{"compact-in-parts", func(s *session) string {
		t := s.tapped("compact-in-parts")
		defer t.stop()
		summed := s.post(t.url+"/v1/responses/compact", marshal(object{"model": modelName, "input": talk(48)}))
		s.check(summed.status == 200, "status %d: %s", summed.status, summed.body)
		parts := len(t.chats())
		s.check(parts > 2, "%d requests to the model, which cannot have read all at once", parts)
		return fmt.Sprintf("%d requests to the model; %s", parts, s.goOn(t, window(summed), summed))
	}},
	{"compact-trigger", func(s *session) string {
		t := s.tapped("compact-trigger")
		defer t.stop()
		summed := s.askAt(t.url, object{"input": append(talk(6), object{"type": "compaction_trigger"}), "stream": true})
		s.check(summed.types() == "compaction", "output %s", summed.types())
		s.check(summed.response.Status == "completed", "status %s", summed.response.Status)
		return s.goOn(t, window(summed), summed)
	}},
	{"compact-threshold", func(s *session) string {
		t := s.tapped("compact-threshold")
		defer t.stop()
		a := s.askAt(t.url, object{"input": append(talk(12), object{"role": "user", "content": "What is the ticket's number?"}), "max_output_tokens": 40,
			"context_management": []object{{"type": "compaction", "compact_threshold": 200}}})
		s.check(a.types() == "compaction message", "output %s", a.types())
		for _, fact := range facts {
			s.check(strings.Contains(t.last(), fact), "%s is lost: %s", fact, t.last())
		}
		return a.text()
	}},
}

// facts stand in what is summed up, and in what the model is asked with afterwards.
var facts = []string{"src/billing/import_v2.go", "INV-48213", "https://wiki.example/billing/rounding", "call_open_1", "only the staging database"}

// talk is a conversation of a coding agent with so many rounds, and a call that nobody has
// answered yet.
func talk(rounds int) []any {
	said := []any{object{"role": "user", "content": "The importer in src/billing/import_v2.go rounds wrongly, see ticket INV-48213 and https://wiki.example/billing/rounding"}}
	for i := range rounds {
		said = append(said,
			object{"role": "assistant", "content": fmt.Sprintf("In step %d I have read the next part of the importer. It takes the amount as a number, multiplies it by the rate of the day, and rounds the result to cents before the sums are made, which loses up to half a cent in each line. I would move that behind the sum, and look whether the tests of the module still hold.", i+1)},
			object{"role": "user", "content": "Good. Go on with the next part."})
	}
	return append(said,
		object{"role": "user", "content": "And touch only the staging database."},
		object{"type": "function_call", "call_id": "call_open_1", "name": "run_tests", "arguments": `{"module":"billing"}`})
}

// window is what a client goes on from.
func window(a *answer) []any {
	var items []any
	for _, i := range a.response.Output {
		items = append(items, i)
	}
	return items
}

// goOn asks a question after a summary, and checks what the model is asked with.
func (s *session) goOn(t *tap, window []any, summed *answer) string {
	a := s.askAt(t.url, object{"input": append(window, object{"type": "function_call_output", "call_id": "call_open_1", "output": "all tests pass"}, object{"role": "user", "content": "What is next?"}), "max_output_tokens": 40})
	s.check(a.status == 200, "status %d: %s", a.status, a.body)
	for _, fact := range facts {
		s.check(strings.Contains(t.last(), fact), "%s is lost: %s", fact, t.last())
	}
	s.check(!strings.Contains(t.last(), "In step 1 I have read"), "what was summed up is there still: %s", t.last())
	if a.response.Usage == nil || summed.response.Usage == nil {
		return a.text()
	}
	return fmt.Sprintf("%d tokens read, summed up in %d; then %d read: %s", summed.response.Usage.Input, summed.response.Usage.Output, a.response.Usage.Input, a.text())
}

func marshal(body object) []byte {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return b
}

// A tap is a chain of its own with short summaries, that shows what its model is asked.
type tap struct {
	url  string
	stop func()

	mu   sync.Mutex
	seen []string
}

// tapped starts the chain under test again in front of a tap.
func (s *session) tapped(name string) *tap {
	to, err := url.Parse(s.model)
	if err != nil {
		panic(err)
	}
	t := new(tap)
	model := httputil.NewSingleHostReverseProxy(to)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/chat/completions") {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			t.mu.Lock()
			t.seen = append(t.seen, string(body))
			t.mu.Unlock()
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		model.ServeHTTP(w, r)
	}))
	opt := s.options
	opt.Upstream, opt.Translating, opt.Dir = front.URL, "compaction: {max_output_tokens: 96}", filepath.Join(opt.Dir, name)
	c, err := chain.Start(s.ctx, opt)
	if err != nil {
		front.Close()
		panic(err)
	}
	t.url = c.BaseURL
	t.stop = func() {
		if err := c.Stop(); err != nil {
			s.check(false, "%v", err)
		}
		front.Close()
	}
	return t
}

// chats are the requests to the model.
func (t *tap) chats() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]string(nil), t.seen...)
}

// last is the latest of them.
func (t *tap) last() string {
	all := t.chats()
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
