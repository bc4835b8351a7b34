package server

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

var sealedThought = regexp.MustCompile(`"encrypted_content":"([^"]*)"`)

func sealedWith(keys string) func(*config.Config) {
	return func(c *config.Config) {
		c.State.Keys = nil
		for _, k := range keys {
			c.State.Keys = append(c.State.Keys, config.SealingKey{ID: string(k), Key: config.NewSecret(strings.Repeat(string(k), 32))})
		}
	}
}

func tenants(c *config.Config) {
	c.Auth.Type = config.APIKeyAuth
	c.Auth.APIKeys = []config.APIKey{{Digest: sha256.Sum256([]byte("a")), Subject: "a", Tenant: "a"}, {Digest: sha256.Sum256([]byte("b")), Subject: "b", Tenant: "b"}}
}

const thought = "They want the weather."

// thinker is a model server whose model thinks.
func thinker(t *testing.T) string {
	return upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"content":"Hi","reasoning":"`+thought+`"},"finish_reason":"stop"}]}`)
	}))
}

const asksForThoughts = `{"model":"/mnt/models","input":"reasoning","store":false,"include":["reasoning.encrypted_content"]}`

// thoughtBack is a request as Codex makes it: of the thought it has the sealed one only.
func thoughtBack(sealed string) string {
	return `{"model":"/mnt/models","store":false,"input":[{"role":"user","content":"hi"},{"type":"reasoning","summary":[],"content":null,"encrypted_content":"` + sealed + `"},{"role":"assistant","content":"Hi"},{"role":"user","content":"go"}]}`
}

// What one replica has sealed another one opens, for the same tenant alone, as long as
// there is the key; and what is sealed is never logged.
func TestASealedThoughtComesBackByAnyReplica(t *testing.T) {
	url := thinker(t)
	llm := newSeen(t)
	one := start(t, config.VLLM, url, tenants, sealedWith("1"))
	alice, bob := []string{"Authorization", "Bearer a"}, []string{"Authorization", "Bearer b"}
	got := one.post(asksForThoughts, alice...)
	require.Equal(t, 200, got.status, got.body)
	found := sealedThought.FindStringSubmatch(got.body)
	require.NotNil(t, found, got.body)
	other := start(t, config.VLLM, llm.url, tenants, sealedWith("21"))
	answered := other.post(thoughtBack(found[1]), alice...)
	require.Equal(t, 200, answered.status, answered.body)
	messages, _ := llm.last(t)
	assert.Equal(t, thought, messages[1].Reasoning)

	changed := []byte(found[1])
	if changed[60]++; changed[60] > 'Z' || changed[60] < 'A' {
		changed[60] = 'A'
	}
	for name, refused := range map[string]answer{
		"of another tenant":       other.post(thoughtBack(found[1]), bob...),
		"changed":                 other.post(thoughtBack(string(changed)), alice...),
		"with a key that is gone": start(t, config.VLLM, llm.url, tenants, sealedWith("2")).post(thoughtBack(found[1]), alice...),
	} {
		require.Equal(t, 400, refused.status, name)
		_, param, code := refused.errorCode(t)
		assert.Equal(t, "invalid_encrypted_content", code, name)
		assert.Equal(t, "input[1].encrypted_content", param, name)
		assert.NotContains(t, refused.body, found[1][:60], name)
	}
	for _, r := range []*running{one, other} {
		assert.NotContains(t, r.log.String(), found[1][:60])
		assert.NotContains(t, r.log.String(), thought)
	}
}

func TestKeysToSealWithChangeWithoutARestart(t *testing.T) {
	url := thinker(t)
	r := start(t, config.VLLM, url, sealedWith("1"))
	old := sealedThought.FindStringSubmatch(r.post(asksForThoughts).body)[1]
	with := func(keys string) {
		c := *r.inForce.Load().cfg
		sealedWith(keys)(&c)
		assert.False(t, c.Equal(r.inForce.Load().cfg))
		require.NoError(t, r.change(context.Background(), &c))
	}
	with("21")
	fresh := sealedThought.FindStringSubmatch(r.post(asksForThoughts).body)[1]
	assert.NotEqual(t, old[:7], fresh[:7], "another key's name")
	assert.Equal(t, 200, r.post(thoughtBack(old)).status)
	with("2")
	assert.Equal(t, 400, r.post(thoughtBack(old)).status)
	assert.Equal(t, 200, r.post(thoughtBack(fresh)).status)
}

// Check 35, of the server: what no key opens any more is a failure that says so, in
// answer, log and metrics, and nothing of it is told.
func TestWhatNoKeyOpensIsAFailure(t *testing.T) {
	for name, store := range storedTypes(t) {
		if name == config.MemoryState {
			continue
		}
		t.Run(name, func(t *testing.T) {
			llm := newSeen(t)
			r := start(t, config.VLLM, llm.url, store, sealedWith("1"), func(c *config.Config) { c.State.Encrypt = true })
			ready(t, r)
			first := r.ask(`"input":"my HUSH name"`)
			id := read(t, first).ID
			chat := r.conversation(`{"items":[{"role":"user","content":"HUSH"}]}`)
			require.Equal(t, 200, r.next(id, `"input":"go on"`).status)

			with := func(keys string) {
				cfg := *r.inForce.Load().cfg
				sealedWith(keys)(&cfg)
				require.NoError(t, r.change(context.Background(), &cfg))
			}
			with("21")
			second := r.next(id, `"input":"and on"`)
			require.Equal(t, 200, second.status, second.body)
			with("2")
			asked := llm.asked()
			for what, a := range map[string]answer{
				"read":                      r.call("GET", "/v1/responses/"+id, ""),
				"items of the input":        r.call("GET", "/v1/responses/"+id+"/input_items", ""),
				"continued":                 r.next(id, `"input":"go on"`),
				"continued from what opens": r.next(read(t, second).ID, `"input":"go on"`),
				"referred to":               r.ask(`"input":[{"type":"item_reference","id":"msg_` + strings.TrimPrefix(id, "resp_") + `i00"}]`),
				"a conversation":            r.call("GET", "/v1/conversations/"+chat, ""),
				"its items":                 r.call("GET", "/v1/conversations/"+chat+"/items", ""),
				"continued by it":           r.on(chat, `"input":"go on"`),
			} {
				require.Equal(t, 500, a.status, "%s: %s", what, a.body)
				_, _, code := a.errorCode(t)
				assert.Equal(t, "state_unreadable", code, what)
				assert.NotContains(t, a.body, "HUSH")
			}
			assert.Equal(t, asked, llm.asked(), "no model is asked")
			assert.Equal(t, 200, r.call("GET", "/v1/responses/"+read(t, second).ID, "").status)
			log := r.log.String()
			assert.Contains(t, log, `"failure":"state_unreadable"`)
			assert.Contains(t, log, "no key of state.keys opens it")
			assert.NotContains(t, log, "HUSH")
			assert.NotContains(t, log, "cannot be reached", "the store is there")
			assert.Positive(t, metric(t, r, "antwort_state_operations_total", `op="get"`, `result="unreadable"`))
			with("21")
			assert.Equal(t, 200, r.next(read(t, second).ID, `"input":"go on"`).status)
			assert.Equal(t, 200, r.call("DELETE", "/v1/responses/"+id, "").status)
		})
	}
}
