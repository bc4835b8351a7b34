package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// conversation makes one.
func (r *running) conversation(body string) (id string) {
	r.t.Helper()
	a := r.call("POST", "/v1/conversations", body)
	require.Equal(r.t, 200, a.status, a.body)
	var c struct{ ID string }
	require.NoError(r.t, json.Unmarshal([]byte(a.body), &c))
	require.Regexp(r.t, "^conv_[0-9a-z]{24,48}$", c.ID)
	return c.ID
}

// on asks for a response on a conversation.
func (r *running) on(conversation, members string) answer {
	r.t.Helper()
	return r.post(`{"model":"/mnt/models","conversation":"` + conversation + `",` + members + `}`)
}

// listed is a list of items.
type listed struct {
	Object string
	Data   []struct {
		ID, Type, Status, Role string
		Content                []struct{ Type, Text string }
	}
	First *string `json:"first_id"`
	Last  *string `json:"last_id"`
	More  bool    `json:"has_more"`
}

func listOf(t *testing.T, a answer) (l listed) {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	require.NoError(t, json.Unmarshal([]byte(a.body), &l))
	require.Equal(t, "list", l.Object)
	return l
}

// items are the texts of a conversation's messages, the oldest first.
func (r *running) items(id string) (texts []string) {
	r.t.Helper()
	after := ""
	for more := true; more; {
		l := listOf(r.t, r.call("GET", "/v1/conversations/"+id+"/items?order=asc&limit=100"+after, ""))
		for _, item := range l.Data {
			require.NotEmpty(r.t, item.ID)
			text := item.Type
			if item.Type == "message" {
				text = item.Role + ": " + item.Content[0].Text
			}
			texts = append(texts, text)
		}
		if more = l.More; more {
			after = "&after=" + *l.Last
		}
	}
	return texts
}

// Check 44.
func TestConversationsAreMadeReadChangedAndDeleted(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		a := r.call("POST", "/v1/conversations", `{"metadata":{"topic":"demo"},"items":[{"type":"message","role":"user","content":"hi"}]}`)
		require.Equal(t, 200, a.status, a.body)
		var c struct {
			ID        string
			CreatedAt int64 `json:"created_at"`
		}
		require.NoError(t, json.Unmarshal([]byte(a.body), &c))
		body := func(metadata string) string {
			return fmt.Sprintf(`{"id":%q,"object":"conversation","created_at":%d,"metadata":%s}`, c.ID, c.CreatedAt, metadata)
		}
		require.Equal(t, body(`{"topic":"demo"}`), a.body)
		path := "/v1/conversations/" + c.ID
		require.Equal(t, body(`{"topic":"demo"}`), r.call("GET", path, "").body)
		require.Equal(t, body(`{"a":"b"}`), r.call("POST", path, `{"metadata":{"a":"b"}}`).body)
		require.Equal(t, body(`{"a":"b"}`), r.call("GET", path, "").body)
		require.Equal(t, body(`{}`), r.call("POST", path, `{"metadata":null}`).body)

		first := "msg_" + strings.TrimPrefix(c.ID, "conv_") + "i00"
		shown := `{"id":"` + first + `","type":"message","role":"user","content":[{"type":"input_text","text":"hi"}],"status":"completed"}`
		require.Equal(t, `{"object":"list","data":[`+shown+`],"first_id":"`+first+`","last_id":"`+first+`","has_more":false}`, r.call("GET", path+"/items", "").body)
		require.Equal(t, shown, r.call("GET", path+"/items/"+first, "").body)
		added := listOf(t, r.call("POST", path+"/items", `{"items":[{"id":"mine","role":"user","content":"a"},{"role":"assistant","content":"b"}]}`))
		require.Equal(t, "mine", *added.First)
		require.Len(t, added.Data, 2)
		require.Regexp(t, "^msg_"+strings.TrimPrefix(c.ID, "conv_")+`i\d+$`, *added.Last)
		require.Equal(t, "output_text", added.Data[1].Content[0].Type)
		require.Equal(t, []string{"user: hi", "user: a", "assistant: b"}, r.items(c.ID))
		require.Equal(t, body(`{}`), r.call("DELETE", path+"/items/mine", "").body, "the conversation")
		refused(t, r.call("DELETE", path+"/items/mine", ""), 404, "", "item_not_found", "Item with id 'mine' not found in conversation '"+c.ID+"'.")
		refused(t, r.call("GET", path+"/items/mine", ""), 404, "", "item_not_found", "")
		require.Equal(t, []string{"user: hi", "assistant: b"}, r.items(c.ID))

		require.Equal(t, `{"id":"`+c.ID+`","object":"conversation.deleted","deleted":true}`, r.call("DELETE", path, "").body)
		for _, q := range [][2]string{{"GET", path}, {"DELETE", path}, {"POST", path}, {"GET", path + "/items"}, {"POST", path + "/items"}, {"GET", path + "/items/" + first}, {"DELETE", path + "/items/" + first}} {
			refused(t, r.call(q[0], q[1], ""), 404, "", "conversation_not_found", "Conversation with id '"+c.ID+"' not found.")
		}
		require.NotEqual(t, r.conversation(""), r.conversation(`{"items":null}`), "neither needs to say anything")
	})
}

// Check 44, too.
func TestItemsOfConversationsAreListedInPages(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		id := r.conversation("{}")
		empty := listOf(t, r.call("GET", "/v1/conversations/"+id+"/items", ""))
		require.Empty(t, empty.Data)
		require.Nil(t, empty.Last)
		for from := 0; from < 45; from += 15 {
			var items []string
			for i := range 15 {
				items = append(items, fmt.Sprintf(`{"role":"user","content":"%d"}`, from+i))
			}
			_ = listOf(t, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[`+strings.Join(items, ",")+`]}`))
		}
		list := func(query string) listed { return listOf(t, r.call("GET", "/v1/conversations/"+id+"/items"+query, "")) }
		first := list("")
		require.Len(t, first.Data, 20)
		require.True(t, first.More)
		require.Equal(t, "44", first.Data[0].Content[0].Text)
		for _, order := range []string{"asc", "desc"} {
			ids, after := map[string]bool{}, ""
			for more := true; more; {
				p := list("?order=" + order + "&limit=7" + after)
				for _, item := range p.Data {
					require.False(t, ids[item.ID])
					ids[item.ID] = true
				}
				more, after = p.More, "&after="+*p.Last
			}
			require.Len(t, ids, 45)
		}
		require.Len(t, list("?limit=100&include[]=message.input_image.image_url").Data, 45)
		for query, param := range map[string]string{"?limit=0": "limit", "?limit=101": "limit", "?order=x": "order", "?after=msg_x": "after", "?include[]=x": "include"} {
			refused(t, r.call("GET", "/v1/conversations/"+id+"/items"+query, ""), 400, param, "invalid_value", "")
		}
	})
}

// What a request for a response could not have, a conversation cannot either.
func TestConversationsThatAreNone(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		id := r.conversation(`{"items":[{"id":"one","role":"user","content":"a"}]}`)
		many := `{"items":[{"role":"user","content":"a"}` + strings.Repeat(`,{"role":"user","content":"a"}`, 20) + `]}`
		for body, want := range map[string][2]string{
			many:            {"items", "array_above_max_length"},
			`{"items":"a"}`: {"items", "invalid_type"},
			`{"items":[7]}`: {"items[0]", "invalid_type"},
			`{"items":[{"role":"user","content":"a"},{"type":"web_search_call"}]}`: {"items[1].type", "unsupported_item"},
			`{"items":[{"role":"user","content":[{"type":"none"}]}]}`:              {"items[0].content[0].type", "invalid_value"},
			`{"items":[{"type":"item_reference","id":"one"}]}`:                     {"items[0]", "previous_response_not_found"},
			`{"items":[],"more":1}`:   {"more", "unknown_parameter"},
			`{"items":[],"items":[]}`: {"items", "duplicate_parameter"},
			`[]`:                      {"", "invalid_json"},
			`{"items":`:               {"", "invalid_json"},
		} {
			for _, path := range []string{"/v1/conversations", "/v1/conversations/" + id + "/items"} {
				a := r.call("POST", path, body)
				require.Equal(t, 400, a.status, body)
				_, param, code := a.errorCode(t)
				require.Equal(t, want, [2]string{param, code}, a.body)
			}
		}
		for body, param := range map[string]string{`{"metadata":7}`: "metadata", `{"metadata":{"a":7}}`: "metadata.a", `{"metadata":{"a":"` + strings.Repeat("x", 513) + `"}}`: "metadata.a", `{"metadata":{"` + strings.Repeat("x", 65) + `":"a"}}`: "metadata"} {
			for _, path := range []string{"/v1/conversations", "/v1/conversations/" + id} {
				a := r.call("POST", path, body)
				require.Equal(t, 400, a.status, a.body)
				_, got, _ := a.errorCode(t)
				require.Equal(t, param, got)
			}
		}
		refused(t, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"a"},{"id":"one","role":"user","content":"a"}]}`), 400, "items[1]", "duplicate_item", "Duplicate item found with id one.")
		require.Equal(t, []string{"user: a"}, r.items(id))
		for _, none := range []string{"conv_", "conv_none", "resp_" + strings.Repeat("a", 28), "x", "conv_" + strings.Repeat("a", 100)} {
			a := r.call("GET", "/v1/conversations/"+none, "")
			refused(t, a, 404, "", "conversation_not_found", "not found.")
			refused(t, r.on(none, `"input":"a"`), 404, "conversation", "conversation_not_found", "not found.")
		}
		refused(t, r.ask(`"input":"a","conversation":7`), 400, "conversation", "invalid_type", "")
		refused(t, r.ask(`"input":"a","conversation":{"name":"x"}`), 400, "conversation.id", "missing_required_parameter", "")
		refused(t, r.ask(`"input":"a","conversation":{"id":"`+id+`","x":1}`), 400, "conversation.x", "unknown_parameter", "")
		require.True(t, read(t, r.ask(`"input":"a","conversation":null`)).Store)
		refused(t, r.on(id, `"input":"a","previous_response_id":"resp_x"`), 400, "conversation", "mutually_exclusive_parameters", "")
		_ = read(t, r.on(id, `"input":"b"`)) // nothing of all that has locked it
	})
}

// Check 45.
func TestResponsesOfAConversationFollowEachOther(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation(`{"items":[{"role":"user","content":"before"}]}`)
		one := read(t, r.on(id, `"input":"a"`))
		streamed := r.post(`{"model":"/mnt/models","conversation":{"id":"` + id + `"},"input":[{"role":"user","content":"b"}],"stream":true}`)
		two := read(t, streamed)
		require.Equal(t, strings.Count(streamed.body, `"response":{`), strings.Count(streamed.body, `"conversation":{"id":"`+id+`"}`), "every event that has the response names it")
		_ = read(t, r.on(id, `"input":"c","store":false`))
		messages, _ := llm.last(t)
		require.Len(t, messages, 6)
		for i, want := range []string{"user: before", "user: a", "", "user: b", "", "user: c"} {
			if want == "" {
				require.Equal(t, "assistant", messages[i].Role)
				continue
			}
			require.Equal(t, want, said(messages)[i])
		}
		for _, res := range []resource{one, two} {
			require.True(t, res.Store)
			a := r.call("GET", "/v1/responses/"+res.ID, "")
			require.Contains(t, a.body, `"conversation":{"id":"`+id+`"}`)
			refused(t, r.next(res.ID, `"input":"x"`), 400, "previous_response_id", "previous_response_unusable", "continued by it alone: send conversation.")
		}
		require.Equal(t, resourceOf(t, streamed), r.call("GET", "/v1/responses/"+two.ID, "").body)
		items := r.items(id)
		require.Len(t, items, 7, "store false keeps the items")
		require.Equal(t, "user: c", items[5])
		require.Contains(t, items[6], "assistant: I received 6 messages")
		third := listOf(t, r.call("GET", "/v1/conversations/"+id+"/items?limit=1", "")).Data[0].ID
		refused(t, r.call("GET", "/v1/responses/resp_"+strings.TrimSuffix(strings.TrimPrefix(third, "msg_"), "00"), ""), 404, "", "response_not_found", "")

		// A response is what it was, whatever becomes of the items.
		require.Equal(t, 200, r.call("DELETE", "/v1/conversations/"+id+"/items/"+one.Output[0].ID, "").status)
		require.Contains(t, r.call("GET", "/v1/responses/"+one.ID, "").body, one.Output[0].ID)
		require.Equal(t, 200, r.call("DELETE", "/v1/responses/"+one.ID, "").status)
		require.Len(t, r.items(id), 6)
		require.Equal(t, 200, r.call("DELETE", "/v1/conversations/"+id, "").status)
		refused(t, r.call("GET", "/v1/responses/"+two.ID, ""), 404, "", "response_not_found", "")
	})
}

// Check 45, too: what has failed, or broke off, adds nothing, and another one can come
// at once.
func TestFailedTurnAddsNothingToItsConversation(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		id := r.conversation("{}")
		res := read(t, r.on(id, `"input":"mock: cut-after=4","stream":true`))
		require.Equal(t, "failed", res.Status)
		require.Equal(t, 200, r.call("GET", "/v1/responses/"+res.ID, "").status)
		for _, input := range []string{`"mock: status=400"`, `[{"type":"item_reference","id":"none"}]`, `[{"type":"function_call_output","call_id":"no","output":"x"}]`, `7`} {
			for _, stream := range []string{"", `,"stream":true`} {
				a := r.on(id, `"input":`+input+stream)
				require.GreaterOrEqual(t, a.status, 400, input)
			}
		}
		require.Empty(t, r.items(id))
		length := read(t, r.on(id, `"input":"hi","max_output_tokens":16`))
		require.Equal(t, "incomplete", length.Status)
		require.Len(t, r.items(id), 2, "what broke off by length has added its text")
	}, func(c *config.Config) { c.State.ConversationWait = time.Millisecond })
}

// Who leaves has added nothing, and frees the conversation.
func TestLeavingFreesTheConversation(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation("{}")
		for i, members := range []string{`"input":"mock: first-delay=60s"`, `"input":"mock: tokens=1000 delay=100ms","stream":true`} {
			ctx, leave := context.WithCancel(t.Context())
			q, err := http.NewRequestWithContext(ctx, "POST", r.url+"/v1/responses", strings.NewReader(`{"model":"/mnt/models","conversation":"`+id+`",`+members+`}`))
			require.NoError(t, err)
			q.Header.Set("Content-Type", "application/json")
			over := make(chan struct{})
			go func() {
				defer close(over)
				if ans, err := http.DefaultClient.Do(q); err == nil {
					buf := make([]byte, 1<<10)
					for err == nil {
						_, err = ans.Body.Read(buf)
					}
					_ = ans.Body.Close()
				}
			}()
			require.Eventually(t, func() bool { return llm.asked() == i+1 }, guard, time.Millisecond)
			refused(t, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"a"}]}`), 400, "conversation", "conversation_locked",
				"Another process is currently operating on this conversation. Please retry in a few seconds.")
			refused(t, r.on(id, `"input":"x"`), 400, "conversation", "conversation_locked", "Please retry in a few seconds.")
			leave()
			<-over
			require.Eventually(t, func() bool {
				return r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"a"}]}`).status == 200
			}, guard, 10*time.Millisecond)
			require.Len(t, r.items(id), i+1)
		}
	}, func(c *config.Config) {
		c.State.ConversationWait, c.State.ConversationLease = 20*time.Millisecond, time.Hour
	})
}

// Check 46.
func TestTurnsOfAConversationNeverInterleave(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		id := r.conversation("{}")
		var turns sync.WaitGroup
		answers := make([]answer, 20)
		for i := range answers {
			turns.Go(func() {
				answers[i] = r.on(id, fmt.Sprintf(`"input":[{"role":"user","content":"q%d"},{"role":"user","content":"r%d"}],"stream":%t`, i, i, i%2 == 0))
			})
		}
		turns.Wait()
		served := 0
		for _, a := range answers {
			if a.status == 200 {
				served++
				continue
			}
			refused(t, a, 400, "conversation", "conversation_locked", "Please retry in a few seconds.")
		}
		require.Positive(t, served)
		items := r.items(id)
		require.Len(t, items, 3*served)
		for i := 0; i < len(items); i += 3 {
			require.Equal(t, strings.Replace(items[i], "q", "r", 1), items[i+1])
			require.Contains(t, items[i+2], fmt.Sprintf("assistant: I received %d messages", i+2), "it was told of all before, and of nothing else")
		}
	})
}

// conversing is a server whose store a test has in its hands too, and a conversation.
func conversing(t *testing.T, llm string, edit ...func(*config.Config)) (r *running, f *faulty, id string) {
	r, f = faultyStore(t, llm, append(edit, func(c *config.Config) { c.State.CommitTimeout = 200 * time.Millisecond })...)
	ready(t, r)
	return r, f, r.conversation("{}")
}

// nobody is the owner of all where nobody is asked who calls.
func nobody() state.Owner { return state.Owner(policy.Owner(config.Default(), nil)) }

// Check 46, too: who was killed holds its conversation as long as its lease.
func TestLockOfAKilledProcessLapses(t *testing.T) {
	llm := newSeen(t)
	r, f, id := conversing(t, llm.url)
	hold := func(lease time.Duration) {
		require.NoError(t, f.Store.Lock(t.Context(), nobody(), strings.TrimPrefix(id, "conv_"), "killed", lease))
	}
	begun := time.Now() // before it is held, as a busy machine may do nothing for a while after it
	hold(300 * time.Millisecond)
	_ = read(t, r.on(id, `"input":"a"`))
	require.GreaterOrEqual(t, time.Since(begun), 290*time.Millisecond)
	require.Len(t, r.items(id), 2)
	short, f, id := conversing(t, llm.url, func(c *config.Config) { c.State.ConversationWait = 50 * time.Millisecond })
	require.NoError(t, f.Store.Lock(t.Context(), nobody(), strings.TrimPrefix(id, "conv_"), "killed", time.Hour))
	refused(t, short.on(id, `"input":"a"`), 400, "conversation", "conversation_locked", "")
}

// What cannot be added is not told as an answer, and what is said of it tells nothing of
// the store.
func TestAnswerThatCannotBeAddedToItsConversation(t *testing.T) {
	t.Parallel()
	type meanwhile func(f *faulty, id string) error
	for name, c := range map[string]struct {
		does meanwhile
		code string
		edit func(*config.Config)
	}{
		"the store is away": {func(f *faulty, _ string) error { f.down.Store(true); return nil }, "state_unavailable", nil},
		"it is deleted": {func(f *faulty, id string) error {
			return f.Store.DeleteConversation(context.Background(), nobody(), id)
		},
			"conversation_not_found", nil},
		"somebody else has it": {func(f *faulty, id string) error {
			for { // until the lease is over, as if this process had slept
				if err := f.Store.Lock(context.Background(), nobody(), id, "other", time.Hour); !errors.Is(err, state.ErrLocked) {
					return err
				}
			}
		}, "conversation_locked", func(c *config.Config) { c.State.ConversationLease = 100 * time.Millisecond }},
		"the answer is given none the less": {func(f *faulty, _ string) error { f.down.Store(true); return nil }, "",
			func(c *config.Config) { c.State.OnFailure = config.AnswerOnFailure }},
	} {
		for _, stream := range []bool{true, false} {
			t.Run(fmt.Sprint(name, stream), func(t *testing.T) {
				var f *faulty
				var id string
				llm := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
					f.deaf.Store(true)
					assert.NoError(t, c.does(f, strings.TrimPrefix(id, "conv_")))
					if stream {
						sending(w)(chatRole + chatText("a") + chatFinish + chatUsage + chatDone)
						return
					}
					w.Header().Set("Content-Type", "application/json")
					_, _ = io.WriteString(w, chatWhole)
				}))
				edit := c.edit
				if edit == nil {
					edit = func(*config.Config) {}
				}
				var r *running
				r, f, id = conversing(t, llm, edit)
				a := r.on(id, fmt.Sprintf(`"input":"a","stream":%t`, stream))
				f.down.Store(false)
				require.NotContains(t, a.body, "HUSH")
				switch {
				case c.code == "":
					require.False(t, read(t, a).Store)
				case stream:
					res := read(t, a)
					require.Equal(t, "failed", res.Status)
					require.Equal(t, c.code, res.Error.Code)
				default:
					require.GreaterOrEqual(t, a.status, 400)
					_, _, code := a.errorCode(t)
					require.Equal(t, c.code, code)
				}
				if c.code != "conversation_not_found" {
					require.Eventually(t, func() bool { return r.call("GET", "/v1/conversations/"+id, "").status == 200 }, guard, 10*time.Millisecond)
					require.Empty(t, r.items(id))
				}
			})
		}
	}
}

// Images stay in a conversation: who lists it sends them back to the model.
func TestImagesOfAConversation(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		const image = `data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==`
		id := r.conversation(`{"items":[{"role":"user","content":[{"type":"input_text","text":"see"},{"type":"input_image","image_url":"` + image + `"}]}]}`)
		_ = read(t, r.on(id, `"input":"what is it?"`))
		llm.mu.Lock()
		require.Contains(t, llm.chat[len(llm.chat)-1], image)
		llm.mu.Unlock()
		require.Contains(t, r.call("GET", "/v1/conversations/"+id+"/items", "").body, image)
	})
}

// A lock is renewed while an answer takes longer than its lease.
func TestLongAnswerKeepsItsConversation(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation("{}")
		done := make(chan answer)
		go func() { done <- r.on(id, `"input":"mock: first-delay=4500ms"`) }()
		require.Eventually(t, func() bool { return llm.asked() == 1 }, guard, time.Millisecond)
		for i := 0; ; i++ {
			if a := r.on(id, `"input":"x"`); a.status == 200 {
				require.Equal(t, 200, (<-done).status)
				require.Len(t, r.items(id), 4)
				require.Contains(t, r.items(id)[3], "I received 3 messages", "after the long one")
				require.Greater(t, i, 10)
				return
			}
			time.Sleep(25 * time.Millisecond)
		}
	}, func(c *config.Config) {
		c.State.ConversationWait, c.State.ConversationLease = time.Millisecond, 2*time.Second
	})
}

func TestReferencesToItemsOfConversations(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation(`{"items":[{"role":"user","content":"first"}]}`)
		added := listOf(t, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"second"}]}`))
		turn := read(t, r.on(id, `"input":"third"`))
		items := listOf(t, r.call("GET", "/v1/conversations/"+id+"/items?order=asc", "")).Data
		require.Len(t, items, 4)
		for i, want := range []string{"user: first", "user: second", "user: third", "assistant: I received"} {
			_ = read(t, r.ask(`"input":[{"type":"item_reference","id":"`+items[i].ID+`"}]`))
			messages, _ := llm.last(t)
			require.Contains(t, said(messages)[0], want)
		}
		require.Equal(t, turn.Output[0].ID, items[3].ID)
		refused(t, r.on(id, `"input":[{"type":"item_reference","id":"`+*added.First+`"}]`), 400, "input[0]", "duplicate_item", "the conversation of conversation has it already")
		none := "msg_" + strings.TrimPrefix(id, "conv_") + "i77"
		refused(t, r.ask(`"input":[{"type":"item_reference","id":"`+none+`"}]`), 404, "input[0].id", "item_not_found", "Item with id '"+none+"' not found.")
	})
}

func TestConversationsAreBounded(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation("{}")
		text := strings.Repeat("x", 600)
		for range 2 {
			require.Equal(t, 200, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"`+text+`"}]}`).status)
		}
		refused(t, r.on(id, `"input":"a"`), 400, "conversation", "context_too_long", "has more than 1024 bytes")
		page := listOf(t, r.call("GET", "/v1/conversations/"+id+"/items", ""))
		require.Len(t, page.Data, 1, "a page has no more bytes either")
		require.True(t, page.More)
		refused(t, r.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"`+text+text+text+text+`"}]}`), 413, "", "request_too_large", "over the 2048 bytes")
		refused(t, r.on(r.conversation(""), `"input":"`+text+text+text+text+`","store":false`), 413, "", "request_too_large", "over the 2048 bytes")
		require.Zero(t, llm.asked())
	}, func(c *config.Config) { c.State.MaxContextBytes, c.State.MaxInputBytes = 1024, 2048 })
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		id := r.conversation(`{"items":[{"role":"user","content":"a"},{"role":"user","content":"a"}]}`)
		refused(t, r.on(id, `"input":[{"role":"user","content":"a"},{"role":"user","content":"a"}]`), 400, "conversation", "context_too_long", "has 4 items, the limit is 3")
	}, func(c *config.Config) { c.Limits.InputItems = 3 })
}

// Checks 20 and 21 for conversations, at the server itself and through a gateway in
// front of it.
func TestOwnersOfConversations(t *testing.T) {
	people := [][3]string{{"alice", "a", "alice-key"}, {"anton", "a", "anton-key"}, {"bob", "b", "bob-key"}}
	for name, store := range storedTypes(t) {
		for scope, shared := range map[string]bool{config.TenantScope: true, config.SubjectScope: false} {
			t.Run(name+" "+scope, func(t *testing.T) {
				llm := newSeen(t)
				scoped := func(c *config.Config) { c.State.Scope = scope }
				back := start(t, config.VLLM, llm.url, store, scoped, keysOf(t, append(people, [3]string{"front", "*", "front-key"})...))
				front := back.front(keysOf(t, people...), func(c *config.Config) { c.Engine.APIKey = config.NewSecret("front-key") })
				ready(t, front)
				for _, r := range []*running{back, front} {
					made := r.as("alice-key", "POST", "/v1/conversations", `{"items":[{"role":"user","content":"a"},{"id":"one","role":"user","content":"b"}]}`)
					require.Equal(t, 200, made.status, made.body)
					var c struct{ ID string }
					require.NoError(t, json.Unmarshal([]byte(made.body), &c))
					path := "/v1/conversations/" + c.ID
					item := "msg_" + strings.TrimPrefix(c.ID, "conv_") + "i00"
					require.Equal(t, 200, r.as("alice-key", "GET", path+"/items/"+item, "").status)
					ask := func(key, id, item string, fields ...string) (all []string) {
						path := "/v1/conversations/" + id
						for _, q := range [][3]string{
							{"GET", path, ""}, {"POST", path, `{"metadata":{}}`}, {"GET", path + "/items", ""}, {"GET", path + "/items?after=one", ""},
							{"POST", path + "/items", `{"items":[{"role":"user","content":"x"}]}`}, {"POST", path + "/items", `{"items":7}`},
							{"GET", path + "/items/one", ""}, {"DELETE", path + "/items/one", ""},
							{"POST", "/v1/responses", `{"model":"/mnt/models","input":"x","conversation":"` + id + `"}`},
							{"POST", "/v1/responses", `{"model":"/mnt/models","input":"x","stream":true,"conversation":{"id":"` + id + `"}}`},
							{"POST", "/v1/responses", `{"model":"/mnt/models","input":[{"type":"item_reference","id":"` + item + `"}]}`},
							{"DELETE", path, ""},
						} {
							a := r.as(key, q[0], q[1], q[2], fields...)
							all = append(all, fmt.Sprint(a.status, " ", strings.ReplaceAll(strings.ReplaceAll(a.body, id, "ID"), item, "ITEM")))
						}
						return all
					}
					nobodys := strings.Repeat("0", 28)
					unknown := ask("bob-key", "conv_"+nobodys, "msg_"+nobodys+"i00")
					strangers := []string{"bob-key"}
					if !shared {
						strangers = append(strangers, "anton-key")
					}
					for _, key := range strangers {
						require.Equal(t, unknown, ask(key, c.ID, item))
						require.Equal(t, unknown, ask(key, c.ID, item, "X-Antwort-Tenant", "a", "X-Antwort-Subject", "alice"), "they say who they are not")
					}
					if shared {
						require.Equal(t, 200, r.as("anton-key", "GET", path, "").status)
						_ = read(t, r.as("anton-key", "POST", "/v1/responses", `{"model":"/mnt/models","input":"x","conversation":"`+c.ID+`"}`))
					}
					require.Equal(t, 200, r.as("alice-key", "GET", path+"/items/one", "").status)
					require.Equal(t, 200, back.as("alice-key", "GET", path, "").status, "she is the same at either")
					require.Equal(t, 200, r.as("alice-key", "DELETE", path, "").status)
				}
			})
		}
	}
}

func TestConversationsWithoutAStore(t *testing.T) {
	llm := newSeen(t)
	r := start(t, config.VLLM, llm.url, func(c *config.Config) { c.State.Type = config.NoState })
	ready(t, r)
	for _, q := range [][2]string{{"POST", "/v1/conversations"}, {"GET", "/v1/conversations/conv_a"}, {"GET", "/v1/conversations/conv_a/items"}} {
		refused(t, r.call(q[0], q[1], ""), 404, "", "unsupported_endpoint", "this server keeps no conversations")
	}
	refused(t, r.ask(`"input":"a","conversation":"conv_a"`), 400, "conversation", "previous_response_not_found", "no conversation is kept here")
}

// Check 46 with two servers.
func TestTurnsOfAConversationNeverInterleaveAtTwoServers(t *testing.T) {
	t.Parallel()
	store := storedTypes(t)["postgres"]
	if store == nil {
		t.Skip("only a Postgres has several servers")
	}
	llm := newSeen(t)
	var servers [2]*running
	for i := range servers {
		servers[i] = start(t, config.VLLM, llm.url, store)
		ready(t, servers[i])
	}
	id := servers[0].conversation("{}")
	var turns sync.WaitGroup
	answers := make([]answer, 20)
	for i := range answers {
		turns.Go(func() { answers[i] = servers[i%2].on(id, fmt.Sprintf(`"input":"q%d"`, i)) })
	}
	turns.Wait()
	served := 0
	for _, a := range answers {
		if a.status == 200 {
			served++
			continue
		}
		refused(t, a, 400, "conversation", "conversation_locked", "Please retry in a few seconds.")
	}
	items := servers[1].items(id)
	require.Len(t, items, 2*served)
	for i := 1; i < len(items); i += 2 {
		require.Contains(t, items[i], fmt.Sprintf("assistant: I received %d messages", i))
	}
	t.Logf("%d of 20 were served", served)
}

// Check 57, of conversations: what they hold is in no line of the log, no metric, and no
// error that is not about it.
func TestNothingOfConversationsIsInLogsAndMetrics(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, _ *seen) {
		const secret = "HuShHuSh"
		id := r.conversation(`{"metadata":{"` + secret + `":"` + secret + `"},"items":[{"id":"msg_` + secret + `","role":"user","content":"` + secret + `"}]}`)
		path := "/v1/conversations/" + id
		for what, a := range map[string]answer{
			"metadata":           r.call("POST", path, `{"metadata":{"a":"`+secret+`"}}`),
			"items":              r.call("POST", path+"/items", `{"items":[{"role":"user","content":"`+secret+`"}]}`),
			"list":               r.call("GET", path+"/items", ""),
			"answered":           r.on(id, `"instructions":"`+secret+`","input":"`+secret+`"`),
			"streamed":           r.on(id, `"input":"`+secret+`","stream":true`),
			"twice":              r.call("POST", path+"/items", `{"items":[{"id":"msg_`+secret+`","role":"user","content":"`+secret+`"}]}`),
			"an item of no kind": r.call("POST", path+"/items", `{"items":[{"type":"`+secret+`"}]}`),
			"no JSON":            r.call("POST", path+"/items", `{"items":[`+secret),
			"no field":           r.call("POST", path, `{"`+secret+`":1}`),
			"a failed turn":      r.on(id, `"input":"mock: status=500\n`+secret+`"`),
			"a cut turn":         r.on(id, `"input":"mock: cut-after=3\n`+secret+`","stream":true`),
			"an open call":       r.on(id, `"input":[{"type":"function_call_output","call_id":"`+secret+`","output":"`+secret+`"}]`),
			"somebody's query":   r.call("GET", path+"/items?after="+secret, ""),
		} {
			require.NotEqual(t, 404, a.status, "%s: %s", what, a.body)
			require.NotZero(t, a.status, what)
		}
		r.call("DELETE", path+"/items/msg_"+secret, "")
		metrics := r.call("GET", "/metrics", "").body
		require.NotContains(t, metrics, secret)
		require.NotContains(t, metrics, strings.TrimPrefix(id, "conv_"))
		for line := range strings.Lines(r.log.String()) {
			if !strings.Contains(line, `"path":"`+path+`/items/msg_`+secret+`"`) { // the client has put it there
				require.NotContains(t, line, secret)
			}
		}
	})
}
