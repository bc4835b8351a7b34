// Command llm starts a real vLLM on this machine's CPU with a small real
// model, a chain of antwort in front of it, and sends the chain what its users
// send: the quickstart's requests, tools, structured outputs, streams, wrong
// requests; and runs a session of the real Codex. It prints what came, with times
// and tokens. From the folder e2e, after llm/install and clients/install node:
//
//	go run ./llm                     everything; about 7 minutes
//	go run ./llm json-schema         one case
//	go run ./llm -chain envoy+serve  another chain, see clients/run
//	go run ./llm -llm http://…       a vLLM that runs already, with the flags of phases
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"antwort/e2e/chain"
	"antwort/e2e/child"
)

// A phase is a start of vLLM and the cases that need its flags: vLLM's parsers
// for reasoning and for tools do not stream together. What the reasoning cases
// force on the model must hold while it reasons as well.
type phase struct {
	name  string
	flags []string
	cases []testCase
}

var phases = []phase{
	{"tools", []string{"--enable-auto-tool-choice", "--tool-call-parser", "hermes"}, slices.Concat(textCases, toolCases, formatCases, errorCases, conductCases, compactCases)},
	{"reasoning", []string{"--reasoning-parser", "granite", "--structured-outputs-config.enable_in_reasoning=true"}, reasoningCases},
	{"codex", codexFlags, codexCases},
}

const modelStartLimit = 5 * time.Minute

func main() {
	ctx, stop := child.Context()
	defer stop()
	tiers := flag.String("chain", "serve+serve", "subcommands of antwort, the client's tier first")
	antwort := flag.String("antwort", "../bin/antwort", "the binary under test")
	model := flag.String("llm", "", "base URL of a vLLM that runs already")
	flag.Parse()
	failed, err := run(ctx, *antwort, strings.Split(*tiers, "+"), *model, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e-llm:", err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, antwort string, tiers []string, model string, only []string) (failed int, err error) {
	antwort, err = filepath.Abs(antwort)
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(antwort); err != nil {
		return 0, fmt.Errorf("the binary under test: %w: run make build", err)
	}
	var rows []row
	for _, p := range phases {
		if len(only) > 0 {
			p.cases = slices.DeleteFunc(slices.Clone(p.cases), func(c testCase) bool { return !slices.Contains(only, c.name) })
		}
		if len(p.cases) == 0 {
			continue
		}
		more, err := runPhase(ctx, p, antwort, tiers, model)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		rows = append(rows, more...)
	}
	if len(rows) == 0 {
		return 0, fmt.Errorf("no case is named %s", strings.Join(only, ", "))
	}
	return printTable(os.Stdout, rows), nil
}

func runPhase(ctx context.Context, p phase, antwort string, tiers []string, model string) (rows []row, err error) {
	dir, err := filepath.Abs(filepath.Join(".cache", "llm-run", p.name))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if model == "" {
		var vllm *chain.Process
		if vllm, model, err = startModel(ctx, dir, p.flags); err != nil {
			return nil, err
		}
		// vLLM's status after SIGTERM is its own affair.
		defer func() { _ = vllm.Stop() }()
	}
	opt := chain.Options{Antwort: antwort, Tiers: tiers, Upstream: model, Dir: dir, Log: say}
	c, err := chain.Start(ctx, opt)
	if err != nil {
		return nil, err
	}
	for _, tc := range p.cases {
		s := &session{ctx: ctx, options: opt, url: c.BaseURL, backend: c.BackendURL, model: model}
		r := s.run(tc)
		say("%s: %s", tc.name, r.result())
		rows = append(rows, r)
		if ctx.Err() != nil {
			break
		}
	}
	if err := c.Stop(); err != nil && ctx.Err() == nil {
		rows = append(rows, row{name: "chain-ends", problems: []string{err.Error()}})
	}
	return rows, ctx.Err()
}

// startModel starts vLLM and returns its base URL.
func startModel(ctx context.Context, dir string, flags []string) (*chain.Process, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	log := filepath.Join(dir, "vllm.log")
	say("start vLLM %s (about 40 s; log: %s) …", strings.Join(flags, " "), log)
	start := time.Now()
	p, err := chain.StartProcess(ctx, "vLLM", log, filepath.Join("llm", "serve"), append([]string{fmt.Sprint(port)}, flags...)...)
	if err != nil {
		return nil, "", err
	}
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	if err := p.WaitReady(ctx, url+"/health", modelStartLimit); err != nil {
		_ = p.Stop() // the first error is the one to tell
		return nil, "", err
	}
	say("vLLM is up after %.0f s", time.Since(start).Seconds())
	return p, url, nil
}

func say(format string, args ...any) { fmt.Printf("e2e-llm: "+format+"\n", args...) }
