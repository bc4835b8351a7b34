package server

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// A response of a conversation in the background has it until it has ended, and is added
// to it then: checks 37 and 45.
func TestBackgroundOnAConversation(t *testing.T) {
	eachStore(t, func(t *testing.T, r *running, llm *seen) {
		id := r.conversation(`{"items":[{"role":"user","content":"first"}]}`)
		for _, stream := range []string{"", `,"stream":true`} {
			a := r.on(id, `"input":"next","background":true`+stream)
			require.Equal(t, 200, a.status, a.body)
			require.Contains(t, a.body, `"conversation":{"id":"`+id+`"}`)
			res, body := r.ended(read(t, a).ID)
			require.Equal(t, "completed", res.Status, body)
			require.Contains(t, body, `"conversation":{"id":"`+id+`"}`)
			refused(t, r.next(res.ID, `"input":"a"`), 400, "previous_response_id", "previous_response_unusable", "belongs to a conversation")
		}
		messages, _ := llm.last(t)
		require.Equal(t, []string{"user", "user", "assistant", "user"}, roles(messages))
		items := r.items(id)
		require.Len(t, items, 5)
		require.Equal(t, "user: first", items[0])
		require.Equal(t, "user: next", items[1])
		require.True(t, strings.HasPrefix(items[2], "assistant: "), items[2])
		require.Equal(t, 200, r.on(id, `"input":"and on"`).status, "it is free")
		require.Len(t, r.items(id), 7)
		refused(t, r.on(id, `"input":"a","background":true,"store":false`), 400, "store", "invalid_value", "")
		refused(t, r.on("conv_"+strings.Repeat("0", 28), `"input":"a","background":true`), 404, "conversation", "conversation_not_found", "")
		require.Equal(t, "failed", r.endedOn(id, `mock: status=500\na`).Status)
		require.Len(t, r.items(id), 7, "what failed adds nothing")
		require.Equal(t, 200, r.on(id, `"input":"and on"`).status, "it is free again")
	})
}

// endedOn asks for a response in the background, and waits for its end.
func (r *running) endedOn(conversation, input string) resource {
	r.t.Helper()
	a := r.on(conversation, `"background":true,"input":"`+input+`"`)
	require.Equal(r.t, 200, a.status, a.body)
	res, _ := r.ended(read(r.t, a).ID)
	return res
}

func roles(messages []message) (all []string) {
	for _, m := range messages {
		all = append(all, m.Role)
	}
	return all
}

// Check 46, of responses in the background: nobody else gets the conversation until they
// have ended, in whichever way.
func TestBackgroundHoldsItsConversation(t *testing.T) {
	t.Parallel()
	eachHeld(t, func(t *testing.T, r, other *running, llm *held) {
		id := r.conversation("")
		begin := func() string { return read(t, r.on(id, `"input":"a","background":true`)).ID }
		locked := func() {
			t.Helper()
			refused(t, other.on(id, `"input":"b"`), 400, "conversation", "conversation_locked", "")
			refused(t, other.on(id, `"input":"b","background":true`), 400, "conversation", "conversation_locked", "")
			refused(t, other.call("POST", "/v1/conversations/"+id+"/items", `{"items":[{"role":"user","content":"b"}]}`), 400, "conversation", "conversation_locked", "")
		}
		for _, end := range []func(job string){
			func(job string) { require.Equal(t, 200, other.call("POST", "/v1/responses/"+job+"/cancel", "").status) },
			func(job string) { require.Equal(t, 200, other.call("DELETE", "/v1/responses/"+job, "").status) },
		} {
			job := begin()
			llm.send <- chatText("one ")
			locked()
			end(job)
			wait(t, llm.left, "the upstream was not told")
			require.Empty(t, r.items(id))
		}
		job := begin()
		llm.send <- chatText("one ")
		time.Sleep(2 * r.inForce.Load().cfg.State.ConversationLease) // which does not end it
		locked()
		close(llm.send)
		res, body := r.ended(job)
		require.Equal(t, "completed", res.Status, body)
		require.Equal(t, []string{"user: a", "assistant: one "}, r.items(id))
		llm.send = make(chan string)
		job = begin()
		llm.send <- chatText("two ")
		require.Equal(t, 200, r.call("DELETE", "/v1/conversations/"+id, "").status)
		wait(t, llm.left, "the upstream was not told")
		require.Equal(t, 404, r.call("GET", "/v1/responses/"+job, "").status)
	}, func(c *config.Config) {
		c.State.ConversationWait, c.State.ConversationLease = 10*time.Millisecond, time.Second
	})
}
