package server

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/state"
	"antwort/server/state/keeper"
	inmemory "antwort/server/state/memory"
	"antwort/shared/config"
)

// A continuation that comes at once, on a connection of its own, finds the whole
// history: what was said to be complete is stored.
func TestContinuedAtOnce(t *testing.T) {
	n := 1000
	if testing.Short() || raceDetector { // a tenth, which takes as long
		n = 100
	}
	both := map[string]string{}
	for name := range storedTypes(t) {
		both[name], both[name+atFrontend] = name, name
	}
	for title, name := range both {
		store, place := storedTypes(t)[name], strings.TrimPrefix(title, name)
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			llm := newSeen(t)
			r := keeping(t, place, llm.url, store)
			replicas := []*running{r}
			if name == "postgres" {
				replicas = append(replicas, keeping(t, place, llm.url, store))
			}
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: guard}
			previous := ""
			for i := range n {
				fresh := *replicas[i%len(replicas)] //nolint:govet // the copy shares all but the client
				fresh.client = client
				if i%20 == 0 {
					previous = read(t, fresh.ask(`"input":"begin","stream":true`)).ID
				}
				text := fmt.Sprintf(`turn %d\nmock: tokens=3`, i) // a short answer, not all that was said
				if i%2 == 0 {
					previous = read(t, fresh.next(previous, `"input":"`+text+`"`)).ID
				} else {
					resp := fresh.open("POST", "/v1/responses", strings.NewReader(`{"model":"/mnt/models","stream":true,"previous_response_id":"`+previous+`","input":"`+text+`"}`))
					require.Equal(t, 200, resp.StatusCode)
					end := readEvents(t, resp.Body).until("response.completed") // [DONE] is not waited for
					_, id, _ := strings.Cut(end, `"response":{"id":"`)
					previous, _, _ = strings.Cut(id, `"`)
					resp.Body.Close()
				}
				messages, _ := llm.last(t)
				turn := i%20 + 1
				require.Len(t, messages, 2*turn+1, "of turn %d", i)
				require.Equal(t, "user: begin", said(messages)[0])
				for k := range turn {
					require.Equal(t, fmt.Sprintf("user: turn %d\nmock: tokens=3", i-i%20+k), said(messages)[2*k+2])
				}
			}
		})
	}
}

// keysOf is a section auth of keys: subject, tenant and key by turns; a key without a
// tenant of its own that is "*" is a gateway's.
func keysOf(t testing.TB, keys ...[3]string) func(*config.Config) {
	var list []string
	for _, k := range keys {
		tenant := `,"tenant":"` + k[1] + `"`
		switch k[1] {
		case "":
			tenant = ""
		case "*":
			tenant = `,"delegate":true`
		}
		list = append(list, fmt.Sprintf(`{"sha256":"%x","subject":"%s"%s}`, sha256.Sum256([]byte(k[2])), k[0], tenant))
	}
	return withKeys(t, `{"type":"api_key","api_keys":[`+strings.Join(list, ",")+`]}`)
}

// as sends with a key.
func (r *running) as(key, method, path, body string, fields ...string) answer {
	r.t.Helper()
	return r.call(method, path, body, append([]string{"Authorization", "Bearer " + key}, fields...)...)
}

// What is somebody else's is as what never was, byte for byte, at the server itself
// and through a gateway in front of it.
func TestOwnersOfResponses(t *testing.T) {
	people := [][3]string{{"alice", "a", "alice-key"}, {"anton", "a", "anton-key"}, {"bob", "b", "bob-key"}, {"carl", "", "carl-key"}}
	for name, store := range storedTypes(t) {
		for scope, shared := range map[string]bool{config.TenantScope: true, config.SubjectScope: false} {
			t.Run(name+" "+scope, func(t *testing.T) {
				llm := newSeen(t)
				scoped := func(c *config.Config) { c.State.Scope = scope }
				back := start(t, config.VLLM, llm.url, store, scoped, keysOf(t, append(people, [3]string{"front", "*", "front-key"})...))
				front := back.front(keysOf(t, people...), func(c *config.Config) { c.Engine.APIKey = config.NewSecret("front-key") })
				ready(t, front)
				for _, r := range []*running{back, front} {
					one := read(t, r.as("alice-key", "POST", "/v1/responses", `{"input":"a","model":"/mnt/models"}`))
					item := one.Output[0].ID
					ask := func(key, id, item string, fields ...string) (bodies []string) {
						for _, q := range [][3]string{
							{"GET", "/v1/responses/" + id, ""}, {"GET", "/v1/responses/" + id + "/input_items", ""}, {"POST", "/v1/responses/" + id + "/cancel", ""},
							{"POST", "/v1/responses", `{"input":"b","model":"/mnt/models","previous_response_id":"` + id + `"}`},
							{"POST", "/v1/responses", `{"input":[{"type":"item_reference","id":"` + item + `"}],"model":"/mnt/models"}`},
							{"DELETE", "/v1/responses/" + id, ""},
						} {
							a := r.as(key, q[0], q[1], q[2], fields...)
							body := strings.ReplaceAll(strings.ReplaceAll(a.body, id, "ID"), item, "ITEM")
							bodies = append(bodies, fmt.Sprint(a.status, " ", body))
						}
						return bodies
					}
					nobodys := strings.Repeat("0", 28)
					unknown := ask("bob-key", "resp_"+nobodys, "msg_"+nobodys+"00")
					strangers := []string{"bob-key", "carl-key"}
					if !shared {
						strangers = append(strangers, "anton-key")
					}
					for _, key := range strangers {
						require.Equal(t, unknown, ask(key, one.ID, item))
						require.Equal(t, unknown, ask(key, one.ID, item, "X-Antwort-Tenant", "a", "X-Antwort-Subject", "alice"), "they say who they are not")
					}
					if shared {
						require.Equal(t, 200, r.as("anton-key", "GET", "/v1/responses/"+one.ID, "").status)
						_ = read(t, r.as("anton-key", "POST", "/v1/responses", `{"input":"b","model":"/mnt/models","previous_response_id":"`+one.ID+`"}`))
					}
					require.Equal(t, 200, r.as("alice-key", "GET", "/v1/responses/"+one.ID, "", "X-Antwort-Tenant", "b").status)
					require.Equal(t, 200, r.as("alice-key", "DELETE", "/v1/responses/"+one.ID, "").status)
				}
				through := read(t, front.as("alice-key", "POST", "/v1/responses", `{"input":"a","model":"/mnt/models"}`))
				require.Equal(t, 200, back.as("alice-key", "GET", "/v1/responses/"+through.ID, "").status, "she is the same at either")
				require.Equal(t, 200, back.as("front-key", "GET", "/v1/responses/"+through.ID, "", "X-Antwort-Subject", "alice", "X-Antwort-Tenant", "a").status)
				refused(t, back.as("front-key", "GET", "/v1/responses/"+through.ID, ""), 403, "", "caller_missing", "x-antwort-subject")
				refused(t, back.as("front-key", "GET", "/v1/responses/"+through.ID, "", "X_Antwort_Subject", "alice", "X-Antwort-Tenant", "a"), 403, "", "caller_missing", "x-antwort-subject")
			})
		}
	}
}

// An answer that the upstream cuts is stored as what it was, and not continued.
func TestCutAnswerIsStoredAsFailed(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"a"`))
		a := r.next(one.ID, `"input":"mock: cut-after=4","stream":true`)
		res := read(t, a)
		require.Equal(t, "failed", res.Status)
		require.Equal(t, resourceOf(t, a), r.call("GET", "/v1/responses/"+res.ID, "").body)
		refused(t, r.next(res.ID, `"input":"b"`), 400, "previous_response_id", "previous_response_unusable", "has failed and cannot be continued")
		_ = read(t, r.next(one.ID, `"input":"b"`))
	})
}

// What broke off by length is continued: its text is there, and no half of a call.
func TestIncompleteAnswerIsContinued(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		for _, stream := range []string{"", `,"stream":true`} {
			res := read(t, r.ask(`"input":"a","max_output_tokens":16`+stream))
			require.Equal(t, "incomplete", res.Status)
			_ = read(t, r.next(res.ID, `"input":"b"`))
			messages, _ := llm.last(t)
			require.Len(t, messages, 3)
			require.Contains(t, said(messages)[1], "assistant: I received")
		}
	})
	const call = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":"}}]},"finish_reason":null}]}` + "\n\n"
	var asked atomic.Pointer[string]
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		text := string(body)
		asked.Store(&text)
		sending(w)(chatRole + chatText("so") + call + strings.Replace(chatFinish, `"stop"`, `"length"`, 1) + chatUsage + chatDone)
	}))
	r := start(t, config.VLLM, llm)
	res := read(t, r.ask(`"input":"a","stream":true,"tools":[{"type":"function","name":"f"}]`))
	require.Equal(t, "incomplete", res.Status)
	_ = read(t, r.next(res.ID, `"input":"b","stream":true`))
	require.Contains(t, *asked.Load(), `{"role":"assistant","content":"so"},{"role":"user","content":"b"}`)
}

// Who stops an answer and goes on has what there was of it.
func TestLeftAnswerIsStoredAsCancelled(t *testing.T) {
	for name, store := range storedTypes(t) {
		for _, takes := range []bool{true, false} {
			t.Run(fmt.Sprint(name, takes), func(t *testing.T) {
				t.Parallel()
				var asked atomic.Pointer[string]
				left := make(chan struct{}, 1)
				llm := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
					body, _ := io.ReadAll(q.Body)
					text := string(body)
					asked.Store(&text)
					sending(w)(chatRole + chatText("one ") + chatText("two"))
					if strings.Contains(text, "assistant") {
						sending(w)(chatFinish + chatUsage + chatDone)
						return
					}
					<-q.Context().Done()
					left <- struct{}{}
				}))
				back := start(t, config.VLLM, llm, store, func(c *config.Config) { c.Server.TakeOver = takes })
				kept := keeping(t, atFrontend, llm, storedTypes(t)[name], func(c *config.Config) { c.Server.TakeOver = takes })
				for _, r := range []*running{back, back.front(), kept} {
					ctx, leave := context.WithCancel(context.Background())
					resp, err := r.do(ctx, "POST", "/v1/responses", strings.NewReader(askStream))
					require.NoError(t, err)
					ev := readEvents(t, resp.Body)
					begun := ev.until("response.created")
					_, id, _ := strings.Cut(begun, `"response":{"id":"`)
					id, _, _ = strings.Cut(id, `"`)
					require.Equal(t, 404, r.call("GET", "/v1/responses/"+id, "").status, "it is not there until its end")
					ev.until("response.output_text.delta")
					ev.until("response.output_text.delta")
					leave()
					wait(t, left, "the upstream was not told")
					var got answer
					require.Eventually(t, func() bool {
						got = r.call("GET", "/v1/responses/"+id, "")
						return got.status == 200
					}, guard, time.Millisecond)
					require.Contains(t, got.body, `"status":"cancelled","completed_at":null,"error":null`)
					require.Contains(t, got.body, `"text":"one two"}],"status":"incomplete"}]`)
					_ = read(t, r.next(id, `"input":"go on","stream":true`))
					require.Contains(t, *asked.Load(), `{"role":"user","content":"hi"},{"role":"assistant","content":"one two"},{"role":"user","content":"go on"}`)
				}
			})
		}
	}
}

// faulty is a store that is there or not.
type faulty struct {
	state.Store
	down    atomic.Bool
	commits atomic.Int32
	mends   int32       // after so many commits it is there again; 0: never
	deaf    atomic.Bool // no lock is renewed
}

var errHush = errors.New("HUSH: 10.0.0.1 does not answer")

func (f *faulty) problem() error {
	if f.down.Load() {
		return state.Unavailable(errHush)
	}
	return nil
}

func (f *faulty) Ready(context.Context) error { return f.problem() }

func (f *faulty) Chain(ctx context.Context, o state.Owner, id string, b state.Bounds) ([]state.Turn, error) {
	if err := f.problem(); err != nil {
		return nil, err
	}
	return f.Store.Chain(ctx, o, id, b)
}

func (f *faulty) Get(ctx context.Context, o state.Owner, id string) (*state.Record, error) {
	if err := f.problem(); err != nil {
		return nil, err
	}
	return f.Store.Get(ctx, o, id)
}

func (f *faulty) Sweep(ctx context.Context, now time.Time, limit int) (state.Swept, error) {
	if err := f.problem(); err != nil {
		return state.Swept{}, err
	}
	return f.Store.Sweep(ctx, now, limit)
}

func (f *faulty) Usage(ctx context.Context) (map[state.Owner]state.Used, error) {
	if err := f.problem(); err != nil {
		return nil, err
	}
	return f.Store.Usage(ctx)
}

func (f *faulty) Commit(ctx context.Context, r *state.Record) error {
	if n := f.commits.Add(1); f.mends > 0 && n >= f.mends {
		f.down.Store(false)
	}
	if err := f.problem(); err != nil {
		return err
	}
	return f.Store.Commit(ctx, r)
}

func (f *faulty) Accept(ctx context.Context, j *state.Job, queue int) error {
	if err := f.problem(); err != nil {
		return err
	}
	return f.Store.Accept(ctx, j, queue)
}

func (f *faulty) Claim(ctx context.Context, lease time.Duration) (*state.Job, error) {
	if err := f.problem(); err != nil {
		return nil, err
	}
	return f.Store.Claim(ctx, lease)
}

func (f *faulty) Queued(ctx context.Context) (int, error) {
	if err := f.problem(); err != nil {
		return 0, err
	}
	return f.Store.Queued(ctx)
}

func (f *faulty) Lock(ctx context.Context, o state.Owner, id, holder string, lease time.Duration) error {
	if err := f.problem(); err != nil {
		return err
	}
	return f.Store.Lock(ctx, o, id, holder, lease)
}

func (f *faulty) RenewLock(ctx context.Context, o state.Owner, id, holder string, lease time.Duration) error {
	if f.deaf.Load() {
		return state.Unavailable(errHush)
	}
	return f.Store.RenewLock(ctx, o, id, holder, lease)
}

// faultyStore is a server with one.
func faultyStore(t *testing.T, llm string, edit ...func(*config.Config)) (*running, *faulty) {
	f := &faulty{Store: inmemory.New(inmemory.Options{MaxBytes: 1 << 20, Now: time.Now})}
	store := keeper.New(f, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})
	return startWith(t, Options{Store: store}, config.VLLM, llm, edit...), f
}

// Too much to be stored is refused where it must be stored, and else answered.
func TestWhatIsTooMuchToBeStored(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		big := `"input":"` + strings.Repeat("x", 2000) + `"`
		refused(t, r.ask(big+`,"store":true`), 413, "", "request_too_large", "send store false")
		require.False(t, read(t, r.ask(big)).Store)
		require.True(t, read(t, r.ask(`"input":"a"`)).Store)
	}, func(c *config.Config) { c.State.MaxInputBytes = 1024 })
}

// Nothing is stored by default where the configuration says so.
func TestStoredOnlyWhenAsked(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		require.False(t, read(t, r.ask(`"input":"a"`)).Store)
		one := read(t, r.ask(`"input":"a","store":true`))
		require.True(t, one.Store)
		require.False(t, read(t, r.next(one.ID, `"input":"b"`)).Store)
	}, func(c *config.Config) { c.State.DefaultStore = false })
}

// Without a store all is as before there was one.
func TestWithoutAStore(t *testing.T) {
	r := start(t, config.VLLM, newSeen(t).url, func(c *config.Config) { c.State.Type = config.NoState })
	res := read(t, r.ask(`"input":"a","store":true`))
	require.False(t, res.Store)
	refused(t, r.next(res.ID, `"input":"b"`), 400, "previous_response_id", "previous_response_not_found", "no response is stored here")
	refused(t, r.call("GET", "/v1/responses/"+res.ID, ""), 404, "", "response_not_found", "responses are not stored by this server")
}

// A server that is shut down stores what it ends.
func TestDrainedAnswerIsStoredAsFailed(t *testing.T) {
	begun := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		sending(w)(chatRole + chatText("a"))
		close(begun)
		<-q.Context().Done()
	}))
	f := &faulty{Store: inmemory.New(inmemory.Options{MaxBytes: 1 << 20, Now: time.Now})}
	r := startWith(t, Options{Store: keeper.New(f, keeper.Options{Log: slog.New(slog.DiscardHandler), Now: time.Now})}, config.VLLM, llm)
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	wait(t, begun, "the upstream's answer")
	r.stop()
	a := finish(t, resp)
	r.drained()
	require.Equal(t, "failed", read(t, a).Status)
	require.Equal(t, int32(1), f.commits.Load())
}

// Where some routes store and the others forward, an id is looked up here first.
func TestStoredBesideAForwardingRoute(t *testing.T) {
	behind := start(t, config.VLLM, newSeen(t).url)
	llm := newSeen(t)
	r := start(t, config.VLLMResponses, behind.url, func(c *config.Config) {
		c.Routes = []config.Route{
			{Name: "own", Match: config.Match{Models: []string{"/mnt/models"}}, Backends: []config.Backend{{URL: llm.url, Weight: 1, Provider: config.VLLM}}},
			{Name: "other", Match: config.Match{Models: []string{"*"}}, Backends: []config.Backend{{URL: behind.url, Weight: 1, Provider: config.VLLMResponses}}},
		}
	})
	ready(t, r)
	here, there := read(t, r.ask(`"input":"a"`)), read(t, behind.ask(`"input":"a"`))
	for _, id := range []string{here.ID, there.ID} {
		require.Equal(t, 200, r.call("GET", "/v1/responses/"+id, "").status)
		require.Equal(t, 200, r.call("GET", "/v1/responses/"+id+"/input_items", "").status)
	}
	require.Equal(t, 404, behind.call("GET", "/v1/responses/"+here.ID, "").status)
	require.Equal(t, 200, r.call("DELETE", "/v1/responses/"+there.ID, "").status)
	require.Equal(t, 404, r.call("GET", "/v1/responses/"+there.ID, "").status)
}

// What a frontend that keeps responses asks a backend that keeps none, and what it does
// with a refusal.
func TestBackendThatKeepsNothing(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	var body atomic.Pointer[string]
	answer := `{"object":"response","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"yes"}]}],"new":1}`
	status := http.StatusOK
	backend := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		read, _ := io.ReadAll(q.Body)
		text := string(read)
		asked.Store(q)
		body.Store(&text)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Of-Backend", "1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	r := start(t, config.VLLMResponses, backend, func(c *config.Config) { c.State.Type = config.MemoryState })
	first := r.post(`{"model":"m","input":"a","of_tomorrow":[1, 2]}`)
	one := read(t, first)
	require.Equal(t, "1", first.header.Get("X-Of-Backend"))
	require.Equal(t, `{"model":"m","input":"a","of_tomorrow":[1, 2],"store":false}`, *body.Load())
	require.Contains(t, first.body, `"new":1`)
	require.True(t, one.Store)
	require.Equal(t, first.body, r.call("GET", "/v1/responses/"+one.ID, "").body)

	var coded bytes.Buffer
	zip := gzip.NewWriter(&coded)
	_, _ = io.WriteString(zip, `{"input":"b","previous_response_id":"`+one.ID+`","model":"m"}`)
	require.NoError(t, zip.Close())
	two := read(t, r.call("POST", "/v1/responses", coded.String(), "Content-Type", "application/json", "Content-Encoding", "gzip"))
	require.Empty(t, asked.Load().Header.Get("Content-Encoding"))
	require.Equal(t, `{"input":[{"id":"msg_`+one.ID[5:]+`i00","type":"message","role":"user","content":"a"},{"id":"msg_`+one.ID[5:]+`00","type":"message","role":"assistant","content":[{"type":"output_text","text":"yes"}]},`+
		`{"type":"message","role":"user","content":"b"}],"model":"m","store":false}`, *body.Load())
	require.Equal(t, one.ID, *two.Previous)

	for _, path := range []string{"/v1/responses/input_tokens", "/v1/responses/compact"} {
		a := r.call("POST", path, `{"previous_response_id":"`+one.ID+`","model":"m"}`, "Content-Type", "application/json")
		require.Equal(t, answer, a.body, "it is the backend's to answer")
		require.Equal(t, path, asked.Load().URL.Path)
		require.NotContains(t, *body.Load(), "store")
		require.Contains(t, *body.Load(), `"text":"yes"`)
	}

	answer = `{"status":"in_progress","output":[]}`
	refused(t, r.post(`{"model":"m","input":"a"}`), 502, "", "upstream_invalid_answer", "no response that has ended")
	answer, status = `{"error":{"message":"no","type":"of_its_own","param":"input","code":"odd"},"more":1}`, http.StatusTeapot
	for _, members := range []string{`"input":"a"`, `"input":"a","stream":true`} {
		a := r.post(`{"model":"m",` + members + `}`)
		require.Equal(t, []any{status, answer}, []any{a.status, a.body}, "a refusal is the client's as it came")
	}
	refused(t, r.call("GET", "/v1/responses/resp_"+strings.Repeat("0", 28), ""), 404, "", "response_not_found", "not found")
	require.Equal(t, "POST", asked.Load().Method, "no question about what is kept goes on")
}
