package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// codexFlags give the model all the context that it was trained for: Codex says much
// before its user does.
var codexFlags = []string{"--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--max-model-len", "8192"}

// codexCases are a session of the real Codex CLI, as e2e/clients installs it. What it does with
// tools is shown by e2e/clients: a model of this size calls none by itself.
var codexCases = []testCase{
	{"codex", func(s *session) string {
		c := newCodex(s)
		r := c.exec("What is the capital of France? Answer in one sentence.")
		s.check(r.failure == "" && r.said != "", "Codex failed: %s, see %s", r.failure, r.log)
		return r.said
	}},
	{"codex-resume", func(s *session) string {
		c := newCodex(s)
		first := c.exec("My name is Bob. Say hello to me.")
		second := c.exec("What is my name?", "resume", "--last")
		s.check(first.failure == "" && second.failure == "", "Codex failed: %s%s, see %s", first.failure, second.failure, second.log)
		s.check(second.input > first.input, "%d input tokens after %d: the history is missing", second.input, first.input)
		return second.said
	}},
	{"codex-overflow", func(s *session) string {
		r := newCodex(s).exec(strings.Repeat("one two three four five six seven eight nine ten ", 1000))
		s.check(strings.Contains(r.failure, "context window"), "Codex did not understand that the context is full: %q, see %s", r.failure, r.log)
		return r.failure
	}},
}

// A codexHome is a home of Codex and a folder that it works in.
type codexHome struct {
	s    *session
	dir  string
	runs int
}

// codexConfiguration is what docs/clients.md tells users to write, with short
// instructions, which a CPU reads sooner, and with what keeps Codex on this machine.
const codexConfiguration = `model = %q
model_provider = "antwort"
model_context_window = 8192
model_instructions_file = %q
approval_policy = "never"
sandbox_mode = "read-only"
web_search = "disabled"
check_for_update_on_startup = false

[analytics]
enabled = false

[model_providers.antwort]
name = "antwort"
base_url = "%s/v1"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
`

func newCodex(s *session) *codexHome {
	dir, err := filepath.Abs(filepath.Join(".cache", "llm-run", "codex", fmt.Sprintf("home-%d", time.Now().UnixNano())))
	if err == nil { // Codex refuses to write through symbolic links
		if err = os.MkdirAll(filepath.Join(dir, "work"), 0o755); err == nil {
			dir, err = filepath.EvalSymlinks(dir)
		}
	}
	instructions := filepath.Join(dir, "instructions.md")
	for file, text := range map[string]string{
		instructions:                      "You are a helpful assistant. Answer shortly.\n",
		filepath.Join(dir, "config.toml"): fmt.Sprintf(codexConfiguration, modelName, instructions, s.url),
	} {
		if err == nil {
			err = os.WriteFile(file, []byte(text), 0o644)
		}
	}
	if err != nil {
		panic(err)
	}
	return &codexHome{s: s, dir: dir}
}

// A codexRun is what one call of Codex printed.
type codexRun struct {
	said, failure string
	input         int // tokens of the whole session, as Codex counts
	log           string
}

// codexLimit is for one call: the model reads thousands of tokens on a CPU.
const codexLimit = 4 * time.Minute

// exec runs `codex exec` with the arguments and the prompt.
func (c *codexHome) exec(prompt string, args ...string) (r codexRun) {
	program, err := filepath.Abs(filepath.Join("clients", "node", "node_modules", ".bin", "codex"))
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		panic(fmt.Sprintf("%v: run e2e/clients/install first", err))
	}
	c.runs++
	r.log = filepath.Join(c.dir, fmt.Sprintf("run%d.out", c.runs))
	ctx, cancel := context.WithTimeout(c.s.ctx, codexLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(append([]string{"exec"}, args...), "--json", "--skip-git-repo-check", "--", prompt)...)
	cmd.Dir = filepath.Join(c.dir, "work")
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "CODEX_HOME=" + c.dir, "OPENAI_API_KEY=unused",
		"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1"} // nothing but loopback is reached
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	ended := cmd.Run()
	c.s.seconds += time.Since(start).Seconds()
	if err := os.WriteFile(r.log, append(stdout.Bytes(), stderr.Bytes()...), 0o644); err != nil {
		panic(err)
	}
	var status *exec.ExitError
	if ended != nil {
		r.failure = ended.Error()
		if !errors.As(ended, &status) || ctx.Err() != nil {
			return r
		}
	}
	for line := range bytes.Lines(stdout.Bytes()) {
		var event struct {
			Type  string
			Item  struct{ Type, Text string }
			Error struct{ Message string }
			Usage struct {
				Input  int `json:"input_tokens"`
				Output int `json:"output_tokens"`
			}
		}
		if err := json.Unmarshal(line, &event); err != nil {
			panic(fmt.Sprintf("%v: %s", err, line))
		}
		switch {
		case event.Type == "item.completed" && event.Item.Type == "agent_message":
			r.said = event.Item.Text
		case event.Type == "turn.failed":
			r.failure = event.Error.Message
		case event.Type == "turn.completed":
			r.input = event.Usage.Input
			c.s.input += event.Usage.Input
			c.s.output += event.Usage.Output
		}
	}
	return r
}
