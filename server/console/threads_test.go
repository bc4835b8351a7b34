package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/limits"
	"antwort/server/state"
	"antwort/server/state/memory"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// known is a store, and who has how much in it.
type known struct{ *memory.Store }

func (k known) Known() map[state.Owner]state.Used {
	used, _ := k.Usage(context.Background())
	return used
}

// withStore gives the console a store with some of an owner, and a log.
func withStore(t *testing.T, log *bytes.Buffer) (func(*Options, *config.Config), known) {
	s := known{memory.New(memory.Options{MaxBytes: 64 << 20})}
	return func(o *Options, c *config.Config) {
		o.Store, o.Log = s, slog.New(slog.NewTextHandler(log, nil))
	}, s
}

func commit(t *testing.T, s known, owner state.Owner, id, parent, text string) {
	t.Helper()
	shell := `{"id":"resp_` + id + `","model":"<b>m</b>","output":,"usage":{"input_tokens":7,"output_tokens":3}}`
	require.NoError(t, s.Commit(t.Context(), &state.Record{
		ID: id, Owner: owner, Parent: parent, Status: state.Completed, Created: time.UnixMilli(1_800_000_000_000),
		Input: []byte(`["` + text + `"]`), Output: []byte(`[]`), Shell: []byte(shell), Cut: strings.Index(shell, `"output":`) + len(`"output":`),
	}))
}

func TestWhatIsStoredIsShownWithoutItsTexts(t *testing.T) {
	var log bytes.Buffer
	with, s := withStore(t, &log)
	w := open(t, with)
	everybody := state.Owner(policy.Owner(w.cfg, nil))
	commit(t, s, everybody, "a1", "", "secret öl")
	commit(t, s, everybody, "a2", "a1", "secret")
	_, body := w.ask("GET", Path+"/api/owners", "")
	require.Contains(t, body, `"everybody":true,"responses":2`)
	_, body = w.ask("POST", Path+"/api/threads", `{}`)
	require.Contains(t, body, `"more":false`)
	require.Contains(t, body, `{"id":"a1","at":1800000000000,"conversation":false,"responses":2,`)
	_, turns := w.ask("POST", Path+"/api/turns", `{"thread":"a1"}`)
	require.NotContains(t, turns, "secret")
	require.Contains(t, turns, `"id":"a2","at":1800000000000,"parent":"a1","status":"completed","model":"\u003cb\u003em\u003c/b\u003e","input_tokens":7,"output_tokens":3,"input_bytes":10,"output_bytes":2}`)
	w.cfg.Observability.Capture = 1 << 10
	_, turns = w.ask("POST", Path+"/api/turns", `{"thread":"a1"}`)
	require.Contains(t, turns, `"input":"[\"secret öl\"]"`)
	for most, want := range map[int64]string{9: `[\"secret `, 10: `[\"secret `, 11: `[\"secret ö`} {
		w.cfg.Observability.Capture = most
		_, turns = w.ask("POST", Path+"/api/turns", `{"thread":"a1"}`)
		require.Contains(t, turns, `"input":"`+want+`"`, "%d bytes", most)
	}
	require.Empty(t, log.String())
}

func TestWhatIsStoredIsReadInPages(t *testing.T) {
	with, s := withStore(t, new(bytes.Buffer))
	w := open(t, with)
	everybody := state.Owner(policy.Owner(w.cfg, nil))
	for i := range threadPage + 1 {
		commit(t, s, everybody, fmt.Sprintf("t%02d", i), "", "x")
	}
	parent := "t00"
	for i := range turnPage {
		id := fmt.Sprintf("u%02d", i)
		commit(t, s, everybody, id, parent, "x")
		parent = id
	}
	var page struct {
		Threads, Turns []struct {
			ID string
			At int64
		}
		More bool
	}
	read := func(question, body string) {
		page.Threads, page.Turns = nil, nil
		_, text := w.ask("POST", Path+"/api/"+question, body)
		require.NoError(t, json.Unmarshal([]byte(text), &page), text)
	}
	read("threads", `{}`)
	require.Len(t, page.Threads, threadPage)
	require.True(t, page.More)
	last := page.Threads[threadPage-1]
	read("threads", fmt.Sprintf(`{"after":{"at":%d,"id":%q}}`, last.At, last.ID))
	require.Len(t, page.Threads, 1)
	require.False(t, page.More)
	read("turns", `{"thread":"t00"}`)
	require.Len(t, page.Turns, turnPage)
	require.True(t, page.More)
	last = page.Turns[turnPage-1]
	read("turns", fmt.Sprintf(`{"thread":"t00","after":{"at":%d,"id":%q}}`, last.At, last.ID))
	require.Len(t, page.Turns, 1)
	require.False(t, page.More)
}

// Whose it is, is said as in the configuration; nobody else's is found.
func TestWhoseIsAsked(t *testing.T) {
	with, s := withStore(t, new(bytes.Buffer))
	w := open(t, with, func(_ *Options, c *config.Config) {
		c.Auth.Type = config.APIKeyAuth
		c.Auth.APIKeys = []config.APIKey{{Subject: "ann", Tenant: "team"}, {Subject: "bob"}}
	})
	team := state.Owner(policy.Owner(w.cfg, policy.NewIdentity("", "team", "", nil)))
	bob := state.Owner(policy.Owner(w.cfg, policy.NewIdentity("bob", "", "", nil)))
	commit(t, s, team, "a1", "", "x")
	commit(t, s, bob, "b1", "", "x")
	commit(t, s, state.Owner{7}, "c1", "", "x")
	_, body := w.ask("GET", Path+"/api/owners", "")
	require.Contains(t, body, `"tenant":"team","responses":1`)
	require.Contains(t, body, `"subject":"bob","responses":1`)
	require.Contains(t, body, `{"digest":"07000000000000000000000000000000","responses":1`)
	for question, want := range map[string]string{
		`{"tenant":"team"}`: `"id":"a1"`, `{"subject":"bob"}`: `"id":"b1"`, `{"tenant":"other"}`: `"threads":[]`, `{"digest":"07000000000000000000000000000000"}`: `"id":"c1"`,
		`{}`: "say whose", `{"tenant":"team","subject":"ann"}`: "say the tenant alone", `{"digest":"07"}`: "no owner's digest", `{"digest":"x"}`: "no owner's digest",
	} {
		_, body := w.ask("POST", Path+"/api/threads", question)
		require.Contains(t, body, want, question)
	}
	w.cfg.State.Scope = config.SubjectScope
	_, body = w.ask("POST", Path+"/api/threads", `{"tenant":"team"}`)
	require.Contains(t, body, "say the subject")
	answer, _ := w.ask("POST", Path+"/api/turns", `{"tenant":"other","subject":"x","thread":"a1"}`)
	require.Equal(t, 200, answer.StatusCode)
	answer, _ = w.ask("POST", Path+"/api/items", `{"tenant":"other","subject":"x","thread":"a1"}`)
	require.Equal(t, 404, answer.StatusCode)
}

func TestWhatIsDeletedIsLogged(t *testing.T) {
	var log bytes.Buffer
	with, s := withStore(t, &log)
	w := open(t, with)
	everybody := state.Owner(policy.Owner(w.cfg, nil))
	commit(t, s, everybody, "a1", "", "x")
	commit(t, s, everybody, "a2", "a1", "x")
	commit(t, s, everybody, "b1", "", "x")
	answer, _ := w.ask("POST", Path+"/api/remove", `{"response":"a2"}`)
	require.Equal(t, 200, answer.StatusCode)
	require.Contains(t, log.String(), "what=response id=a2 owner=")
	answer, _ = w.ask("POST", Path+"/api/remove", `{"thread":"a1"}`)
	require.Equal(t, 200, answer.StatusCode)
	require.Contains(t, log.String(), "what=thread id=a1")
	require.Contains(t, log.String(), "client=127.0.0.1:")
	for _, again := range []string{`{"thread":"a1"}`, `{"response":"a2"}`, `{"thread":"a\nb"}`, `{}`} {
		answer, _ = w.ask("POST", Path+"/api/remove", again)
		require.Equal(t, 404, answer.StatusCode, again)
	}
	used := s.Known()[everybody]
	require.Equal(t, 1, used.Responses, "what was not meant is there")
}

// What deletes or reads is closed to other pages, and to those without the token.
func TestNobodyElseReadsOrDeletes(t *testing.T) {
	with, s := withStore(t, new(bytes.Buffer))
	w := open(t, with, withToken)
	everybody := state.Owner(policy.Owner(w.cfg, nil))
	commit(t, s, everybody, "a1", "", "x")
	const token = "Bearer the-token"
	for _, question := range []string{"threads", "turns", "items", "remove"} {
		for name, c := range map[string]struct {
			status int
			fields []string
		}{
			"no token":          {401, nil},
			"another origin":    {403, []string{"Authorization", token, "Origin", "https://evil.example"}},
			"a form":            {415, []string{"Authorization", token, "Content-Type", "text/plain"}},
			"without its field": {403, []string{"Authorization", token, asker, ""}},
		} {
			answer, _ := w.ask("POST", Path+"/api/"+question, `{"thread":"a1"}`, c.fields...)
			require.Equal(t, c.status, answer.StatusCode, "%s: %s", question, name)
		}
		answer, _ := w.ask("GET", Path+"/api/"+question, "", "Authorization", token)
		require.Equal(t, 405, answer.StatusCode, question)
	}
	require.Len(t, s.Known(), 1)
}

func TestWithoutAStoreNothingIsShown(t *testing.T) {
	w := open(t)
	w.cfg.State.Type = config.NoState
	_, body := w.ask("GET", Path+"/api/owners", "")
	require.Contains(t, body, `"type":"none"`)
	answer, _ := w.ask("POST", Path+"/api/threads", `{}`)
	require.Equal(t, 404, answer.StatusCode)
	answer, _ = w.ask("POST", Path+"/api/remove", `{"thread":"a1"}`)
	require.Equal(t, 404, answer.StatusCode)
}

func TestAStoreThatCannotBeAsked(t *testing.T) {
	var log bytes.Buffer
	with, s := withStore(t, &log)
	w := open(t, with)
	require.NoError(t, s.Close())
	answer, body := w.ask("POST", Path+"/api/threads", `{}`)
	require.Equal(t, 503, answer.StatusCode)
	require.NotContains(t, body, "closed")
	require.Contains(t, log.String(), "closed")
}

// uses are what a limiter says, and how often it was asked.
type uses struct {
	asked int
	err   error
}

func (u *uses) Look(ctx context.Context, most int) ([]limits.Use, int, error) {
	u.asked++
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	return []limits.Use{{Rule: "r", Tenant: "<img src=x>", Used: [5]int64{1}, Limits: [5]int64{2}}}, most + 1, u.err
}

func TestLimitsAreShown(t *testing.T) {
	l := &uses{}
	now := time.Now()
	w := open(t, func(o *Options, _ *config.Config) {
		o.Limits, o.Now = func() Limiter { return l }, func() time.Time { return now }
	})
	_, body := w.ask("GET", Path+"/api/limits", "")
	require.JSONEq(t, `{"rules":[],"shared":false}`, body)
	require.Zero(t, l.asked)
	limited, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://b.example:1"},"limits":{"rules":[{"name":"r","requests_at_once":2}]}}`)})
	require.NoError(t, err)
	w.cfg.Limits = limited.Limits
	now = now.Add(sameUse)
	for range 3 {
		_, body = w.ask("GET", Path+"/api/limits", "")
		require.JSONEq(t, `{"rules":[{"name":"r","per":null,"subjects":null,"tenants":null,"models":null,"limits":[2,0,0,0,0]}],"shared":false,"all":101,
			"uses":[{"rule":"r","tenant":"<img src=x>","used":[1,0,0,0,0],"limits":[2,0,0,0,0]}]}`, body)
	}
	require.NotContains(t, body, "<img")
	require.Equal(t, 1, l.asked, "all pages are told the same for a while")
	left, leave := context.WithCancel(t.Context())
	leave()
	require.NotContains(t, w.limited(left, l), "problem", "the answer is for the other pages too")
	now, l.err = now.Add(sameUse), context.DeadlineExceeded
	_, body = w.ask("GET", Path+"/api/limits", "")
	require.Contains(t, body, "cannot be asked")
	require.NotContains(t, body, "deadline")
}
