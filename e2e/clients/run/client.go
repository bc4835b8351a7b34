package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A client is one suite: a client library or program, unmodified, and what
// drives it.
type client struct {
	name      string
	product   string   // what users call it
	version   pin      // where its version stands
	dropTools bool     // runs against the chain that drops tools that nobody here can run
	packages  []string // what clients/install installs for it
	// command runs all cases of the suite, or the only one, from the folder
	// e2e, and has what it needs beside the environment. It writes its results
	// to E2E_RESULTS and finds the chain in BASE_URL.
	command func(ctx context.Context, e2e, only string) *exec.Cmd
}

var (
	python     = []string{"python"}
	llamaindex = []string{"llamaindex"}
	node       = []string{"node"}
	java       = []string{"java"}
)

// missing names a program that the suite needs and that clients/install cannot
// install, "" when all are there.
func (c *client) missing() string {
	if slices.Equal(c.packages, java) {
		for _, program := range []string{"javac", "mvn"} {
			if _, err := exec.LookPath(program); err != nil {
				return program
			}
		}
	}
	return ""
}

var clients = []client{
	{"codex", "Codex CLI", npm("@openai/codex"), true, node, goTest("codex", "TestClient")},
	{"codex-refuse", "Codex CLI, tools not dropped", npm("@openai/codex"), false, node, goTest("codex", "TestRefuse")},
	{"codex-requests", "requests as Codex sends them", nil, true, nil, goTest("codexrequests", "TestClient")},
	{"opencode", "opencode", npm("opencode-linux-x64"), false, node, nodeTest("opencode")},
	{"copilot", "Copilot CLI", npm("@github/copilot"), false, node, nodeTest("copilot")},
	{"pi", "pi", npm("@mariozechner/pi-coding-agent"), false, node, nodeTest("pi")},
	{"openai-python", "openai-python", pypi("openai"), false, python, pytest("python", "openai")},
	{"openai-node", "openai-node", npm("openai"), false, node, nodeTest("openai")},
	{"openai-go", "openai-go", goModule("github.com/openai/openai-go/v3"), false, nil, goTest("openai-go", "TestClient")},
	{"openai-java", "openai-java", maven("openai-java"), false, java, javaMain},
	{"agents-python", "Agents SDK (Python)", pypi("openai-agents"), false, python, pytest("python", "agents")},
	{"agents-js", "Agents SDK (JavaScript)", npm("@openai/agents"), false, node, nodeTest("agents")},
	{"ai-sdk", "AI SDK, `@ai-sdk/openai`", npm("@ai-sdk/openai"), false, node, nodeTest("ai-sdk")},
	{"langchain-python", "LangChain (Python)", pypi("langchain-openai"), false, python, pytest("python", "langchain")},
	{"langchain-js", "LangChain (JavaScript)", npm("@langchain/openai"), false, node, nodeTest("langchain")},
	{"pydantic-ai", "pydantic-ai", pypi("pydantic-ai-slim"), false, python, pytest("python", "pydantic_ai")},
	{"llamaindex", "LlamaIndex", llamaindexPin("llama-index-llms-openai"), false, llamaindex, pytest("llamaindex", "llamaindex")},
	{"agent-framework", "Microsoft Agent Framework", pypi("agent-framework-openai"), false, python, pytest("python", "agent_framework")},
	{"haystack", "Haystack", pypi("haystack-ai"), false, python, pytest("python", "haystack")},
	{"llm", "llm", pypi("llm"), false, python, pytest("python", "llm")},
}

// loopback keeps a client on this machine: every other request would go to a
// proxy that is not there.
var loopback = []string{"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1,localhost"}

// goTest runs one test function of a package, whose subtests are the cases.
func goTest(folder, test string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		pattern := "^" + test + "$"
		if only != "" {
			pattern += "/^" + only + "$"
		}
		cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=5m", "-run", pattern, "./clients/"+folder)
		cmd.Dir = e2e
		return cmd
	}
}

// pytest runs one test file in a virtual environment.
func pytest(environment, file string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		cases := "test_" + file + ".py"
		if only != "" {
			cases += "::test_" + strings.ReplaceAll(only, "-", "_")
		}
		cmd := exec.CommandContext(ctx, filepath.Join(e2e, ".cache", environment, "bin", "python"), "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", cases)
		cmd.Dir, cmd.Env = filepath.Join(e2e, "clients", "python"), loopback
		return cmd
	}
}

func nodeTest(file string) func(context.Context, string, string) *exec.Cmd {
	return func(ctx context.Context, e2e, only string) *exec.Cmd {
		args := []string{"--test", "--test-timeout=120000"}
		if only != "" {
			args = append(args, "--test-name-pattern=^"+only+"$")
		}
		cmd := exec.CommandContext(ctx, "node", append(args, file+".test.mjs")...)
		cmd.Dir, cmd.Env = filepath.Join(e2e, "clients", "node"), loopback
		return cmd
	}
}

func javaMain(ctx context.Context, e2e, only string) *exec.Cmd {
	built := filepath.Join(e2e, ".cache", "java")
	args := []string{"-cp", filepath.Join(built, "classes") + ":" + filepath.Join(built, "dependency", "*"), "Main"}
	if only != "" {
		args = append(args, only)
	}
	cmd := exec.CommandContext(ctx, "java", args...)
	cmd.Dir = filepath.Join(e2e, "clients", "java")
	return cmd
}
