package codexrequests

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/clients/report"
)

var cases = []struct {
	name, proves string
	run          func(t *testing.T, ctx context.Context, c *client)
}{
	{"first-turn", "zstd body, developer messages, dropped web_search, include and metadata: accepted, and the prompt arrives (cc-switch-cli#469)", firstTurn},
	{"apply-patch", "a custom tool's patch comes as free text and its result goes back (litellm#20905, vllm#56285)", applyPatch},
	{"namespace", "tools of a namespace are called with name and namespace, and go back with both (litellm#31571)", namespace},
	{"agent-loop", "reasoning, text and parallel calls of a turn go back as one assistant message, outputs as parts after it (litellm#21154, #13420)", agentLoop},
	{"dropped-history", "calls of dropped tool types in the history are dropped with them, the rest stays", droppedHistory},
	{"cut", "a cut turn fails with a retryable error, it never completes (openai/codex#41340)", cut},
	{"no-done", "an upstream that ends without [DONE] still gives response.completed (codex-router#837)", noDone},
	{"context-length", "a prompt too long for the model has the code on which Codex compacts", contextLength},
	{"rate-limit", "429 keeps its status for Codex's own back-off", rateLimit},
}

const grammar = "start: begin_patch hunk+ end_patch\nbegin_patch: \"*** Begin Patch\" LF\nend_patch: \"*** End Patch\" LF?\n"

// tools are the kinds of tools that Codex sends with every turn.
func tools() []any {
	parameters := func(name string) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{name: map[string]any{"type": "string"}},
			"required": []string{name}, "additionalProperties": false}
	}
	return []any{
		map[string]any{"type": "function", "name": "exec_command", "description": "Runs a command in a PTY.", "strict": false, "parameters": parameters("cmd")},
		map[string]any{"type": "function", "name": "update_plan", "description": "Updates the task plan.", "strict": false, "parameters": parameters("explanation")},
		map[string]any{"type": "custom", "name": "apply_patch", "description": "Use the `apply_patch` tool to edit files.",
			"format": map[string]any{"type": "grammar", "syntax": "lark", "definition": grammar}},
		map[string]any{"type": "web_search", "external_web_access": false},
		map[string]any{"type": "namespace", "name": "mcp__docs", "description": "Tools of the docs server.", "tools": []any{
			map[string]any{"type": "function", "name": "lookup", "description": "Looks a page up.", "strict": false, "parameters": parameters("page")}}},
	}
}

func request(input ...item) map[string]any {
	return map[string]any{
		"model": "/mnt/models", "instructions": "You are Codex, a coding agent.", "input": input, "tools": tools(), "tool_choice": "auto",
		"parallel_tool_calls": true, "reasoning": map[string]any{"effort": "medium", "summary": "auto"}, "store": false, "stream": true,
		"include": []string{"reasoning.encrypted_content"}, "prompt_cache_key": session, "text": map[string]any{"verbosity": "low"},
		"client_metadata": map[string]any{"x-codex-installation-id": session},
	}
}

func message(role, text string) item {
	return item{"type": "message", "role": role, "content": []any{item{"type": "input_text", "text": text}}}
}

// opening is how each conversation begins, before the user's own words.
func opening(text string) []item {
	return []item{
		message("developer", "<permissions instructions>sandbox: read-only</permissions instructions>"),
		message("user", "<environment_context><cwd>/repo</cwd></environment_context>"),
		message("user", text),
	}
}

func output(callID, text string) item {
	return item{"type": "function_call_output", "call_id": callID, "output": []any{
		item{"type": "input_text", "text": text}, item{"type": "input_text", "text": "exit code 0"}}}
}

// back is an item in the next request: without its id and with a null where
// Codex has nothing.
func back(i item) item {
	sent := item{}
	for key, value := range i {
		if key != "id" && key != "status" {
			sent[key] = value
		}
	}
	if i.str("type") == "reasoning" {
		sent["encrypted_content"] = nil
	}
	return sent
}

func firstTurn(t *testing.T, ctx context.Context, c *client) {
	r, err := c.do(ctx, request(opening("mock: call=none\nexplain the repo")...))
	require.NoError(t, err)
	require.Len(t, r.items, 2)
	assert.Equal(t, "reasoning", r.items[0].str("type"))
	assert.NotEmpty(t, r.think)
	assert.Equal(t, "message", r.items[1].str("type"))
	text := r.text
	lines := strings.Split(text, "\n")
	require.Greater(t, len(lines), 8, text)
	for _, part := range []string{"1 system:", "You are Codex, a coding agent.", "sandbox: read-only"} {
		assert.Contains(t, lines[1], part)
	}
	assert.Contains(t, text, `"<environment_context><cwd>/repo</cwd></environment_context>"`)
	assert.Contains(t, text, "explain the repo")
	assert.Contains(t, text, `"name":"exec_command"`)
	assert.Contains(t, text, `"name":"apply_patch"`)
	assert.Contains(t, text, "lookup")
	assert.NotContains(t, text, "web_search")
	assert.Contains(t, text, `reasoning_effort="medium"`)
	assert.NotContains(t, text, " store=")
	assert.Positive(t, r.usage.InputTokens)
	assert.Equal(t, r.usage.TotalTokens, r.usage.InputTokens+r.usage.OutputTokens)
	assert.NotNil(t, r.usage.InputTokensDetails)
	assert.NotNil(t, r.usage.OutputTokensDetails)
}

func applyPatch(t *testing.T, ctx context.Context, c *client) {
	const patch = "*** Begin Patch\n*** Update File: a.go\n+\tfmt.Println(\"hi\\n\") // ünï 👋\n*** End Patch"
	input := opening(patch)
	body := request(input...)
	body["tool_choice"] = map[string]any{"type": "custom", "name": "apply_patch"}
	r, err := c.do(ctx, body)
	require.NoError(t, err)
	calls := r.calls("custom_tool_call")
	require.Len(t, calls, 1, "%v", r.items)
	assert.Equal(t, "apply_patch", calls[0].str("name"))
	assert.Equal(t, patch, calls[0].str("input"))
	require.NotEmpty(t, calls[0].str("call_id"))

	for _, i := range r.items {
		input = append(input, back(i))
	}
	input = append(input, item{"type": "custom_tool_call_output", "call_id": calls[0].str("call_id"), "output": "Success. Updated a.go"})
	r, err = c.do(ctx, request(input...))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(r.text, "The tools say: Success. Updated a.go"), r.text)
	assert.Contains(t, r.text, "calls apply_patch")
	arguments, err := json.Marshal(map[string]string{"input": patch})
	require.NoError(t, err)
	var seen string
	_, rest, _ := strings.Cut(r.text, "arguments=")
	require.NoError(t, json.NewDecoder(strings.NewReader(rest)).Decode(&seen))
	assert.JSONEq(t, string(arguments), seen)
}

func namespace(t *testing.T, ctx context.Context, c *client) {
	input := opening("please lookup the page")
	r, err := c.do(ctx, request(input...))
	require.NoError(t, err)
	calls := r.calls("function_call")
	require.Len(t, calls, 1, "%v", r.items)
	assert.Equal(t, "lookup", calls[0].str("name"))
	assert.Equal(t, "mcp__docs", calls[0].str("namespace"))
	for _, i := range r.items {
		input = append(input, back(i))
	}
	r, err = c.do(ctx, request(append(input, output(calls[0].str("call_id"), "page 1"))...))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(r.text, "The tools say: page 1"), r.text)
	assert.Contains(t, r.text, "calls mcp__docs__lookup")
}

func agentLoop(t *testing.T, ctx context.Context, c *client) {
	input := opening("mock: reasoning=\"my plan\" text=\"I look first.\" calls=2 call=exec_command interleave=1\ngo")
	r, err := c.do(ctx, request(input...))
	require.NoError(t, err)
	require.Len(t, r.items, 4, "%v", r.items)
	assert.Equal(t, "my plan", r.think)
	assert.Equal(t, "I look first.", r.text)
	calls := r.calls("function_call")
	require.Len(t, calls, 2)
	for _, i := range r.items {
		input = append(input, back(i))
	}
	for n, call := range calls {
		assert.JSONEq(t, `{"cmd":"go"}`, call.str("arguments"))
		input = append(input, output(call.str("call_id"), []string{"first", "second"}[n]))
	}
	r, err = c.do(ctx, request(input...))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(r.text, "The tools say: first"), r.text)
	assert.Contains(t, r.text, "exit code 0")
	var assistant []string
	for line := range strings.Lines(r.text) {
		if strings.Contains(line, " assistant:") {
			assistant = append(assistant, line)
		}
	}
	require.Len(t, assistant, 1, r.text)
	for _, part := range []string{`reasoning="my plan"`, "I look first.", calls[0].str("call_id"), calls[1].str("call_id")} {
		assert.Contains(t, assistant[0], part)
	}
}

func droppedHistory(t *testing.T, ctx context.Context, c *client) {
	input := opening("first")
	input = append(input,
		item{"type": "web_search_call", "status": "completed", "action": item{"type": "search", "query": "golang"}},
		item{"type": "message", "role": "assistant", "content": []any{item{"type": "output_text", "text": "I searched."}}, "phase": "final_answer"},
		message("user", "mock: call=none\nsecond"))
	r, err := c.do(ctx, request(input...))
	require.NoError(t, err)
	assert.Contains(t, r.text, `"first"`)
	assert.Contains(t, r.text, `"I searched."`)
	assert.Contains(t, r.text, "second")
	assert.NotContains(t, r.text, "golang")
}

func cut(t *testing.T, ctx context.Context, c *client) {
	report.NeedsServer(t)
	for _, fault := range []string{"cut-after=6", "end-after=6", "error-after=6"} {
		r, err := c.do(ctx, request(opening("mock: call=none text=\"one two three four five\" "+fault+"\nhi")...))
		var failed *failure
		require.ErrorAs(t, err, &failed, fault)
		assert.NotEmpty(t, failed.Code, fault)
		assert.NotEmpty(t, failed.Message, fault)
		assert.NotContains(t, failed.Message, "127.0.0.1", fault)
		assert.NotNil(t, r, fault)
	}
}

func noDone(t *testing.T, ctx context.Context, c *client) {
	r, err := c.do(ctx, request(opening("mock: no-done=1 call=none text=\"all of it\"\nhi")...))
	require.NoError(t, err)
	assert.Equal(t, "all of it", r.text)
}

func contextLength(t *testing.T, ctx context.Context, c *client) {
	// Not one word repeated: Envoy's decompressor ends bodies that grow more than a hundredfold.
	words := make([]byte, 0, 6<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for range 1 << 20 {
		words = append(strconv.AppendUint(words, random.Uint64N(1<<16), 36), ' ')
	}
	_, err := c.do(ctx, request(opening(string(words))...))
	var failed *failure
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "context_length_exceeded", failed.Code)
}

func rateLimit(t *testing.T, ctx context.Context, c *client) {
	_, err := c.do(ctx, request(opening("mock: status=429 retry-after=1\nhi")...))
	var failed *failure
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 429, failed.Status)
}
