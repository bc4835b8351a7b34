// Package codex runs the real Codex CLI, as npm installs it, against the chain
// under test. The prompts script the mock model turn by turn (see
// server/mockllm), and the cases read what Codex did: the files it wrote, the
// events it printed, and in the model's last answer everything that reached it.
package codex

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
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/e2e/clients/report"
)

// A session is one home of Codex and one folder that it works in.
type session struct {
	t    *testing.T
	dir  string // home, work, and what the runs left
	url  string
	runs int
}

// configuration is what docs/clients.md tells users to write, with what keeps
// Codex on this machine.
const configuration = `model = "/mnt/models"
model_provider = "antwort"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
%s
[analytics]
enabled = false

[model_providers.antwort]
name = "antwort"
base_url = "%s/v1"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
%s
`

// newSession makes a home whose configuration has the given lines at its top
// and tables at its end.
func newSession(t *testing.T, top, tables string) *session {
	t.Helper()
	url := report.URL(t)
	s := &session{t: t, dir: folder(t), url: url}
	for _, folder := range []string{"home", "work"} {
		require.NoError(t, os.MkdirAll(filepath.Join(s.dir, folder), 0o755))
	}
	s.write("home/config.toml", fmt.Sprintf(configuration, top, url, tables))
	return s
}

// folder makes the empty folder of a case. It is given without symbolic links,
// which Codex refuses to write through.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache", "clients", "codex", filepath.Base(t.Name())))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(dir))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	return dir
}

func (s *session) path(name string) string { return filepath.Join(s.dir, name) }

func (s *session) write(name, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(text), 0o644))
}

func (s *session) read(name string) string {
	s.t.Helper()
	b, err := os.ReadFile(s.path(name))
	require.NoError(s.t, err)
	return string(b)
}

// A run is what one call of Codex printed.
type run struct {
	items  []map[string]any // completed ones, in their order
	errors []string
	failed bool // the turn did, or Codex's status was not 0
	last   string
	log    string // where to read on
}

// runLimit is far above the second or two that a run takes.
const runLimit = 60 * time.Second

// codex runs `codex exec` with the arguments and the prompt.
func (s *session) codex(prompt string, args ...string) *run {
	s.t.Helper()
	s.runs++
	log := s.path(fmt.Sprintf("run%d", s.runs))
	args = append([]string{"exec"}, args...)
	args = append(args, "--json", "--skip-git-repo-check", "-o", log+".last", "--", prompt)
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	defer cancel()
	cmd := s.command(ctx, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ended := cmd.Run()
	require.NoError(s.t, os.WriteFile(log+".out", append(stdout.Bytes(), stderr.Bytes()...), 0o644))
	require.NoError(s.t, ctx.Err(), "codex did not end: %s.out", log)
	r := &run{log: log + ".out"}
	var status *exec.ExitError
	if ended != nil {
		require.ErrorAs(s.t, ended, &status)
		r.failed = true
	}
	r.readEvents(s.t, stdout.Bytes())
	last, err := os.ReadFile(log + ".last")
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(s.t, err)
	}
	r.last = string(last)
	return r
}

// command is Codex in the session's folders. It reaches nothing but loopback:
// every other request would go to a proxy that is not there.
func (s *session) command(ctx context.Context, args ...string) *exec.Cmd {
	s.t.Helper()
	program, err := filepath.Abs(filepath.Join("..", "node", "node_modules", ".bin", "codex"))
	require.NoError(s.t, err)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.path("work")
	cmd.WaitDelay = 2 * time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.path("home"), "CODEX_HOME=" + s.path("home"), "OPENAI_API_KEY=unused",
		"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1", "RUST_BACKTRACE=0"}
	return cmd
}

func (r *run) readEvents(t *testing.T, out []byte) {
	t.Helper()
	for line := range bytes.Lines(out) {
		var event struct {
			Type, Message string
			Item          map[string]any
			Error         struct{ Message string }
		}
		require.NoError(t, json.Unmarshal(line, &event), "%s", line)
		switch event.Type {
		case "item.completed":
			r.items = append(r.items, event.Item)
		case "error":
			r.errors = append(r.errors, event.Message)
		case "turn.failed":
			r.failed = true
			r.errors = append(r.errors, event.Error.Message)
		}
	}
}

// ok is a run whose turn completed without a complaint.
func (s *session) ok(r *run) *run {
	s.t.Helper()
	require.False(s.t, r.failed, "%v, see %s", r.errors, r.log)
	require.Empty(s.t, r.errors, "see %s", r.log)
	return r
}

// of are the items of one type.
func (r *run) of(typ string) (items []map[string]any) {
	for _, item := range r.items {
		if item["type"] == typ {
			items = append(items, item)
		}
	}
	return items
}

// assistant is the first turn of the model that the last answer tells of.
func (r *run) assistant() string { return r.line(" assistant:") }

// parameters is what the last answer tells of the request's other fields.
func (r *run) parameters() string { return r.line("parameters:") }

// line is the line of the last answer that begins so, after a number if any.
func (r *run) line(beginning string) string {
	for line := range strings.Lines(r.last) {
		if strings.HasPrefix(strings.TrimLeft(line, "0123456789"), beginning) {
			return line
		}
	}
	return ""
}

// contains looks for a text in the last answer, which is too long to be shown.
func (s *session) contains(r *run, text string) {
	s.t.Helper()
	require.True(s.t, strings.Contains(r.last, text), "%q is not in %d bytes of the last answer: %s", text, len(r.last), r.log)
}

// script writes the lines that steer the model, one for each of its turns.
func script(turns ...string) string {
	var b strings.Builder
	for i, turn := range turns {
		fmt.Fprintf(&b, "\nmock: turn=%d %s", i+1, turn)
	}
	return b.String()
}

// call is the directive that makes the model call a tool.
func call(name string, arguments any) string {
	b, err := json.Marshal(arguments)
	if err != nil {
		panic(err) // of a test's own value
	}
	return fmt.Sprintf("call=%q ", name+" "+string(b))
}

func shell(command string) string { return call("exec_command", map[string]string{"cmd": command}) }
