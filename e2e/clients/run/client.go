package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
)

// A client is one suite: a client library, unmodified, and what drives it.
type client struct {
	name      string
	dropTools bool     // runs against the chain that drops tools of unknown types
	packages  []string // what clients/install installs for it
	// command runs all cases of the suite, or the only one, from the folder
	// e2e. It writes its results to E2E_RESULTS and finds the chain in
	// BASE_URL.
	command func(ctx context.Context, e2e, only string) *exec.Cmd
}

var clients = []client{
	{name: "openai-go", command: goTest("openai-go")},
	{name: "openai-python", packages: []string{"python"}, command: pytest("test_openai.py")},
	{name: "openai-node", packages: []string{"node"}, command: nodeTest("openai.test.mjs")},
	{name: "agents-python", packages: []string{"python"}, command: pytest("test_agents.py")},
	{name: "langchain", packages: []string{"python"}, command: pytest("test_langchain.py")},
	{name: "codex", dropTools: true, command: goTest("codex")},
}

func goTest(folder string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		args := []string{"test", "-count=1", "-timeout=5m"}
		if only != "" {
			args = append(args, "-run", "^TestClient$/^"+only+"$")
		}
		cmd := exec.CommandContext(ctx, "go", append(args, "./clients/"+folder)...)
		cmd.Dir = e2e
		return cmd
	}
}

func pytest(file string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		cases := file
		if only != "" {
			cases += "::test_" + strings.ReplaceAll(only, "-", "_")
		}
		cmd := exec.CommandContext(ctx, filepath.Join(e2e, ".cache", "python", "bin", "python"), "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", cases)
		cmd.Dir = filepath.Join(e2e, "clients", "python")
		return cmd
	}
}

func nodeTest(file string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		args := []string{"--test", "--test-timeout=60000"}
		if only != "" {
			args = append(args, "--test-name-pattern=^"+only+"$")
		}
		cmd := exec.CommandContext(ctx, "node", append(args, file)...)
		cmd.Dir = filepath.Join(e2e, "clients", "node")
		return cmd
	}
}
