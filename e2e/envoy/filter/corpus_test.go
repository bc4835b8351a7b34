package filter_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/corpus"
	"antwort/shared/streamcheck"
)

// TestCorpus runs the golden corpus through the filter in Envoy's V8, in both
// profiles: what comes out is what comes out natively, once ids and times are
// renamed by the order in which they appear.
func TestCorpus(t *testing.T) {
	cases, err := corpus.LoadAll()
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	var plugins []plugin
	names := map[string]string{} // of the plugin, by configuration and profile
	for _, c := range cases {
		for _, profile := range []string{"inline", "gated"} {
			key := string(c.Config) + profile
			if names[key] == "" {
				names[key] = fmt.Sprintf("plugin-%d", len(plugins))
				plugins = append(plugins, plugin{name: names[key], config: corpusConfig(t, &c, profile), gated: profile == "gated", env: object{corpus.KeyVariable: corpus.KeyText}})
			}
		}
	}
	g := start(t, shipped(t), plugins)
	for _, profile := range []string{"inline", "gated"} {
		t.Run(profile, func(t *testing.T) {
			for i, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					url := g.url(t, names[string(c.Config)+profile])
					for _, n := range []int{0, 1 + i%7, 64 + i%13} { // bytes in a piece of the answer, 0: all
						if n == 0 || n >= 64 || len(c.Stream) < 8<<10 {
							runCase(t, g, url, &c, profile, n)
						}
					}
				})
			}
		})
	}
}

// corpusConfig completes a case's configuration.
func corpusConfig(t *testing.T, c *corpus.Case, profile string) []byte {
	sections := map[string]map[string]any{}
	if c.Config != nil {
		require.NoError(t, json.Unmarshal(c.Config, &sections))
	}
	for section, value := range map[string][2]string{"engine": {"provider", "vllm"}, "filter": {"profile", profile}} {
		if sections[section] == nil {
			sections[section] = map[string]any{}
		}
		sections[section][value[0]] = value[1]
	}
	b, err := json.Marshal(sections)
	require.NoError(t, err)
	return b
}

func runCase(t *testing.T, g *gateway, url string, c *corpus.Case, profile string, piece int) {
	up := &caseUpstream{c: c, piece: piece}
	g.up.set(up.ServeHTTP)
	r := request(t, url, strings.NewReader(string(c.Request)))
	r.URL.Path = c.Path()
	got := send(t, http.DefaultTransport, r)
	like := c.For(got.body)
	want := like.Expected
	if profile == "inline" {
		want = like.Inline()
	}
	check := func(what string, want []byte, got string) {
		t.Helper()
		if renamed(string(want)) != renamed(got) {
			t.Errorf("%s of %s in profile %s, %d bytes a piece:\nexpected %s\ngot      %s\nrerun: make e2e-envoy, or go test ./envoy/filter -run 'TestCorpus/%s/%s$' in e2e",
				what, c.Name, profile, piece, want, got, profile, c.Name)
		}
	}
	path, chat, seen := up.received()
	if want.Chat == nil {
		require.False(t, seen && profile == "gated", "an invalid request reached the upstream")
	} else {
		require.Equal(t, "/v1/chat/completions", path)
		check("chat request", want.Chat, chat)
	}
	require.False(t, got.cut, "the answer was cut")
	switch {
	case want.Error != nil:
		b := fmt.Sprintf(`{"status":%d,`, got.status)
		if v := got.header.Get("Retry-After"); v != "" {
			b += fmt.Sprintf(`"retry_after":%q,`, v)
		}
		check("error", want.Error, b+`"body":`+got.body+"}")
	case want.Events != nil:
		require.Equal(t, 200, got.status, got.body)
		for _, p := range streamcheck.Check(strings.NewReader(got.body)) {
			t.Errorf("streamcheck: %v", p)
		}
		check("events", want.Events, got.body)
	default:
		require.Equal(t, 200, got.status, got.body)
		check("response", want.Response, got.body)
	}
}

var (
	ids   = regexp.MustCompile(`\b((?:resp|msg|rs|fc|ctc|lsh|sh|apc|tsc|cmp|call)_)([0-9a-z]{32})`)
	times = regexp.MustCompile(`("(?:created|completed)_at":)\d+`)
)

// renamed puts the order of appearance in the place of random parts and times.
// All ids of a response have one random part; created_at is one time.
func renamed(s string) string {
	seen := map[string]string{}
	s = ids.ReplaceAllStringFunc(s, func(id string) string {
		m := ids.FindStringSubmatch(id)
		if seen[m[2]] == "" {
			seen[m[2]] = fmt.Sprintf("ID%d", len(seen)+1)
		}
		return m[1] + seen[m[2]]
	})
	return times.ReplaceAllString(s, "${1}0")
}

// caseUpstream answers as the case says.
type caseUpstream struct {
	c     *corpus.Case
	piece int
	mu    sync.Mutex
	path  string
	body  string
	seen  bool
}

func (u *caseUpstream) received() (path, body string, seen bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.path, u.body, u.seen
}

func (u *caseUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.path, u.seen = r.URL.Path, true
	u.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	u.mu.Lock()
	u.body = string(body)
	u.mu.Unlock()
	answer := u.c.Answer
	w.Header().Set("Content-Type", "application/json")
	if u.c.Stream != nil {
		answer = u.c.Stream
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	}
	if u.c.RetryAfter != "" {
		w.Header().Set("Retry-After", u.c.RetryAfter)
	}
	w.WriteHeader(u.c.Status)
	if u.c.Stream != nil {
		w.(http.Flusher).Flush()
	}
	for len(answer) > 0 {
		n := len(answer)
		if u.piece > 0 {
			n = min(n, u.piece)
		}
		_, _ = w.Write(answer[:n])
		w.(http.Flusher).Flush()
		answer = answer[n:]
	}
}
