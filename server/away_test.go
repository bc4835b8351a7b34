package server

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/state/pgtest"
	"antwort/shared/config"
)

// leaving is a store that goes away and comes back. It is of one server at a time.
type leaving struct {
	serve    func(t *testing.T, llm string, edit ...func(*config.Config)) *running
	down, up func()
	reads    bool   // what is there is read none the less
	secret   string // of where it is
}

// leavingStores are the stores, and how each of them goes: that of the process as far as
// a test can make it, a file that another program has locked, a Postgres that is stopped.
func leavingStores(t *testing.T) map[string]func(*testing.T) *leaving {
	stores := map[string]func(*testing.T) *leaving{
		"memory": func(*testing.T) *leaving {
			var f *faulty
			return &leaving{
				serve: func(t *testing.T, llm string, edit ...func(*config.Config)) (r *running) {
					r, f = faultyStore(t, llm, edit...)
					return r
				},
				down: func() { f.down.Store(true) }, up: func() { f.down.Store(false) }, secret: "HUSH",
			}
		},
		"sqlite": func(t *testing.T) *leaving {
			var file string
			var other *sql.Tx
			return &leaving{
				serve: func(t *testing.T, llm string, edit ...func(*config.Config)) *running {
					file = filepath.Join(t.TempDir(), "state.db")
					return start(t, config.VLLM, llm, append(edit, storeAt(file))...)
				},
				down: func() {
					db, err := sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(10000)")
					if assert.NoError(t, err) {
						t.Cleanup(func() { assert.NoError(t, db.Close()) })
						other, err = db.Begin()
						assert.NoError(t, err)
					}
				},
				up:    func() { assert.NoError(t, other.Rollback()) },
				reads: true, secret: "state.db",
			}
		},
	}
	if !testing.Short() && pgtest.Shared(t) != nil {
		stores["postgres"] = func(t *testing.T) *leaving {
			pg := pgtest.Start(t)
			return &leaving{
				serve: func(t *testing.T, llm string, edit ...func(*config.Config)) *running {
					return start(t, config.VLLM, llm, append(edit, storeAt(pg.Schema(t)))...)
				},
				down: func() { pg.Stop(t) }, up: func() { pg.Run(t) }, secret: pg.Folder(),
			}
		}
	}
	return stores
}

func TestStoreIsAway(t *testing.T) {
	t.Parallel()
	for name, of := range leavingStores(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alone := name == "postgres" // it is stopped for all its servers: one case comes after the other
			if alone {
				one := of(t)
				of = func(*testing.T) *leaving { return one }
			}
			run := func(title string, test func(*testing.T, *leaving)) {
				t.Run(title, func(t *testing.T) {
					if !alone {
						t.Parallel()
					}
					test(t, of(t))
				})
			}
			for _, onFailure := range []string{config.FailOnFailure, config.AnswerOnFailure} {
				run("before a request, on_failure "+onFailure, func(t *testing.T, store *leaving) { awayBefore(t, store, onFailure) })
			}
			for title, how := range map[string]meanwhile{
				"for good":                          {onFailure: config.FailOnFailure, status: "failed"},
				"for good, and the answer is given": {onFailure: config.AnswerOnFailure, status: "completed"},
				"and comes back":                    {onFailure: config.FailOnFailure, status: "completed", returns: true},
			} {
				for _, takes := range []bool{true, false} {
					run(fmt.Sprintf("while an answer is made, %s, %t", title, takes), func(t *testing.T, store *leaving) { awayMeanwhile(t, store, how, takes) })
				}
			}
		})
	}
}

// While the store is away nothing is begun that needs it.
func awayBefore(t *testing.T, store *leaving, onFailure string) {
	llm := newSeen(t)
	r := store.serve(t, llm.url, func(c *config.Config) {
		c.State.OnFailure, c.State.CommitTimeout = onFailure, 400*time.Millisecond
	})
	var one answer
	require.Eventually(t, func() bool { // a store may take its time to begin
		one = r.ask(`"input":"a"`)
		return one.status == 200 && read(t, one).Store
	}, guard, time.Millisecond)
	id := read(t, one).ID
	chat := r.call("POST", "/v1/conversations", `{}`)
	require.Equal(t, 200, chat.status)
	_, chatID, _ := strings.Cut(chat.body, `"id":"`)
	chatID, _, _ = strings.Cut(chatID, `"`)
	store.down()
	before := 0
	require.Eventually(t, func() bool { // one may find it out
		before = llm.asked()
		return r.ask(`"input":"b","store":true`).status == 503 && llm.asked() == before
	}, guard, time.Millisecond)
	for _, body := range []string{`"input":"b","store":true`, `"input":"b","previous_response_id":"` + id + `"`, `"input":"b","stream":true,"store":true`, `"input":"b"`,
		`"input":"b","conversation":"` + chatID + `"`, `"input":"b","background":true`} {
		a := r.ask(body)
		if body == `"input":"b"` && onFailure == config.AnswerOnFailure {
			require.False(t, read(t, a).Store)
			before++
			continue
		}
		refused(t, a, 503, "", "state_unavailable", "try again later")
		require.NotEmpty(t, a.header.Get("Retry-After"))
		require.NotContains(t, a.body, store.secret)
		require.Equal(t, before, llm.asked(), "the model was asked for nothing, by %s", body)
	}
	for end := time.Now().Add(1500 * time.Millisecond); time.Now().Before(end); { // longer than nobody looks again
		refused(t, r.ask(`"input":"b","store":true`), 503, "", "state_unavailable", "try again later")
		require.Equal(t, before, llm.asked(), "the model was asked for nothing")
		time.Sleep(50 * time.Millisecond)
	}
	got := r.call("GET", "/v1/responses/"+id, "")
	if !store.reads {
		refused(t, got, 503, "", "state_unavailable", "try again later")
	} else {
		require.Equal(t, one.body, got.body)
	}
	require.NotContains(t, got.body, store.secret)
	require.False(t, read(t, r.ask(`"input":"b","store":false`)).Store)
	store.up()
	require.Eventually(t, func() bool { return r.next(id, `"input":"b"`).status == 200 }, guard, 10*time.Millisecond)
	require.Equal(t, one.body, r.call("GET", "/v1/responses/"+id, "").body)
}

// meanwhile is what becomes of an answer whose store goes away.
type meanwhile struct {
	onFailure, status string
	returns           bool // the store, in time
}

// A store that goes while an answer is made: the client gets signs of life, and then
// is not told that the answer is complete.
func awayMeanwhile(t *testing.T, store *leaving, how meanwhile, takes bool) {
	var goes atomic.Bool
	long := strings.Repeat("long ", 40<<10) // its last events go piece by piece
	heard, gone := make(chan bool), make(chan bool, 2)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		leaves, streams := goes.Swap(false), strings.Contains(string(body), `"stream":true`)
		if streams {
			sending(w)(chatRole + chatText("a") + chatText(long))
		}
		if leaves && streams {
			<-heard
		}
		if leaves {
			store.down()
			gone <- true
		}
		if streams {
			sending(w)(chatFinish + chatUsage + chatDone)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, chatWhole)
	}))
	r := store.serve(t, llm, func(c *config.Config) {
		c.State.OnFailure, c.State.CommitTimeout, c.Server.KeepAliveInterval, c.Server.TakeOver = how.onFailure, 400*time.Millisecond, 20*time.Millisecond, takes
		if how.returns {
			c.State.CommitTimeout = guard
		}
	})
	require.Eventually(t, func() bool { // a store may take its time to begin
		a := r.post(ask)
		return a.status == 200 && read(t, a).Store
	}, guard, time.Millisecond)

	goes.Store(true)
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	events := readEvents(t, resp.Body)
	told := events.until("response.output_text.delta")
	close(heard)
	wait(t, gone, "the model was not asked")
	for signs := 0; signs < 3; { // while it is tried to store it
		more := events.next()
		require.NotEmpty(t, more, "there are too few signs of life in:\n%s", told)
		if told += more; strings.Contains(more, ": keep-alive") {
			signs++
		}
	}
	if how.returns {
		store.up()
	}
	rest, err := io.ReadAll(events.r)
	require.NoError(t, err)
	resp.Body.Close()
	a := answer{resp.StatusCode, resp.Header, told + string(rest)}
	res := read(t, a)
	require.Equal(t, how.status, res.Status)
	require.Equal(t, how.returns, res.Store)
	checkStream(t, a.body)
	require.True(t, strings.Contains(a.body, `"text":"a`+long+`"`), "what there was is told")
	require.NotContains(t, a.body, store.secret)
	if how.status == "failed" {
		require.Equal(t, "state_unavailable", res.Error.Code)
		require.NotContains(t, a.body, "response.completed")
	}
	if how.returns {
		require.Equal(t, resourceOf(t, a), r.call("GET", "/v1/responses/"+res.ID, "").body)
	} else {
		store.up()
	}
	require.Eventually(t, func() bool { return r.post(`{"model":"m","input":"hi","store":true}`).status == 200 }, guard, 10*time.Millisecond)

	goes.Store(true) // and so a whole answer
	var whole answer
	if how.returns {
		answered := make(chan bool)
		go func() {
			defer close(answered)
			whole = r.post(ask)
		}()
		wait(t, gone, "the model was not asked")
		store.up()
		wait(t, answered, "the answer")
	} else {
		whole = r.post(ask)
		store.up()
	}
	if how.status == "failed" {
		refused(t, whole, 503, "", "state_unavailable", "try again later")
		return
	}
	require.Equal(t, how.returns, read(t, whole).Store)
}

// Who has as much as an owner may have gets no more stored, and costs nobody else anything.
func TestOwnerWhoHasTooMuch(t *testing.T) {
	people := [][3]string{{"alice", "a", "alice-key"}, {"anton", "a", "anton-key"}, {"bob", "b", "bob-key"}}
	for name := range storedTypes(t) {
		for _, place := range [...]string{atServer, atFrontend} {
			t.Run(name+place, func(t *testing.T) {
				t.Parallel()
				llm := newSeen(t)
				r := keeping(t, place, llm.url, storedTypes(t)[name], keysOf(t, people...), func(c *config.Config) { c.State.MaxOwnerBytes = 4096 })
				ready(t, r)
				ask := func(key, members string) answer {
					return r.as(key, "POST", "/v1/responses", `{"model":"/mnt/models",`+members+`}`)
				}
				big := read(t, ask("alice-key", `"input":"`+randomWords(1200)+`"`)).ID
				bobs := read(t, ask("bob-key", `"input":"a"`)).ID
				r.store.Tidy(context.Background()) // as each minute

				before := llm.asked()
				for _, key := range []string{"alice-key", "anton-key"} {
					for _, members := range []string{`"input":"a","store":true`, `"input":"a","store":true,"stream":true`, `"input":"a","store":true,"previous_response_id":"` + big + `"`, `"input":"a","background":true`} {
						refused(t, ask(key, members), 429, "", "state_quota_exceeded", "delete responses")
					}
					refused(t, r.as(key, "POST", "/v1/conversations", `{}`), 429, "", "state_quota_exceeded", "delete responses")
				}
				require.Equal(t, before, llm.asked(), "the model was asked for nothing")
				for _, members := range []string{`"input":"a"`, `"input":"a","stream":true`, `"input":"a","previous_response_id":"` + big + `"`} {
					require.False(t, read(t, ask("alice-key", members)).Store, members)
				}
				require.True(t, read(t, ask("bob-key", `"input":"b","store":true,"previous_response_id":"`+bobs+`"`)).Store)
				require.True(t, read(t, ask("bob-key", `"input":"b"`)).Store)

				// What there is can be read, and made less.
				require.Equal(t, 200, r.as("anton-key", "GET", "/v1/responses/"+big, "").status)
				require.Equal(t, 200, r.as("anton-key", "DELETE", "/v1/responses/"+big, "").status)
				r.store.Tidy(context.Background())
				require.True(t, read(t, ask("alice-key", `"input":"a","store":true`)).Store)
			})
		}
	}
}

// randomWords are words that no store makes less of.
func randomWords(n int) string {
	var words strings.Builder
	dice := rand.New(rand.NewPCG(1, 1))
	for range n {
		fmt.Fprintf(&words, "%08x ", dice.Uint32())
	}
	return words.String()
}
