package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/state/pgtest"
	"antwort/server/state/statetest"
	"antwort/shared/config"
)

// seen is a stand-in for vLLM that keeps what it was asked.
type seen struct {
	*mockllm.Mock
	url  string
	mu   sync.Mutex
	chat []string
}

func newSeen(t *testing.T) *seen {
	s := &seen{Mock: mockllm.New(mockllm.Options{ReasoningParser: true, Vision: true})}
	s.url = upstreamOf(t, s)
	return s
}

func (s *seen) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.chat = append(s.chat, string(body))
		s.mu.Unlock()
	}
	s.Mock.ServeHTTP(w, r)
}

// asked is how often it was.
func (s *seen) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.chat)
}

// message is a message that the model got.
type message struct {
	Role      string
	Content   any
	Reasoning string
	Calls     []struct {
		ID string
	} `json:"tool_calls"`
	CallID string `json:"tool_call_id"`
}

// last are the messages of the last request, and its other members.
func (s *seen) last(t *testing.T) (messages []message, rest map[string]json.RawMessage) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	body := []byte(s.chat[len(s.chat)-1])
	require.NoError(t, json.Unmarshal(body, &rest))
	require.NoError(t, json.Unmarshal(rest["messages"], &messages))
	return messages, rest
}

// said are the roles and texts of messages.
func said(messages []message) (all []string) {
	for _, m := range messages {
		all = append(all, fmt.Sprintf("%s: %v", m.Role, m.Content))
	}
	return all
}

// storedTypes are the stores that the tests of stored responses run with. Each call's
// Postgres is a place of its own, the same for all who take it.
func storedTypes(t *testing.T) map[string]func(*config.Config) {
	types := map[string]func(*config.Config){
		"memory": func(c *config.Config) { c.State.Type = config.MemoryState },
		"sqlite": func(c *config.Config) {
			c.State.Type, c.State.SQLite.Path = config.SQLiteState, filepath.Join(t.TempDir(), "state.db")
		},
	}
	if testing.Short() { // the same with another store takes long
		return types
	}
	if pg := pgtest.Shared(t); pg != nil {
		place := sync.OnceValue(func() string { return pg.Schema(t) })
		types["postgres"] = func(c *config.Config) { storeAt(place())(c) }
	}
	return types
}

// storeAt is the store in a database or a file.
func storeAt(place string) func(*config.Config) {
	return func(c *config.Config) {
		if strings.HasPrefix(place, "postgres") {
			c.State.Type, c.State.Postgres.DSN, c.State.Postgres.MaxConnections = config.PostgresState, config.NewSecret(place), 4
			return
		}
		c.State.Type, c.State.SQLite.Path = config.SQLiteState, place
	}
}

// The places where responses are kept.
const (
	atServer      = ""                           // it translates
	behindAnother = ", behind a frontend"        // that forwards
	atFrontend    = ", kept by a frontend alone" // of a server that keeps nothing
)

// eachStore runs a test with every store, at the server itself, behind another, and at
// a frontend of a server that keeps nothing.
func eachStore(t *testing.T, test func(t *testing.T, r *running, llm *seen), edit ...func(*config.Config)) {
	for name := range storedTypes(t) {
		for _, place := range [...]string{atServer, behindAnother, atFrontend} {
			t.Run(name+place, func(t *testing.T) {
				t.Parallel()
				llm := newSeen(t)
				store := storedTypes(t)[name] // of this test alone: no job of another one
				r := keeping(t, place, llm.url, append([]func(*config.Config){store}, edit...)...)
				if ready(t, r); place == behindAnother {
					r = r.front()
					ready(t, r)
				}
				r.kept = store
				test(t, r, llm)
			})
		}
	}
}

// keeping serves what keeps responses: a server that translates, or a frontend of one
// that keeps nothing.
func keeping(t *testing.T, place, llm string, edit ...func(*config.Config)) *running {
	if place != atFrontend {
		return start(t, config.VLLM, llm, edit...)
	}
	back := start(t, config.VLLM, llm, func(c *config.Config) { c.State.Type = config.NoState })
	ready(t, back)
	return back.front(edit...)
}

// resourceOf is the resource of an answer, whole or streamed, as it was told.
func resourceOf(t *testing.T, a answer) string {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	if strings.HasPrefix(a.body, "{") {
		return a.body
	}
	checkStream(t, a.body)
	text := strings.TrimSuffix(a.body, "}\n\ndata: [DONE]\n\n")
	_, resource, ok := strings.Cut(text[strings.LastIndex(text, "\ndata: "):], `,"response":`)
	require.True(t, ok, a.body)
	return resource
}

// resource is a response.
type resource struct {
	ID       string
	Status   string
	Store    bool
	Previous *string `json:"previous_response_id"`
	Output   []struct {
		ID, Type, Status string
		CallID           string `json:"call_id"`
	}
	Instructions *string
	Tools        []any
	Error        *struct{ Code string }
}

func read(t *testing.T, a answer) (r resource) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(resourceOf(t, a)), &r))
	return r
}

// next continues a response.
func (r *running) next(previous, members string) answer {
	r.t.Helper()
	return r.post(`{"model":"/mnt/models","previous_response_id":"` + previous + `",` + members + `}`)
}

func (r *running) ask(members string) answer {
	r.t.Helper()
	return r.post(`{"model":"/mnt/models",` + members + `}`)
}

// refused is an error of the API.
func refused(t *testing.T, a answer, status int, param, code, message string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	_, gotParam, gotCode := a.errorCode(t)
	require.Equal(t, [2]string{param, code}, [2]string{gotParam, gotCode}, a.body)
	var e struct{ Error struct{ Message string } }
	require.NoError(t, json.Unmarshal([]byte(a.body), &e))
	require.Contains(t, e.Error.Message, message)
}

func TestStoredResponseIsReadAsItWasAnswered(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		for _, members := range []string{`"input":"hi"`, `"input":"hi","stream":true`, `"input":"mock: reasoning=1","store":true`,
			`"input":"mock: tokens=300","stream":true`, `"input":"mock: tokens=40","max_output_tokens":16,"stream":true`} {
			a := r.ask(members)
			res := read(t, a)
			require.True(t, res.Store)
			got := r.call("GET", "/v1/responses/"+res.ID, "")
			require.Equal(t, 200, got.status)
			require.Equal(t, resourceOf(t, a), got.body, members)
			require.Equal(t, "application/json", got.header.Get("Content-Type"))
		}
	})
}

func TestWhatIsNotStoredCannotBeReadOrContinued(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		for _, stream := range []string{"", `,"stream":true`} {
			res := read(t, r.ask(`"input":"hi","store":false`+stream))
			require.False(t, res.Store)
			refused(t, r.call("GET", "/v1/responses/"+res.ID, ""), 404, "", "response_not_found", "Response with id '"+res.ID+"' not found.")
			refused(t, r.next(res.ID, `"input":"hi"`), 400, "previous_response_id", "previous_response_not_found", "Previous response with id '"+res.ID+"' not found.")
		}
	})
}

func TestTurnsFollowEachOther(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		one := read(t, r.ask(`"input":"a"`))
		two := read(t, r.next(one.ID, `"input":[{"role":"user","content":"b"}],"stream":true`))
		require.Equal(t, one.ID, *two.Previous)
		three := read(t, r.next(two.ID, `"input":"c"`))
		_ = read(t, r.next(three.ID, `"input":"d","stream":true,"store":false`))
		messages, _ := llm.last(t)
		require.Len(t, messages, 7)
		for i, want := range []string{"user: a", "", "user: b", "", "user: c", "", "user: d"} {
			if want == "" {
				require.Equal(t, "assistant", messages[i].Role)
				require.Contains(t, messages[i].Content, "I received", "the answer of turn %d", i)
				continue
			}
			require.Equal(t, want, said(messages)[i])
		}
		require.Contains(t, messages[3].Content, `1 user: "a"`)
		require.Contains(t, messages[3].Content, "I received 3 messages")
	})
}

func TestInstructionsAndToolsAreOfTheirTurn(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		one := read(t, r.ask(`"input":"a","instructions":"be brief","tools":[{"type":"function","name":"f"}],"temperature":0.5`))
		require.Equal(t, "be brief", *one.Instructions)
		two := read(t, r.next(one.ID, `"input":"b"`))
		messages, rest := llm.last(t)
		require.Equal(t, "user: a", said(messages)[0])
		require.NotContains(t, rest, "tools")
		require.NotContains(t, rest, "temperature")
		require.Nil(t, two.Instructions)
		require.Empty(t, two.Tools)
	})
}

func TestAnotherModelContinues(t *testing.T) {
	llm := newSeen(t)
	r := start(t, config.VLLM, llm.url)
	one := read(t, r.ask(`"input":"a"`))
	two := r.post(`{"model":"mock-model","previous_response_id":"` + one.ID + `","input":"b"}`)
	_ = two.status // the stand-in may not have it: what matters is what it was asked
	messages, rest := llm.last(t)
	require.Equal(t, `"mock-model"`, string(rest["model"]))
	require.Len(t, messages, 3)
}

func TestCallsAreContinuedByTheirOutputs(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		const tools = `"tools":[{"type":"function","name":"f","parameters":{"type":"object"}}],`
		for calls, stream := range map[string]string{"1": "", "3": `"stream":true,`} {
			one := read(t, r.ask(tools+stream+`"input":"mock: calls=`+calls+`"`))
			var outputs []string
			for _, item := range one.Output {
				if item.Type == "function_call" {
					outputs = append(outputs, `{"type":"function_call_output","call_id":"`+item.CallID+`","output":"done"}`)
				}
			}
			require.Len(t, outputs, int(calls[0]-'0'))
			_ = read(t, r.next(one.ID, tools+stream+`"input":[`+strings.Join(outputs, ",")+`]`))
			messages, _ := llm.last(t)
			require.Len(t, messages, 2+len(outputs))
			require.Equal(t, "assistant", messages[1].Role)
			require.Len(t, messages[1].Calls, len(outputs))
			for i := range outputs {
				require.Equal(t, "tool", messages[2+i].Role)
				require.Equal(t, messages[1].Calls[i].ID, messages[2+i].CallID)
			}
		}
	})
}

func TestCallsAndOutputsThatAreAlone(t *testing.T) {
	const tools, call = `"tools":[{"type":"function","name":"f"}],`, `"input":"mock: calls=1"`
	test := func(fill bool) func(t *testing.T, r *running, llm *seen) {
		return func(t *testing.T, r *running, llm *seen) {
			one := read(t, r.ask(tools+call))
			refused(t, r.next(one.ID, `"input":[{"type":"function_call_output","call_id":"call_no","output":"x"}]`), 400, "input", "", "No tool call found for function call output with call_id call_no.")
			a := r.next(one.ID, `"input":"never mind"`)
			if !fill {
				refused(t, a, 400, "input", "", "No tool output found for function call "+one.Output[0].CallID+".")
				return
			}
			_ = read(t, a)
			messages, _ := llm.last(t)
			require.Equal(t, "tool: (no output)", said(messages)[2])
			require.Equal(t, "user: never mind", said(messages)[3])
		}
	}
	eachStore(t, test(false))
	eachStore(t, test(true), func(c *config.Config) { c.State.OpenCalls = config.Fill })
}

func TestThoughtsGoOn(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		one := read(t, r.ask(`"tools":[{"type":"function","name":"f"}],"input":"mock: calls=1 reasoning=hmm","stream":true`))
		require.Equal(t, "reasoning", one.Output[0].Type)
		call := one.Output[len(one.Output)-1]
		_ = read(t, r.next(one.ID, `"input":[{"type":"function_call_output","call_id":"`+call.CallID+`","output":"x"}]`))
		messages, _ := llm.last(t)
		require.Equal(t, "hmm", messages[1].Reasoning)
		require.Len(t, messages[1].Calls, 1)
	})
}

func TestResponseIsContinuedTwice(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		one := read(t, r.ask(`"input":"a"`))
		left, right := read(t, r.next(one.ID, `"input":"left"`)), read(t, r.next(one.ID, `"input":"right"`))
		for id, words := range map[string]string{left.ID: "left", right.ID: "right"} {
			_ = read(t, r.next(id, `"input":"b"`))
			messages, _ := llm.last(t)
			require.Equal(t, "user: "+words, said(messages)[2])
			require.Len(t, messages, 5)
		}
	})
}

func TestConversationThatIsTooLong(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"a"`))
		two := read(t, r.next(one.ID, `"input":"b"`))
		three := read(t, r.next(two.ID, `"input":"c"`))
		refused(t, r.next(three.ID, `"input":"d"`), 400, "previous_response_id", "context_too_long", "has more than 2 responses: compact it, or start anew")
	}, func(c *config.Config) { c.State.MaxDepth = 2 })
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"`+strings.Repeat("x", 2000)+`"`))
		refused(t, r.next(one.ID, `"input":"d"`), 400, "previous_response_id", "context_too_long", "has more than 1024 bytes")
	}, func(c *config.Config) { c.State.MaxContextBytes = 1024 })
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":[{"role":"user","content":"a"},{"role":"user","content":"b"}]`))
		refused(t, r.next(one.ID, `"input":"d"`), 400, "previous_response_id", "context_too_long", "has 4 items, the limit is 3")
	}, func(c *config.Config) { c.Limits.InputItems = 3 })
}

// A conversation can have a thousand turns: the one after can be made, and not continued.
func TestConversationOfAThousandTurns(t *testing.T) {
	t.Parallel()
	for name, store := range storedTypes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			kept, llm := lasting(t, store)(), newSeen(t)
			r := startWith(t, Options{Store: kept}, config.VLLM, llm.url)
			ready(t, r)
			front := r.front()
			ready(t, front)
			id := read(t, r.ask(`"input":"turn 1"`)).ID
			used, err := kept.Usage(t.Context())
			require.NoError(t, err)
			require.Len(t, used, 1)
			for owner := range used {
				for n := 2; n < 1000; n++ { // as they would be after so many requests
					turn := statetest.Turn(owner, strings.TrimPrefix(id, "resp_"))
					turn.Input = fmt.Appendf(nil, `[{"type":"message","id":"msg_%d","role":"user","content":"turn %d"}]`, n, n)
					turn.Output = []byte("[]")
					require.NoError(t, kept.Commit(t.Context(), turn))
					id = "resp_" + turn.ID
				}
			}
			for n := 1000; n <= 1001; n++ {
				id = read(t, front.next(id, fmt.Sprintf(`"input":"turn %d"`, n))).ID
			}
			messages, _ := llm.last(t)
			var turns []string
			for _, text := range said(messages) {
				if turn, is := strings.CutPrefix(text, "user: turn "); is {
					turns = append(turns, turn)
				}
			}
			require.Len(t, turns, 1001)
			for i, turn := range turns {
				require.Equal(t, strconv.Itoa(i+1), turn)
			}
			asked := llm.asked()
			for _, r := range []*running{r, front} {
				refused(t, r.next(id, `"input":"one more"`), 400, "previous_response_id", "context_too_long", "has more than 1000 responses: compact it, or start anew")
				refused(t, r.next(id, `"input":"one more","stream":true`), 400, "previous_response_id", "context_too_long", "has more than 1000 responses")
			}
			require.Equal(t, asked, llm.asked(), "the model was asked for nothing")
		})
	}
}

func TestIdsThatAreNone(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		long := strings.Repeat("a", 200)
		for _, id := range []string{"resp_" + strings.Repeat("a", 28), "resp_", "resp_A", "x", "resp_" + long, "msg_" + strings.Repeat("a", 28)} {
			for _, path := range []string{"/v1/responses/" + id, "/v1/responses/" + id + "/input_items"} {
				refused(t, r.call("GET", path, ""), 404, "", "response_not_found", "not found.")
			}
			refused(t, r.call("DELETE", "/v1/responses/"+id, ""), 404, "", "response_not_found", "not found.")
			refused(t, r.call("POST", "/v1/responses/"+id+"/cancel", ""), 404, "", "response_not_found", "not found.")
			refused(t, r.next(id, `"input":"b"`), 400, "previous_response_id", "previous_response_not_found", "not found.")
		}
		for _, id := range []string{"../x", "a b", `\u0000`, "%"} {
			refused(t, r.next(id, `"input":"b"`), 400, "previous_response_id", "previous_response_not_found", "not found.")
		}
		for path, status := range map[string]int{"/v1/responses/a%20b": 404, "/v1/responses/" + strings.Repeat("a", 10<<10): 414, "/v1/responses/a/b": 404} {
			require.Equal(t, status, r.call("GET", path, "").status)
		}
		refused(t, r.next(strings.Repeat("a", 10<<10), `"input":"b"`), 400, "previous_response_id", "previous_response_not_found", "…' not found.")
		require.Equal(t, 400, r.post(`{"previous_response_id":7,"input":"b"}`).status)
		require.Zero(t, llm.asked())
	})
}

func TestDelete(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"a"`))
		two := read(t, r.next(one.ID, `"input":"b"`))
		a := r.call("DELETE", "/v1/responses/"+one.ID, "")
		require.Equal(t, 200, a.status)
		require.Equal(t, `{"id":"`+one.ID+`","object":"response","deleted":true}`, a.body)
		for _, method := range []string{"DELETE", "GET"} {
			refused(t, r.call(method, "/v1/responses/"+one.ID, ""), 404, "", "response_not_found", one.ID)
		}
		require.Equal(t, 200, r.call("GET", "/v1/responses/"+two.ID, "").status)
		refused(t, r.next(two.ID, `"input":"c"`), 400, "previous_response_id", "previous_response_not_found", "Previous response with id '"+one.ID+"' not found.")
	})
}

func TestChainIsDeletedWhileItGoesOn(t *testing.T) {
	var r *running
	var one resource
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		if one.ID != "" {
			require.Equal(t, 200, r.call("DELETE", "/v1/responses/"+one.ID, "").status)
		}
		if strings.Contains(string(body), `"stream":true`) {
			sending(w)(chatRole + chatText("a") + chatFinish + chatUsage + chatDone)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, chatWhole)
	}))
	r = start(t, config.VLLM, llm)
	for _, stream := range []string{"", `,"stream":true`} {
		one = resource{}
		one = read(t, r.ask(`"input":"a"`))
		two := read(t, r.next(one.ID, `"input":"b"`+stream))
		require.Equal(t, "completed", two.Status)
		require.False(t, two.Store, "it says that it is not stored")
		require.Equal(t, 404, r.call("GET", "/v1/responses/"+two.ID, "").status)
	}
}

func TestItemsOfTheInputAreListed(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		var items []string
		for i := range 45 {
			items = append(items, fmt.Sprintf(`{"role":"user","content":"%d"}`, i))
		}
		res := read(t, r.ask(`"input":[`+strings.Join(items, ",")+`]`))
		type page struct {
			Data []struct {
				ID, Type, Status, Role string
				Content                []struct{ Type, Text string }
			}
			First string `json:"first_id"`
			Last  string `json:"last_id"`
			More  bool   `json:"has_more"`
		}
		list := func(query string) (p page) {
			a := r.call("GET", "/v1/responses/"+res.ID+"/input_items"+query, "")
			require.Equal(t, 200, a.status, a.body)
			require.NoError(t, json.Unmarshal([]byte(a.body), &p))
			return p
		}
		p := list("")
		require.Len(t, p.Data, 20)
		require.True(t, p.More)
		require.Equal(t, "44", p.Data[0].Content[0].Text)
		require.Equal(t, p.Data[0].ID, p.First)
		require.Equal(t, p.Data[19].ID, p.Last)
		for _, order := range []string{"asc", "desc"} {
			ids, after := map[string]bool{}, ""
			for more := true; more; {
				p := list("?order=" + order + after)
				for _, item := range p.Data {
					require.False(t, ids[item.ID])
					ids[item.ID] = true
					require.Equal(t, []string{"message", "completed", "user", "input_text"}, []string{item.Type, item.Status, item.Role, item.Content[0].Type})
				}
				more, after = p.More, "&after="+p.Last
			}
			require.Len(t, ids, 45)
		}
		require.Len(t, list("?limit=100&include[]=message.input_image.image_url").Data, 45)
		for query, param := range map[string]string{"?limit=0": "limit", "?limit=101": "limit", "?limit=x": "limit", "?order=x": "order", "?after=msg_x": "after", "?include=x": "include", "?include[0]=x": "include"} {
			refused(t, r.call("GET", "/v1/responses/"+res.ID+"/input_items"+query, ""), 400, param, "invalid_value", "")
		}
		require.Equal(t, 200, r.call("GET", "/v1/responses/"+res.ID+"?include=message.output_text.logprobs&include[]=reasoning.encrypted_content", "").status)
	})
}

func TestIdsOfItems(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		res := read(t, r.ask(`"input":"a"`))
		a := r.call("GET", "/v1/responses/"+res.ID+"/input_items", "")
		id := "msg_" + strings.TrimPrefix(res.ID, "resp_") + "i00"
		require.Equal(t, `{"object":"list","data":[{"id":"`+id+`","type":"message","role":"user","content":[{"type":"input_text","text":"a"}],"status":"completed"}],"first_id":"`+id+`","last_id":"`+id+`","has_more":false}`, a.body)
		res = read(t, r.ask(`"input":[{"id":"mine","role":"user","content":"a"},{"id":"mine","role":"user","content":"b"}]`))
		a = r.call("GET", "/v1/responses/"+res.ID+"/input_items?order=asc", "")
		require.Contains(t, a.body, `"first_id":"mine","last_id":"msg_`+strings.TrimPrefix(res.ID, "resp_")+`i01"`)
	})
}

func TestReferencesToItems(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		one := read(t, r.ask(`"input":"a"`))
		input := "msg_" + strings.TrimPrefix(one.ID, "resp_") + "i00"
		two := read(t, r.ask(`"input":[{"type":"item_reference","id":"`+input+`"},{"id":"`+one.Output[0].ID+`"},{"role":"user","content":"b"}]`))
		messages, _ := llm.last(t)
		require.Equal(t, "user: a", said(messages)[0])
		require.Equal(t, "assistant", messages[1].Role)
		require.Equal(t, "user: b", said(messages)[2])
		_ = read(t, r.next(two.ID, `"input":"c"`)) // what was referred to is a part of the conversation
		messages, _ = llm.last(t)
		require.Len(t, messages, 5)

		mine := read(t, r.ask(`"input":[{"id":"mine","role":"user","content":"a"}]`))
		refused(t, r.next(mine.ID, `"input":[{"type":"item_reference","id":"mine"}]`), 400, "input[0]", "duplicate_item", "Duplicate item found with id mine.")
		for _, id := range []string{"mine", "msg_" + strings.Repeat("a", 28) + "00", strings.Replace(input, "i00", "i01", 1), "x"} {
			refused(t, r.ask(`"input":[{"type":"item_reference","id":"`+id+`"}]`), 404, "input[0].id", "item_not_found", "Item with id '"+id+"' not found.")
		}
	})
}

// A short request that refers to a long item again and again becomes no long one.
func TestReferencesAreBounded(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		read(t, r.ask(`"input":[{"id":"mine","role":"user","content":"`+strings.Repeat("a", 100<<10)+`"}]`))
		one := read(t, r.ask(`"input":[{"role":"user","content":"`+strings.Repeat("a", 100<<10)+`"}]`))
		item := `{"type":"item_reference","id":"msg_` + strings.TrimPrefix(one.ID, "resp_") + `i00"}`
		asked := llm.asked()
		for _, store := range []string{"true", "false"} {
			refused(t, r.ask(`"store":`+store+`,"input":[`+item+strings.Repeat(","+item, 10)+`]`), 400, "input", "context_too_long", "the items that it refers to")
		}
		require.Equal(t, asked, llm.asked())
	}, func(c *config.Config) { c.State.MaxContextBytes = 1 << 20 })
}

// What is read of the turns before takes its memory by what is in them, however
// little of it the model is told.
func TestValuesOfTheHistoryAreHeldMemory(t *testing.T) {
	llm := newSeen(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.State.Type, c.Limits.InFlightBytes = config.MemoryState, 32<<20 })
	ready(t, r)
	turn := `"input":[{"role":"user","content":"hi","x":[0` + strings.Repeat(",0", 30_000) + `]}]`
	one := read(t, r.ask(turn))
	for range 2 {
		one = read(t, r.next(one.ID, turn))
	}
	refused(t, r.next(one.ID, turn), 413, "", "request_too_large", "limits.in_flight_bytes")
}

func TestHistoryThatIsSentAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"a"`))
		output := resourceOf(t, r.call("GET", "/v1/responses/"+one.ID, ""))
		_, output, _ = strings.Cut(output, `"output":[`)
		output, _, _ = strings.Cut(output, `],"model"`)
		refused(t, r.next(one.ID, `"input":[{"role":"user","content":"a"},`+output+`,{"role":"user","content":"b"}]`), 400, "input[1]", "duplicate_item", "Duplicate item found with id "+one.Output[0].ID)
	})
}

func TestNothingToCancelOrToReplay(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		one := read(t, r.ask(`"input":"a"`))
		refused(t, r.call("POST", "/v1/responses/"+one.ID+"/cancel", ""), 400, "", "not_cancellable", "Cannot cancel a synchronous response.")
		refused(t, r.call("GET", "/v1/responses/"+one.ID+"?stream=true&starting_after=1", ""), 400, "", "stream_unavailable", "background")
	})
}

func TestPathsOfTheAPI(t *testing.T) {
	r := start(t, config.VLLM, newSeen(t).url)
	for path, allow := range map[string]string{
		"/v1/responses": "POST", "/v1/responses/resp_a": "GET, DELETE", "/v1/responses/resp_a/cancel": "POST", "/v1/responses/resp_a/input_items": "GET",
		"/v1/responses/input_tokens": "POST", "/v1/responses/compact": "POST", "/v1/conversations": "POST", "/v1/conversations/conv_a": "GET, POST, DELETE",
		"/v1/conversations/conv_a/items": "GET, POST", "/v1/conversations/conv_a/items/msg_a": "GET, DELETE",
	} {
		a := r.call("PUT", path, "")
		refused(t, a, 405, "", "method_not_allowed", "use "+allow)
		require.Equal(t, allow, a.header.Get("Allow"))
	}
	require.Equal(t, 404, r.call("GET", "/v1/conversations/conv_a/things", "").status)
	require.Equal(t, 404, r.call("GET", "/v1/conversationsx", "").status)
}
