package filter_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"antwort/filter/filtertest"
	"antwort/shared/corpus"
	"antwort/shared/streamcheck"

	"github.com/stretchr/testify/require"
)

// TestCorpus runs the golden corpus through the filter as wasm: the same bytes
// come out as natively, whatever the profile and however the bytes are split.
// The filter makes ids and times itself; they are put into what is expected.
func TestCorpus(t *testing.T) {
	cases, err := corpus.LoadAll()
	require.NoError(t, err)
	require.NotEmpty(t, cases)
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			hosts := map[string]*splitHost{}
			for i, c := range cases {
				h := hosts[string(c.Config)]
				if h == nil {
					h = startSplit(t, corpusConfig(t, &c, profile), func(o *filtertest.Options) {
						o.Env = map[string]string{corpus.KeyVariable: corpus.KeyText}
					})
					hosts[string(c.Config)] = h
				}
				sizes := []int{0, 1 + i%7, 64 + i%13} // bytes in a chunk, 0: all
				if testing.Short() {
					sizes = sizes[i%3 : i%3+1]
				}
				for _, n := range sizes {
					if n > 0 && n < 64 && len(c.Stream) > 64<<10 {
						continue
					}
					t.Run(fmt.Sprintf("%s/%d", c.Name, n), func(t *testing.T) { runCase(t, h, &c, profile, n) })
				}
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

func runCase(t *testing.T, h *splitHost, c *corpus.Case, profile string, chunk int) {
	h.set(corpusAnswer(c), chunk)
	got := do(t, h.Host, http.MethodPost, c.Path(), strings.NewReader(string(c.Request)))
	like := c.For(got.body)
	want := like.Expected
	if profile == "inline" {
		want = like.Inline()
	}
	fail := func(what string, want, got []byte) {
		if !bytes.Equal(want, got) {
			t.Errorf("%s of %s in profile %s, %d bytes a chunk:\nexpected %s\ngot      %s\nrerun: go test ./filter -run 'TestCorpus/%s/%s/%d$'",
				what, c.Name, profile, chunk, want, got, profile, c.Name, chunk)
		}
	}
	if want.Chat == nil {
		if profile == "gated" {
			require.Zero(t, h.up.count(), "an invalid request reached the upstream")
		}
		require.NotNil(t, want.Error)
	} else {
		r, chat := h.up.last()
		require.Equal(t, "/v1/chat/completions", r.RequestURI)
		fail("chat request", want.Chat, []byte(chat))
	}
	require.False(t, got.cut, "the answer was cut")
	if want.Error != nil {
		want.Chat = nil
		fail("error", want.Error, errorResult(got))
		return
	}
	require.Equal(t, 200, got.status, got.body)
	if want.Events != nil {
		require.Equal(t, "text/event-stream", got.header.Get("Content-Type"))
		require.Equal(t, "no-cache", got.header.Get("Cache-Control"))
		for _, p := range streamcheck.Check(strings.NewReader(got.body)) {
			t.Errorf("streamcheck: %v", p)
		}
		fail("events", injected(want.Events, got.body), []byte(got.body))
		return
	}
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
	fail("response", injected(want.Response, got.body), []byte(got.body))
}

// corpusAnswer is what the upstream says in the case.
func corpusAnswer(c *corpus.Case) http.HandlerFunc {
	switch {
	case c.Stream != nil:
		return streams(string(c.Stream))
	case c.RetryAfter != "":
		return gives(c.Status, "application/json", string(c.Answer), "Retry-After", c.RetryAfter)
	default:
		return gives(c.Status, "application/json", string(c.Answer))
	}
}

func errorResult(g got) []byte {
	b := fmt.Appendf(nil, `{"status":%d,`, g.status)
	if v := g.header.Get("Retry-After"); v != "" {
		b = fmt.Appendf(b, `"retry_after":%q,`, v)
	}
	return append(append(b, `"body":`+g.body...), '}')
}

var (
	idPattern        = regexp.MustCompile(`"id":"resp_([a-z2-7]{32})"`)
	createdPattern   = regexp.MustCompile(`"created_at":(\d+)`)
	completedPattern = regexp.MustCompile(`"completed_at":(\d+)`)
)

// injected puts the id and the times of what came into what is expected.
func injected(want []byte, got string) []byte {
	s := string(want)
	if m := idPattern.FindStringSubmatch(got); m != nil {
		s = strings.ReplaceAll(s, corpus.ID, m[1])
	}
	if m := createdPattern.FindStringSubmatch(got); m != nil {
		s = strings.ReplaceAll(s, strconv.Itoa(corpus.Created), m[1])
	}
	if m := completedPattern.FindStringSubmatch(got); m != nil {
		s = strings.ReplaceAll(s, strconv.Itoa(corpus.Ended), m[1])
	}
	return []byte(s)
}
