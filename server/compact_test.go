package server

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
	"antwort/shared/seal"
)

// forgetful is a model that sums up by rule: it says how many messages it saw, and
// nothing of what was in them. What must not be lost must not depend on it.
type forgetful struct {
	*mockllm.Mock
	url  string
	most int           // bytes of a request that is not too long; 0: any
	fail int           // status of its summaries; 0: 200
	good int           // so many summaries do not fail
	wait chan struct{} // before it sums up; nil: it does not

	mu    sync.Mutex
	sums  []string // the requests for summaries
	chats []string // the others
}

func newForgetful(t *testing.T) *forgetful {
	f := &forgetful{Mock: mockllm.New(mockllm.Options{ReasoningParser: true, Vision: true})}
	f.url = upstreamOf(t, f)
	return f
}

const summing = "The conversation above is about to be replaced by a summary"

func (f *forgetful) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	var chat struct{ Messages []message }
	if r.URL.Path != "/v1/chat/completions" || json.Unmarshal(body, &chat) != nil {
		f.Mock.ServeHTTP(w, r)
		return
	}
	last, _ := chat.Messages[len(chat.Messages)-1].Content.(string)
	if f.wait != nil && strings.HasPrefix(last, summing) {
		<-f.wait
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !strings.HasPrefix(last, summing) {
		f.chats = append(f.chats, string(body))
		f.Mock.ServeHTTP(w, r)
		return
	}
	f.sums = append(f.sums, string(body))
	switch {
	case f.most > 0 && len(body) > f.most:
		fail(w, 400, `{"error":{"message":"This model's maximum context length is 10 tokens","type":"BadRequestError","code":400}}`)
	case f.fail > 0 && f.good == 0:
		fail(w, f.fail, `{"error":{"message":"no"}}`)
	default:
		f.good--
		fail(w, 200, fmt.Sprintf(`{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","reasoning":"hm","content":"<think>so</think> SUMMARY%d of %d messages"},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":100,"completion_tokens":10,"total_tokens":110}}`, len(f.sums), len(chat.Messages)-1))
	}
}

// lastChat are the messages of the last request that was not for a summary.
func (f *forgetful) lastChat(t *testing.T) []message {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NotEmpty(t, f.chats)
	var chat struct{ Messages []message }
	require.NoError(t, json.Unmarshal([]byte(f.chats[len(f.chats)-1]), &chat))
	return chat.Messages
}

// summaries are the requests for summaries since the last call.
func (f *forgetful) summaries() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := f.sums
	f.sums = nil
	return sums
}

// eachSummed runs a test with and without a store, at the server and behind another.
func eachSummed(t *testing.T, test func(t *testing.T, r *running, llm *forgetful), edit ...func(*config.Config)) {
	for name, store := range map[string]func(*config.Config){
		"memory": func(c *config.Config) { c.State.Type = config.MemoryState },
		"none":   func(c *config.Config) { c.State.Type = config.NoState },
	} {
		for _, behind := range []bool{false, true} {
			if behind {
				name += ", behind a frontend"
			}
			t.Run(name, func(t *testing.T) {
				llm := newForgetful(t)
				r := start(t, config.VLLM, llm.url, append([]func(*config.Config){store}, edit...)...)
				if ready(t, r); behind {
					r = r.front()
					ready(t, r)
				}
				test(t, r, llm)
			})
		}
	}
}

// compact asks for a compaction, and returns the items of its output.
func (r *running) compact(members string) (a answer, output []json.RawMessage) {
	r.t.Helper()
	a = r.call("POST", "/v1/responses/compact", `{"model":"/mnt/models",`+members+`}`)
	var c struct {
		ID, Object string
		Output     []json.RawMessage
	}
	if a.status == 200 {
		require.NoError(r.t, json.Unmarshal([]byte(a.body), &c), a.body)
		require.Equal(r.t, "response.compaction", c.Object)
		require.True(r.t, strings.HasPrefix(c.ID, "resp_"))
	}
	return a, c.Output
}

func joined(items []json.RawMessage) string {
	var all []string
	for _, raw := range items {
		all = append(all, string(raw))
	}
	return strings.Join(all, ",")
}

const longTalk = `{"role":"user","content":"Fix src/parser/lex.go, see ticket ABC-1234."},
	{"type":"function_call","call_id":"call_1","name":"read","arguments":"{\"path\":\"internal/deep/file_7.go\"}"},
	{"type":"function_call_output","call_id":"call_1","output":"see also 0f3b9c2d17 and https://host.example/x?y=1"},
	{"role":"assistant","content":"I have read it."},
	{"role":"user","content":[{"type":"input_text","text":"Do not touch the tests!"}]}`

// What is compacted is the user's messages and one item, and what comes back of it has
// all that a summary may have lost.
func TestCompactedConversationsGoOn(t *testing.T) {
	eachSummed(t, func(t *testing.T, r *running, llm *forgetful) {
		a, output := r.compact(`"instructions":"Be brief.","input":[` + longTalk + `]`)
		require.Equal(t, 200, a.status, a.body)
		require.Len(t, output, 3)
		require.Contains(t, string(output[0]), `"type":"input_text","text":"Fix src/parser/lex.go, see ticket ABC-1234."`)
		require.Contains(t, string(output[1]), "Do not touch the tests!")
		require.Contains(t, string(output[2]), `"type":"compaction","encrypted_content":"`)
		require.NotContains(t, string(output[2]), "SUMMARY")
		require.Contains(t, a.body, `"usage":{"input_tokens":100,`)
		sums := llm.summaries()
		require.Len(t, sums, 1)
		require.Contains(t, sums[0], "Be brief.")
		require.Contains(t, sums[0], `"temperature":0`)
		require.Contains(t, sums[0], `"max_completion_tokens":2048`)
		require.NotContains(t, sums[0], `"tools"`)

		read(t, r.ask(`"input":[`+joined(output)+`,{"role":"user","content":"Go on."}]`))
		messages := llm.lastChat(t)
		require.Len(t, messages, 2, "what stood before the compaction is gone")
		summary := fmt.Sprint(messages[0].Content)
		require.True(t, strings.HasPrefix(summary, "Summary of the conversation so far: SUMMARY1 of 6 messages"), summary)
		for _, kept := range []string{"Fix src/parser/lex.go, see ticket ABC-1234.", "Do not touch the tests!", "internal/deep/file_7.go", "0f3b9c2d17", "https://host.example/x?y"} {
			require.Contains(t, summary, kept)
		}
		require.NotContains(t, summary, "think")
		require.Equal(t, "Go on.", messages[1].Content)

		a, again := r.compact(`"input":[` + joined(output) + `,{"role":"user","content":"Now the second thing."}]`)
		require.Equal(t, 200, a.status, a.body)
		read(t, r.ask(`"input":[`+joined(again)+`,{"role":"user","content":"Go on."}]`))
		summary = fmt.Sprint(llm.lastChat(t)[0].Content)
		for _, kept := range []string{"ABC-1234", "Do not touch the tests!", "internal/deep/file_7.go", "0f3b9c2d17", "Now the second thing."} {
			require.Contains(t, summary, kept, "a second compaction has lost it")
		}
	})
}

func TestCompactionOfATextAndOfAResponse(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.State.Type = config.MemoryState })
	ready(t, r)
	a, output := r.compact(`"input":"Only this."`)
	require.Equal(t, 200, a.status, a.body)
	require.Len(t, output, 2)
	require.Contains(t, string(output[0]), "Only this.")

	first := read(t, r.ask(`"input":"The first question."`))
	second := read(t, r.next(first.ID, `"input":"The second one."`))
	a, output = r.compact(`"previous_response_id":"` + second.ID + `"`)
	require.Equal(t, 200, a.status, a.body)
	require.Len(t, output, 3)
	require.Contains(t, string(output[0]), "The first question.")
	require.Contains(t, string(output[1]), "The second one.")
	require.Equal(t, 404, r.call("GET", "/v1/responses/"+strings.Split(a.body, `"`)[3], "").status, "it is no response")
	refused(t, r.call("POST", "/v1/responses/compact", `{"input":"x"}`), 400, "model", "missing_required_parameter", "required")
	refused(t, r.call("POST", "/v1/responses/compact", `{}`), 400, "model", "missing_required_parameter", "required")
	a, _ = r.compact(`"input":[]`)
	refused(t, a, 400, "input", "invalid_value", "")
	a, _ = r.compact(`"previous_response_id":"resp_no"`)
	refused(t, a, 400, "previous_response_id", "previous_response_not_found", "not found")
}

func TestTriggeredCompaction(t *testing.T) {
	eachSummed(t, func(t *testing.T, r *running, llm *forgetful) {
		for _, stream := range []string{"", `,"stream":true`} {
			a := r.ask(`"input":[` + longTalk + `,{"type":"compaction_trigger"}]` + stream)
			text := resourceOf(t, a)
			var res struct {
				Status string
				Store  bool
				ID     string
				Output []json.RawMessage
			}
			require.NoError(t, json.Unmarshal([]byte(text), &res))
			require.Equal(t, "completed", res.Status)
			require.Len(t, res.Output, 1, text)
			require.Contains(t, string(res.Output[0]), `"type":"compaction","encrypted_content":"`)
			require.Contains(t, text, `"usage":{"input_tokens":100,`)
			if stream != "" {
				require.Equal(t, 1, strings.Count(a.body, "event: response.compaction.compacting\n"))
			}
			require.NotContains(t, llm.summaries()[0], "compaction_trigger")
			read(t, r.ask(`"input":[`+string(res.Output[0])+`,{"role":"user","content":"Go on."}]`))
			require.Len(t, llm.lastChat(t), 2)
			if res.Store {
				require.Equal(t, text, r.call("GET", "/v1/responses/"+res.ID, "").body)
				read(t, r.next(res.ID, `"input":"And on."`))
				messages := llm.lastChat(t)
				require.Len(t, messages, 2)
				require.Contains(t, fmt.Sprint(messages[0].Content), "Do not touch the tests!")
			}
		}
		refused(t, r.ask(`"input":[{"type":"compaction_trigger"},{"role":"user","content":"x"}]`), 400, "input[0]", "invalid_value", "last item")
		refused(t, r.ask(`"input":[{"type":"compaction_trigger"}]`), 400, "input", "invalid_value", "")
	})
}

// A call without an output lives through a compaction, and so its output finds it.
func TestOpenCallsAreNotLost(t *testing.T) {
	eachSummed(t, func(t *testing.T, r *running, llm *forgetful) {
		talk := `{"role":"user","content":"Run it."},{"type":"function_call","call_id":"call_9","name":"run","arguments":"{\"cmd\":\"make\"}"}`
		a := r.ask(`"input":[` + talk + `,{"type":"compaction_trigger"}]`)
		res := read(t, a)
		var whole struct{ Output []json.RawMessage }
		require.NoError(t, json.Unmarshal([]byte(resourceOf(t, a)), &whole))
		output := `{"type":"function_call_output","call_id":"call_9","output":"made"}`
		read(t, r.ask(`"input":[`+joined(whole.Output)+`,`+output+`]`))
		check := func() {
			t.Helper()
			messages := llm.lastChat(t)
			require.Len(t, messages, 3)
			require.Equal(t, "assistant", messages[1].Role)
			require.Equal(t, "call_9", messages[2].CallID)
		}
		check()
		if res.Store {
			read(t, r.next(res.ID, `"input":[`+output+`]`))
			check()
		}
		read(t, r.ask(`"input":[`+joined(whole.Output)+`,{"role":"user","content":"What was it?"}]`))
		messages := llm.lastChat(t)
		require.Len(t, messages, 2)
		require.Contains(t, fmt.Sprint(messages[0].Content), `\"cmd\":\"make\"`)
	})
}

func TestConversationsAreCompactedOverTheirThreshold(t *testing.T) {
	eachSummed(t, func(t *testing.T, r *running, llm *forgetful) {
		filler := strings.Repeat("word ", 500)
		talk := `{"role":"user","content":"Fix a_1.go. ` + filler + `"},{"role":"assistant","content":"I will."}`
		for _, stream := range []string{"", `,"stream":true`} {
			a := r.ask(`"context_management":[{"type":"compaction","compact_threshold":300}],"input":[` + talk + `,{"role":"user","content":"And now?"}]` + stream)
			res, text := read(t, a), resourceOf(t, a)
			require.Equal(t, "completed", res.Status)
			require.Len(t, res.Output, 2)
			require.Equal(t, []string{"compaction", "message"}, []string{res.Output[0].Type, res.Output[1].Type})
			messages := llm.lastChat(t)
			require.Len(t, messages, 2)
			require.Equal(t, "And now?", messages[1].Content)
			require.Contains(t, fmt.Sprint(messages[0].Content), "Fix a_1.go. word")
			require.Greater(t, used(t, a), 100, "the summary's usage is added")
			require.Len(t, llm.summaries(), 1)
			var whole struct{ Output []json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(text), &whole))
			read(t, r.ask(`"input":[`+talk+`,{"role":"user","content":"And now?"},`+joined(whole.Output)+`,{"role":"user","content":"Next."}]`))
			roles := said(llm.lastChat(t))
			require.Len(t, roles, 4, "summary, what was asked, the answer, what is asked")
			require.Equal(t, []string{"user: And now?", "user: Next."}, []string{roles[1], roles[3]})
			if res.Store {
				require.Equal(t, text, r.call("GET", "/v1/responses/"+res.ID, "").body)
				read(t, r.next(res.ID, `"input":"Next."`))
				require.Equal(t, roles, said(llm.lastChat(t)))
			}
		}
		require.Len(t, read(t, r.ask(`"context_management":[{"type":"compaction","compact_threshold":3000}],"input":[`+talk+`,{"role":"user","content":"And now?"}]`)).Output, 1, "below it")
		require.Len(t, read(t, r.ask(`"context_management":null,"input":"hi"`)).Output, 1)
		require.Len(t, read(t, r.ask(`"context_management":[{"type":"compaction","compact_threshold":1}],"input":"hi"`)).Output, 2, "a text alone")
		for value, param := range map[string]string{
			`7`: "context_management", `[{"type":"other"}]`: "context_management[0].type", `[{"type":"compaction"}]`: "context_management[0].compact_threshold",
			`[{"type":"compaction","compact_threshold":0}]`: "context_management[0].compact_threshold", `[{"type":"compaction","compact_threshold":5,"x":1}]`: "context_management[0].x",
			`[{},{}]`: "context_management",
		} {
			a := r.ask(`"input":"hi","context_management":` + value)
			require.Equal(t, 400, a.status, a.body)
			_, got, _ := a.errorCode(t)
			require.Equal(t, param, got)
		}
	})
}

// What is too long for the model is summed up in halves, and nothing of it is left out.
func TestLongConversationsAreSummedUpInHalves(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url)
	ready(t, r)
	llm.most = 4000
	var items []string
	for i := range 20 {
		items = append(items, fmt.Sprintf(`{"role":"user","content":"question %d %s"},{"type":"function_call","call_id":"c%d","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c%d","output":"answer"}`, i, strings.Repeat("x", 200), i, i))
	}
	a, output := r.compact(`"input":[` + strings.Join(items, ",") + `]`)
	require.Equal(t, 200, a.status, a.body)
	require.Len(t, output, 21)
	sums := llm.summaries()
	require.Greater(t, len(sums), 3)
	all := strings.Join(sums, "\n")
	for i := range 20 {
		require.Contains(t, all, fmt.Sprintf("question %d ", i))
	}
	require.Contains(t, sums[len(sums)-1], "Summary of the conversation so far: SUMMARY", "a later half knows what was before it")
	require.NotContains(t, a.body, `"usage":{"input_tokens":100,`, "the usage of all is added up")

	llm.most = 500
	a, _ = r.compact(`"input":[{"role":"user","content":"` + strings.Repeat("x", 2000) + `"}]`)
	require.Equal(t, 400, a.status)
	_, _, code := a.errorCode(t)
	require.Equal(t, "context_length_exceeded", code)
}

// A summary that fails is a request that fails.
func TestFailedSummaryFailsTheRequest(t *testing.T) {
	eachSummed(t, func(t *testing.T, r *running, llm *forgetful) {
		llm.fail = 500
		for _, members := range []string{`"input":[` + longTalk + `,{"type":"compaction_trigger"}]`, `"input":[` + longTalk + `,{"type":"compaction_trigger"}],"stream":true`,
			`"input":[` + longTalk + `],"context_management":[{"type":"compaction","compact_threshold":5}],"stream":true`} {
			a := r.ask(members)
			require.Equal(t, 500, a.status, a.body)
		}
		require.Empty(t, llm.chats)
	})
}

// What a summary has used counts, also when it fails half way: the model has answered for
// the older half, and then no more.
func TestWhatAFailedSummaryHasUsedIsCounted(t *testing.T) {
	for name, c := range map[string]struct {
		every   time.Duration // of signs of life
		members string
		status  int
	}{
		"whole":                    {members: `,{"type":"compaction_trigger"}]`, status: 500},
		"streamed":                 {members: `],"stream":true,"context_management":[{"type":"compaction","compact_threshold":5}]`, status: 500},
		"streamed, that has begun": {every: time.Millisecond, members: `],"stream":true,"context_management":[{"type":"compaction","compact_threshold":5}]`, status: 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llm := newForgetful(t)
			llm.most, llm.fail, llm.good = 10_000, 500, 1
			if c.every > 0 {
				llm.wait = make(chan struct{})
			}
			r := startWith(t, newStopped().options(), config.VLLM, llm.url, limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","tokens_per_day":100000}]}`), func(to *config.Config) {
				to.Server.KeepAliveInterval, to.Engine.Retry.MaxAttempts = c.every, 1
			})
			ready(t, r)
			resp := r.open("POST", "/v1/responses", strings.NewReader(`{"model":"/mnt/models","input":[`+strings.Repeat(`{"role":"user","content":"`+strings.Repeat("x", 2500)+`"},{"role":"assistant","content":"so"},`, 8)+`{"role":"user","content":"?"}`+c.members+`}`))
			defer resp.Body.Close()
			if c.every > 0 {
				close(llm.wait)
			}
			require.Equal(t, c.status, resp.StatusCode)
			_, err := io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.Greater(t, len(llm.summaries()), 2, "all of it, a half, and the other one")
			r.log.waitFor(t, `"input_tokens":100`, `"output_tokens":10`)
			require.EqualValues(t, 110, spentToday(t, r))
		})
	}
}

func TestSealedContentIsItsOwnersOnly(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) {
		c.Auth.Type = config.APIKeyAuth
		c.Auth.APIKeys = []config.APIKey{{Digest: sha256.Sum256([]byte("a")), Subject: "a", Tenant: "a"}, {Digest: sha256.Sum256([]byte("b")), Subject: "b", Tenant: "b"}}
	})
	as := func(key, path, members string) answer {
		return r.call("POST", path, `{"model":"/mnt/models",`+members+`}`, "Authorization", "Bearer "+key)
	}
	a := as("a", "/v1/responses/compact", `"input":"secret thing"`)
	require.Equal(t, 200, a.status, a.body)
	var c struct{ Output []json.RawMessage }
	require.NoError(t, json.Unmarshal([]byte(a.body), &c))
	sealed := string(c.Output[1])
	require.Equal(t, 200, as("a", "/v1/responses", `"input":[`+sealed+`,{"role":"user","content":"x"}]`).status)
	tampered := strings.Replace(sealed, `"encrypted_content":"`, `"encrypted_content":"A`, 1)
	for _, input := range []string{tampered, strings.Replace(sealed, "encrypted", "other", 1), `{"type":"compaction","encrypted_content":""}`} {
		refused(t, as("a", "/v1/responses", `"input":[{"role":"user","content":"x"},`+input+`]`), 400, "input[1]", "invalid_encrypted_content", "cannot be opened")
	}
	foreign := as("b", "/v1/responses", `"input":[{"role":"user","content":"x"},`+sealed+`]`)
	refused(t, foreign, 400, "input[1]", "invalid_encrypted_content", "cannot be opened")
	wrong := as("a", "/v1/responses", `"input":[{"role":"user","content":"x"},`+sealed+`,{"role":"user","content":"y"},{"type":"dream"}]`)
	refused(t, wrong, 400, "input[3].type", "unsupported_item", "input[3].type")
}

func TestCompactionsOutliveTheProcessWithTheirStore(t *testing.T) {
	llm, path := newForgetful(t), filepath.Join(t.TempDir(), "state.db")
	store := func(c *config.Config) { c.State.Type, c.State.SQLite.Path = config.SQLiteState, path }
	r := start(t, config.VLLM, llm.url, store)
	ready(t, r)
	a, output := r.compact(`"input":[` + longTalk + `]`)
	require.Equal(t, 200, a.status, a.body)
	trigger := read(t, r.ask(`"input":[`+longTalk+`,{"type":"compaction_trigger"}]`))
	r.stop()
	r.drained()
	r = start(t, config.VLLM, llm.url, store)
	ready(t, r)
	read(t, r.ask(`"input":[`+joined(output)+`,{"role":"user","content":"Go on."}]`))
	require.Contains(t, fmt.Sprint(llm.lastChat(t)[0].Content), "ABC-1234")
	read(t, r.next(trigger.ID, `"input":"Go on."`))
	require.Contains(t, fmt.Sprint(llm.lastChat(t)[0].Content), "ABC-1234")
}

// A compaction has the messages of its own request, whatever comes in beside it: the memory
// of a body that was put back is another request's.
func TestCompactionsBesideEachOtherKeepTheirMessages(t *testing.T) {
	f := newForgetful(t)
	r := start(t, config.VLLM, f.url, func(c *config.Config) { c.State.Type = config.MemoryState })
	ready(t, r)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			said := strings.Repeat(string(rune('a'+i)), 2000)
			for range 100 {
				a := r.call("POST", "/v1/responses/compact", `{"model":"/mnt/models","input":[{"role":"user","content":"`+said+`"}]}`)
				if a.status != 200 || !strings.Contains(a.body, `"`+said+`"`) {
					t.Errorf("client %d: %d %.300s", i, a.status, a.body)
					return
				}
			}
		})
	}
	clients.Wait()
}

func TestCompactionIsRefusedWhereItIsOff(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.Compaction.Enabled = false })
	ready(t, r)
	a, _ := r.compact(`"input":"x"`)
	refused(t, a, 404, "", "unsupported_endpoint", "not compacted here")
	refused(t, r.ask(`"input":[`+longTalk+`,{"type":"compaction_trigger"}]`), 400, "input[5].type", "unsupported_item", "compaction_trigger")
	refused(t, r.ask(`"input":"x","context_management":[{"type":"compaction","compact_threshold":5}]`), 400, "context_management", "unsupported_parameter", "not done here")
	require.Empty(t, llm.sums)
}

func TestCompactionInTheBackground(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.State.Type = config.MemoryState })
	ready(t, r)
	refused(t, r.ask(`"background":true,"input":[`+longTalk+`,{"type":"compaction_trigger"}]`), 400, "background", "unsupported_parameter", "background")
	queued := read(t, r.ask(`"background":true,"context_management":[{"type":"compaction","compact_threshold":5}],"input":[`+longTalk+`]`))
	require.Eventually(t, func() bool {
		res := read(t, r.call("GET", "/v1/responses/"+queued.ID, ""))
		return res.Status == "completed" && len(res.Output) == 2 && res.Output[0].Type == "compaction"
	}, guard, 10*time.Millisecond)
	require.Len(t, llm.summaries(), 1, "accepting it has summed nothing up")
}

func TestCompactionOfAConversation(t *testing.T) {
	llm := newForgetful(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.State.Type = config.MemoryState })
	ready(t, r)
	conversation := r.converses(t)
	read(t, r.ask(`"conversation":"`+conversation+`","input":[`+longTalk+`]`))
	read(t, r.ask(`"conversation":"`+conversation+`","input":[{"type":"compaction_trigger"}]`))
	read(t, r.ask(`"conversation":"`+conversation+`","input":"Go on."`))
	messages := llm.lastChat(t)
	require.Len(t, messages, 2)
	require.Contains(t, fmt.Sprint(messages[0].Content), "we were saying")
	require.Contains(t, fmt.Sprint(messages[0].Content), "ABC-1234")
}

// Servers that share no store open each other's compactions by the keys of their
// configurations, and what was made before there were keys goes on to be opened.
func TestCompactionsAreSealedWithTheKeysOfTheConfiguration(t *testing.T) {
	llm, path := newForgetful(t), filepath.Join(t.TempDir(), "state.db")
	keyed := func(names ...string) func(*config.Config) {
		return func(c *config.Config) {
			for _, name := range names {
				c.State.Keys = append(c.State.Keys, config.SealingKey{ID: name, Key: config.NewSecret(strings.Repeat(name[:1], seal.KeySize))})
			}
		}
	}
	stateless := func(c *config.Config) { c.State.Type = config.NoState }
	kept := func(c *config.Config) { c.State.Type, c.State.SQLite.Path = config.SQLiteState, path }
	opens := func(r *running, output []json.RawMessage) int {
		ready(t, r)
		return r.ask(`"input":[` + joined(output) + `,{"role":"user","content":"Go on."}]`).status
	}
	before := start(t, config.VLLM, llm.url, kept)
	ready(t, before)
	_, without := before.compact(`"input":[` + longTalk + `]`)
	before.stop()
	before.drained()
	one := start(t, config.VLLM, llm.url, kept, keyed("old"))
	require.Equal(t, 200, opens(one, without), "made before there were keys")
	_, old := one.compact(`"input":[` + longTalk + `]`)
	require.Equal(t, 200, opens(start(t, config.VLLM, llm.url, stateless, keyed("new", "old")), old), "another server, after a rotation")
	require.Equal(t, 400, opens(start(t, config.VLLM, llm.url, stateless, keyed("new")), old), "the key is gone")
}

// While a long conversation is summed up a streamed answer has signs of life; what
// follows is a whole stream, of a failure too.
func TestSignsOfLifeWhileSummingUp(t *testing.T) {
	input := `"input":[{"role":"user","content":"` + strings.Repeat("long ", 400) + `"},{"role":"assistant","content":"so"},{"role":"user","content":"and now?"}`
	for name, c := range map[string]struct {
		members, want string
		fail          int
	}{
		"before an answer":  {members: input + `],"context_management":[{"type":"compaction","compact_threshold":100}]`, want: "response.completed"},
		"asked for":         {members: input + `,{"type":"compaction_trigger"}]`, want: "response.completed"},
		"that fails":        {members: input + `],"context_management":[{"type":"compaction","compact_threshold":100}]`, fail: 500, want: "response.failed"},
		"asked for in vain": {members: input + `,{"type":"compaction_trigger"}]`, fail: 500, want: "response.failed"},
		"whole, and silent": {members: input + `],"stream":false,"context_management":[{"type":"compaction","compact_threshold":100}]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llm := newForgetful(t)
			llm.wait, llm.fail = make(chan struct{}), c.fail
			r := start(t, config.VLLM, llm.url, func(c *config.Config) {
				c.State.Type, c.Server.KeepAliveInterval, c.Engine.Retry.MaxAttempts = config.MemoryState, 10*time.Millisecond, 1
			})
			ready(t, r)
			if c.want == "" {
				time.AfterFunc(50*time.Millisecond, func() { close(llm.wait) })
				require.Equal(t, "completed", read(t, r.ask(c.members)).Status)
				return
			}
			resp := r.open("POST", "/v1/responses", strings.NewReader(`{"model":"/mnt/models","stream":true,`+c.members+`}`))
			defer resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode)
			begun := make([]byte, len(": keep-alive\n\n: keep-alive\n\n"))
			_, err := io.ReadFull(resp.Body, begun)
			require.NoError(t, err)
			require.Equal(t, ": keep-alive\n\n: keep-alive\n\n", string(begun))
			close(llm.wait)
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			res := read(t, answer{status: 200, body: string(begun) + string(rest)})
			require.Contains(t, string(rest), "event: "+c.want+"\n")
			require.Equal(t, 1, strings.Count(string(rest), "event: response.created\n"))
			require.Equal(t, res.Status, read(t, r.call("GET", "/v1/responses/"+res.ID, "")).Status, "it is stored as it was told")
		})
	}
}
