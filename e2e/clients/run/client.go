package main

import (
	"os/exec"
	"path/filepath"
	"strings"
)

// A client is one suite: a client library, unmodified, and what drives it.
type client struct {
	name      string
	dropTools bool // runs against the chain that drops tools of unknown types
	needs     []string
	install   func(r *runner) error
	// command runs all cases, or the only one. It writes its results to
	// E2E_RESULTS and finds the chain in BASE_URL.
	command func(r *runner, only string) *exec.Cmd
}

var clients = []client{
	{name: "openai-go", needs: []string{"go"}, command: goTest("openai-go")},
	{name: "openai-python", needs: []string{"python3"}, install: installPython, command: pytest("test_openai.py")},
	{name: "openai-node", needs: []string{"node", "npm"}, install: installNode, command: nodeTest("openai.test.mjs")},
	{name: "agents-python", needs: []string{"python3"}, install: installPython, command: pytest("test_agents.py")},
	{name: "langchain", needs: []string{"python3"}, install: installPython, command: pytest("test_langchain.py")},
	{name: "codex", dropTools: true, needs: []string{"go"}, command: goTest("codex")},
}

func goTest(folder string) func(*runner, string) *exec.Cmd {
	return func(r *runner, only string) *exec.Cmd {
		args := []string{"test", "-count=1", "-timeout=5m"}
		if only != "" {
			args = append(args, "-run", "^TestClient$/^"+only+"$")
		}
		cmd := exec.CommandContext(r.ctx, "go", append(args, "./clients/"+folder)...)
		cmd.Dir = r.e2e
		return cmd
	}
}

func pytest(file string) func(*runner, string) *exec.Cmd {
	return func(r *runner, only string) *exec.Cmd {
		if only != "" {
			file += "::test_" + strings.ReplaceAll(only, "-", "_")
		}
		cmd := exec.CommandContext(r.ctx, filepath.Join(r.cache, "python", "bin", "python"), "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", file)
		cmd.Dir = filepath.Join(r.e2e, "clients", "python")
		return cmd
	}
}

func nodeTest(file string) func(*runner, string) *exec.Cmd {
	return func(r *runner, only string) *exec.Cmd {
		args := []string{"--test", "--test-timeout=60000"}
		if only != "" {
			args = append(args, "--test-name-pattern=^"+only+"$")
		}
		cmd := exec.CommandContext(r.ctx, "node", append(args, file)...)
		cmd.Dir = filepath.Join(r.e2e, "clients", "node")
		return cmd
	}
}
