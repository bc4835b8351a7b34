package codex

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/clients/report"
)

var cases = []struct {
	name, proves string
	run          func(t *testing.T)
}{
	{"shell", "runs a command, and its output goes back to the model", shellCommand},
	{"patch-free-text", "apply_patch as a custom tool: the patch arrives character for character, and the file has it", patchAsCustomTool},
	{"patch-function", "apply_patch by a function's command, for models that are in no catalogue", patchAsFunction},
	{"namespace", "a tool of an MCP server, in a namespace", namespaceTool},
	{"tool-search", "MCP tools that the model must search for first are found and called", toolSearch},
	{"parallel", "two calls of one turn are both run and both answered", parallelCalls},
	{"sub-agent", "a sub-agent is started, works and reports", subAgent},
	{"resume", "a resumed session continues with its history, calls included", resume},
	{"sandbox-change", "other permissions in mid-conversation: a developer message in the middle", sandboxChange},
	{"schema", "the last answer follows an output schema", outputSchema},
	{"image", "images of the prompt and of view_image reach the model", images},
	{"reasoning", "thoughts are shown, and go back to the model with the call that they led to", thoughts},
	{"overflow", "Codex compacts when the context is full, and goes on", overflow},
	{"compaction", "Codex compacts by itself at its own limit, and goes on", compaction},
	{"lite", "the catalogue's lite models, which send their tools as an item", liteModel},
	{"built-in-provider", "Codex's built-in provider with openai_base_url: over a WebSocket where there is one, else HTTP after one try", builtInProvider},
	{"remote-compaction", "the built-in provider has the model compact a small window in mid-task, and the task goes on to its end and in a resumed session", remoteCompaction},
	{"websocket", "a provider with supports_websockets: two commands and a resumed session over WebSockets (HTTP where there is none), without a reconnect", overWebSocket},
}

func TestClient(t *testing.T) {
	report.URL(t)
	for _, tt := range cases {
		report.Case(t, tt.name, tt.proves, tt.run)
	}
}

func shellCommand(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("list it" + script(shell("echo one two | tee file.txt"))))
	assert.Equal(t, "one two\n", s.read("work/file.txt"))
	commands := r.of("command_execution")
	require.Len(t, commands, 1)
	assert.EqualValues(t, 0, commands[0]["exit_code"])
	s.contains(r, "The tools say: ")
	assert.Contains(t, r.assistant(), "calls exec_command")
	assert.NotContains(t, r.parameters(), "client_metadata")
}

const patch = "*** Begin Patch\n*** Add File: a.go\n+\tfmt.Println(\"hi\\n\") // ünï 👋 \\u0041\n*** End Patch"
const patched = "\tfmt.Println(\"hi\\n\") // ünï 👋 \\u0041\n"

func patchAsCustomTool(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("patch it"+script(call("apply_patch", map[string]string{"input": patch})), "-c", s.catalogue("gpt-5.5")))
	assert.Equal(t, patched, s.read("work/a.go"))
	assert.Len(t, r.of("file_change"), 1)
	assert.Contains(t, r.assistant(), "calls apply_patch")
}

func patchAsFunction(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("patch it" + script(shell("apply_patch <<'EOF'\n"+patch+"\nEOF\n"))))
	assert.Equal(t, patched, s.read("work/a.go"))
	assert.Len(t, r.of("file_change"), 1)
}

func namespaceTool(t *testing.T) {
	s := newSession(t, "", mcpServer(t))
	r := s.ok(s.codex("look" + script(call("mcp__docs__lookup", map[string]string{"page": "7"}))))
	require.Len(t, r.of("mcp_tool_call"), 1)
	s.contains(r, "page 7 says: turn left")
}

func toolSearch(t *testing.T) {
	s := newSession(t, "", mcpServer(t))
	r := s.ok(s.codex("look"+script(call("tool_search", map[string]any{"query": "lookup manual page"}), call("mcp__docs__lookup", map[string]string{"page": "8"})),
		"-c", s.catalogue("gpt-5.5")))
	s.contains(r, "page 8 says: turn left")
}

func parallelCalls(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("both" + script("interleave "+shell("echo first")+shell("echo second"))))
	require.Len(t, r.of("command_execution"), 2)
	s.contains(r, "first")
	s.contains(r, "second")
	assert.Equal(t, 2, strings.Count(r.assistant(), "calls exec_command"))
}

func subAgent(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("delegate"+script(
		call("collaboration__spawn_agent", map[string]any{"task_name": "helper", "fork_turns": "none",
			"message": "help me" + script(shell("echo helped > helped.txt"), `text="I helped."`)}),
		call("collaboration__wait_agent", map[string]any{"timeout_ms": 10000}),
		"echo",
	), "--enable", "multi_agent_v2"))
	assert.Equal(t, "helped\n", s.read("work/helped.txt"))
	s.contains(r, "I helped.")
}

func resume(t *testing.T) {
	s := newSession(t, "", "")
	s.ok(s.codex("first" + script(shell("echo from the first run"), `text="Done first."`)))
	r := s.ok(s.codex("and second", "resume", "--last"))
	for _, part := range []string{`"first`, "calls exec_command", "from the first run", "Done first.", "and second"} {
		s.contains(r, part)
	}
}

func sandboxChange(t *testing.T) {
	s := newSession(t, "", "")
	th := s.newThread()
	th.said(t, "first"+script(`text="Done first."`), nil)
	r := th.said(t, "and second", map[string]any{"sandboxPolicy": map[string]any{"type": "readOnly"}})
	s.contains(r, "Done first.")
	s.contains(r, "`sandbox_mode` is `read-only`")
}

func outputSchema(t *testing.T) {
	s := newSession(t, "", "")
	s.write("schema.json", `{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}`)
	r := s.ok(s.codex("Ann", "--output-schema", s.path("schema.json")))
	assert.JSONEq(t, `{"name":"Ann","age":1}`, r.last)
}

func images(t *testing.T) {
	s := newSession(t, "", "")
	s.write("work/dot.png", string(dot))
	r := s.ok(s.codex("see"+script(call("view_image", map[string]string{"path": "dot.png"})), "-i", s.path("work/dot.png")))
	assert.GreaterOrEqual(t, strings.Count(r.last, "image_url image/png"), 2, "see %s", r.log)
}

func thoughts(t *testing.T) {
	s := newSession(t, "model_reasoning_summary = \"detailed\"\nmodel_supports_reasoning_summaries = true", "")
	r := s.ok(s.codex("think" + script(`reasoning="my own plan" `+shell("echo thought"))))
	reasoning := r.of("reasoning")
	require.NotEmpty(t, reasoning, "see %s", r.log)
	assert.Equal(t, "my own plan", reasoning[0]["text"])
	assert.Contains(t, r.assistant(), `reasoning="my own plan"`)
}

func overflow(t *testing.T) {
	s := newSession(t, "model_auto_compact_token_limit = 100000\n"+`compact_prompt = """mock: text="we said much" """`, "")
	th := s.newThread()
	th.said(t, "much"+script(shell("seq 20000"), shell("seq 20000 40000"), `text="Done first."`), nil)
	_, failed := th.turn("mock: max-model-len=9000\nand second", nil)
	assert.Contains(t, failed, "ran out of room in the model's context window")
	r := th.said(t, "and third", nil)
	assert.Len(t, r.of("contextCompaction"), 1)
	s.contains(r, "we said much")
	s.contains(r, "and third")
}

func compaction(t *testing.T) {
	s := newSession(t, "model_auto_compact_token_limit = 3000\n"+`compact_prompt = """mock: text="we said much" """`, "")
	s.ok(s.codex("much" + script(shell("seq 20000"), `text="Done first."`)))
	r := s.ok(s.codex("and second", "resume", "--last"))
	s.contains(r, "we said much")
	s.contains(r, "and second")
}

func liteModel(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("hello", "-c", s.catalogue("gpt-5.6-luna")))
	s.contains(r, "tool 1:")
}

func builtInProvider(t *testing.T) {
	s := newSession(t, "", "")
	r := s.ok(s.codex("list"+script(shell("echo built in")), "-c", "model_provider=openai", "-c", "openai_base_url="+s.url+"/v1"))
	s.contains(r, "built in")
}

func remoteCompaction(t *testing.T) {
	report.NeedsServer(t)
	s := newSession(t, "model_auto_compact_token_limit = 8000", "")
	builtIn := []string{"-c", "model_provider=openai", "-c", "openai_base_url=" + s.url + "/v1"}
	// What is left of a compacted turn is its prompt, so the script begins anew: then there is nothing more to count.
	r := s.ok(s.codex("count"+script(shell("[ -e begun.txt ] || { echo begun > begun.txt; seq 20000; seq 20000; }"), shell("echo counted >> done.txt"), `text="Done first."`), builtIn...))
	assert.Equal(t, "counted\n", s.read("work/done.txt"))
	assert.Equal(t, "Done first.", r.last)
	require.Len(t, r.of("command_execution"), 3, "it was compacted before the task's end: see %s", r.log)
	r = s.ok(s.codex("and second", append([]string{"resume", "--last"}, builtIn...)...))
	for _, part := range []string{"Summary of the conversation so far", `count`, "and second"} {
		s.contains(r, part)
	}
}

func overWebSocket(t *testing.T) {
	s := newSession(t, "", "")
	on := []string{"-c", "model_providers.antwort.supports_websockets=true"}
	r := s.ok(s.codex("list"+script(shell("echo over a socket"), shell("echo again"), `text="Done first."`), on...))
	require.Len(t, r.of("command_execution"), 2)
	assert.Empty(t, r.errors)
	r = s.ok(s.codex("and second", append([]string{"resume", "--last"}, on...)...))
	assert.Empty(t, r.errors)
	for _, part := range []string{`"list`, "over a socket", "again", "Done first.", "and second"} {
		s.contains(r, part)
	}
}

// TestRefuse runs against the chain as it is configured by default, which
// refuses tools that somebody else would have to run.
func TestRefuse(t *testing.T) {
	report.URL(t)
	report.Case(t, "web-search-disabled", "works on antwort's defaults when Codex does not offer web_search", func(t *testing.T) {
		s := newSession(t, `web_search = "disabled"`, "")
		s.contains(s.ok(s.codex("list"+script(shell("echo one two")))), "one two")
	})
	report.Case(t, "web-search-refused", "the refusal of web_search names both ways out: Codex's switch and antwort's", func(t *testing.T) {
		s := newSession(t, "", "")
		r := s.codex("hello", "-c", s.catalogue("gpt-5.5"))
		require.True(t, r.failed)
		said := strings.Join(r.errors, "\n")
		for _, part := range []string{"web_search", "unsupported_tools", "disabled"} {
			assert.Contains(t, said, part)
		}
	})
}
