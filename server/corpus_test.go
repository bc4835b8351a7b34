package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
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
					throughBoth(t, c, store)
				}
			}
		})
	}
}

// throughBoth runs a case where its answer is stored, and where none is: that is all
// that it says otherwise.
func throughBoth(t *testing.T, c corpus.Case, store string) {
	chat := make(chan string, 1)
	llm := httptest.NewServer(chats(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		chat <- string(b)
		corpusAnswer(w, &c)
	}))
	defer llm.Close()
	cfg, err := config.Parse(c.Config)
	require.NoError(t, err)
	cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, llm.URL
	cfg.Engine.Retry.MaxAttempts = 1
	cfg.Compaction.Enabled = c.Seals // it is done before translation, which refuses what remains of it
	require.NoError(t, cfg.ResolveSecrets(corpus.Keys, nil))
	cfg.State.Type = store
	isKept := store != config.NoState && !isUnstored.Match(c.Request)
	var clock corpusClock
	s, err := New(cfg, Options{Now: clock.now, NewID: func() string { return corpus.ID }})
	require.NoError(t, err)
	back := httptest.NewServer(s)
	defer back.Close()
	fs, err := New(defaults(config.VLLMResponses, back.URL), Options{})
	require.NoError(t, err)
	front := httptest.NewServer(fs)
	defer front.Close()
	for _, url := range []string{back.URL, front.URL} {
		clock.begun.Store(false)
		resp, err := http1.Post(url+c.Path(), "application/json", bytes.NewReader(c.Request))
		require.NoError(t, err)
		got := finish(t, resp)
		like := c.For(got.body)
		if isKept {
			like.Expected.Response, like.Expected.Events = asStored(like.Expected.Response), asStored(like.Expected.Events)
		}
		compareWithCase(t, &like, got)
		select {
		case got := <-chat:
			require.Equal(t, string(c.Expected.Chat), got)
		default:
			require.Nil(t, c.Expected.Chat, "nothing was sent upstream")
		}
	}
	http1.CloseIdleConnections()
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
