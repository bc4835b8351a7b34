package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
	"antwort/shared/corpus"
)

// The golden cases, through the server and through the chain: the same bytes
// as the translation alone.
func TestCorpus(t *testing.T) {
	cases, err := corpus.LoadAll()
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(cases), 60)
	pair := corpusPairs(t)
	for i, c := range cases {
		if c.Name == "made_compaction_above_a_threshold" {
			continue // the server does it
		}
		if raceDetector && i%4 > 0 {
			continue // goroutines do the same in all of them, and other runs are without it
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, store := range []string{config.NoState, config.MemoryState} {
				if store == config.NoState || !strings.HasPrefix(c.Name, "made_refuse_item_reference") && c.Name != "made_refuse_previous_response_id" && c.Name != "made_refuse_conversation" && c.Name != "made_refuse_background" {
					pair(c, store).run(t, c, store)
				}
			}
		})
	}
}

// corpusPair is a server and one in front of it, for the cases of one configuration: starting servers
// costs more than most cases.
type corpusPair struct {
	sync.Mutex // held while a case runs
	is         corpus.Case
	chat       chan string
	clock      corpusClock
	urls       []string // of both
}

// corpusPairs starts the servers that cases ask for, until the test ends.
func corpusPairs(t *testing.T) func(c corpus.Case, store string) *corpusPair {
	var lock sync.Mutex
	pairs := map[string]*corpusPair{}
	return func(c corpus.Case, store string) *corpusPair {
		lock.Lock()
		defer lock.Unlock()
		key := fmt.Sprintf("%s %t %s", store, c.Seals, c.Config)
		if pairs[key] == nil {
			pairs[key] = newCorpusPair(t, c, store)
		}
		return pairs[key]
	}
}

func newCorpusPair(t *testing.T, c corpus.Case, store string) *corpusPair {
	p := &corpusPair{}
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		select {
		case p.chat <- string(b):
			corpusAnswer(w, &p.is)
		case <-r.Context().Done(): // nobody has asked for it: the server's end must not wait
		}
	}))
	cfg, err := config.Parse(c.Config)
	require.NoError(t, err)
	cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, llm
	cfg.Engine.Retry.MaxAttempts = 1
	cfg.Compaction.Enabled = c.Seals // it is done before translation, which refuses what remains of it
	require.NoError(t, cfg.ResolveSecrets(corpus.Keys, nil))
	cfg.State.Type = store
	back, err := New(cfg, Options{Now: p.clock.now, NewID: func() string { return corpus.ID }})
	require.NoError(t, err)
	url := upstreamOf(t, back)
	front, err := New(defaults(config.VLLMResponses, url), Options{})
	require.NoError(t, err)
	p.urls = []string{url, upstreamOf(t, front)}
	return p
}

// run takes a case through both. Where its answer is stored, and where none is: that is all
// that it says otherwise.
func (p *corpusPair) run(t *testing.T, c corpus.Case, store string) {
	p.Lock()
	defer p.Unlock()
	p.is, p.chat = c, make(chan string, 1)
	defer p.forget(t)
	isKept := store != config.NoState && !isUnstored.Match(c.Request)
	for _, url := range p.urls {
		p.clock.begun.Store(false)
		resp, err := http1.Post(url+c.Path(), "application/json", bytes.NewReader(c.Request))
		require.NoError(t, err)
		got := finish(t, resp)
		like := c.For(got.body)
		if isKept {
			like.Expected.Response, like.Expected.Events = asStored(like.Expected.Response), asStored(like.Expected.Events)
		}
		compareWithCase(t, &like, got)
		select {
		case got := <-p.chat:
			require.Equal(t, string(c.Expected.Chat), got)
		default:
			require.Nil(t, c.Expected.Chat, "nothing was sent upstream")
		}
	}
}

// forget deletes what was kept of a case: the next one's response has the same id.
func (p *corpusPair) forget(t *testing.T) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, p.urls[0]+"/v1/responses/resp_"+corpus.ID, nil)
	require.NoError(t, err)
	resp, err := http1.Do(req)
	require.NoError(t, err)
	finish(t, resp)
}

var isUnstored = regexp.MustCompile(`"store":\s*false`)

// asStored is what is said of an answer that is stored.
func asStored(golden []byte) []byte {
	return bytes.ReplaceAll(golden, []byte(`,"background":false,"store":false`), []byte(`,"background":false,"store":true`))
}

// corpusAnswer is the upstream's part of a case, streams event by event.
func corpusAnswer(w http.ResponseWriter, c *corpus.Case) {
	if c.Stream != nil {
		send := sending(w)
		for _, ev := range strings.SplitAfter(string(c.Stream), "\n\n") {
			send(ev)
		}
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if c.RetryAfter != "" {
		w.Header().Set("Retry-After", c.RetryAfter)
	}
	w.WriteHeader(c.Status)
	_, _ = w.Write(c.Answer)
}

func compareWithCase(t *testing.T, c *corpus.Case, got answer) {
	t.Helper()
	switch want := c.Expected; {
	case want.Error != nil:
		var compact bytes.Buffer
		require.NoError(t, json.Compact(&compact, []byte(got.body)), got.body)
		have := fmt.Sprintf(`{"status":%d,`, got.status)
		if after := got.header.Get("Retry-After"); after != "" {
			have += fmt.Sprintf(`"retry_after":%q,`, after)
		}
		require.Equal(t, string(want.Error), have+`"body":`+compact.String()+`}`)
	case want.Events != nil:
		require.Equal(t, 200, got.status)
		require.Equal(t, string(want.Events), got.body)
		checkStream(t, got.body)
	case want.Response != nil:
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, string(want.Response), got.body)
	default: // a case of the request alone
	}
}

// corpusClock tells the first who asks after begun was reset the time of
// creation, and all later ones the time of the end.
type corpusClock struct{ begun atomic.Bool }

func (c *corpusClock) now() time.Time {
	if c.begun.Swap(true) {
		return time.Unix(corpus.Ended, 0)
	}
	return time.Unix(corpus.Created, 0)
}
