// Command run drives real clients, unmodified, through chains of antwort in
// front of its mock model, and prints a table of what they saw. From the folder
// e2e:
//
//	go run ./clients/run                        all clients, two servers in a row
//	go run ./clients/run openai-node            one client
//	go run ./clients/run openai-node/stream     one case
//	go run ./clients/run -chain envoy+serve,envoy  other chains, one after the other
//	go run ./clients/run -document ../docs/clients.md  also write what was seen there
//	BASE_URL=http://… go run ./clients/run      a chain that runs already, in front of mock-llm
//
// A chain is the subcommands of antwort joined by "+", the client's tier
// first; each is started as `antwort SUBCOMMAND --config FILE`. "keeps" is a serve
// that keeps responses in front of others that keep none. With BASE_URL,
// BASE_URL_DROP names the same chain with translation.unsupported_tools: drop
// (some clients need it; BASE_URL when unset), and UPSTREAM_URL its mock-llm.
// Where all tiers are "envoy" (E2E_WEBSOCKET=0 says so of BASE_URL), the last of which
// translates, there is no WebSocket, and its cases are skipped.
//
// Where no tier is "serve" (E2E_SERVER=0 says so of BASE_URL), the cases that
// only a server can pass are skipped.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"antwort/e2e/chain"
	"antwort/e2e/child"
	"antwort/e2e/clients/report"
)

// A runner runs suites through one chain.
type runner struct {
	ctx     context.Context
	e2e     string // folder
	antwort string // path of the binary
	chain   string
	tiers   []string
	env     []string // more for the suites
	out     string   // folder of results and logs
}

func main() {
	ctx, stop := child.Context()
	defer stop()
	chains := flag.String("chain", "serve+serve", "subcommands of antwort joined by +, the client's tier first; several chains by commas")
	antwort := flag.String("antwort", "../bin/antwort", "the binary under test")
	document := flag.String("document", "", "write what was seen into this page")
	list := flag.Bool("list", false, "print the clients and exit")
	flag.Parse()
	if *list {
		for _, c := range clients {
			fmt.Println(c.name)
		}
		return
	}
	failed, err := run(ctx, *antwort, strings.Split(*chains, ","), *document, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e-clients:", err)
		os.Exit(2)
	}
	if failed > 0 {
		os.Exit(1)
	}
}

func run(ctx context.Context, antwort string, chains []string, document string, only []string) (failed int, err error) {
	e2e, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	if _, err := os.Stat(filepath.Join(e2e, "clients", "run")); err != nil {
		return 0, fmt.Errorf("run this from the folder e2e: %w", err)
	}
	if antwort, err = filepath.Abs(antwort); err != nil {
		return 0, err
	}
	chosen, err := choose(only)
	if err != nil {
		return 0, err
	}
	out := filepath.Join(e2e, ".cache", "clients")
	if err := os.RemoveAll(out); err != nil {
		return 0, err
	}
	var rows []row
	for _, c := range chains {
		r := &runner{ctx: ctx, e2e: e2e, antwort: antwort, chain: c, tiers: strings.Split(c, "+"), out: filepath.Join(out, c)}
		more, err := r.all(chosen)
		if err != nil {
			return 0, err
		}
		rows = append(rows, more...)
	}
	failed = printTable(os.Stdout, rows)
	if document != "" && len(only) == 0 {
		return failed, writeDocument(e2e, document, chains, rows)
	}
	return failed, nil
}

// all runs the chosen clients, those that share a configuration of the chain
// together.
func (r *runner) all(chosen []choice) (rows []row, err error) {
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return nil, err
	}
	for _, drop := range []bool{false, true} {
		of := slices.DeleteFunc(slices.Clone(chosen), func(c choice) bool { return c.client.dropTools != drop })
		if len(of) == 0 {
			continue
		}
		more, err := r.group(of, drop)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// A choice is a client with the only case to run, "" for all.
type choice struct {
	client client
	only   string
}

func choose(args []string) ([]choice, error) {
	var chosen []choice
	if len(args) == 0 {
		for _, c := range clients {
			if missing := c.missing(); missing != "" {
				fmt.Fprintf(os.Stderr, "e2e-clients: %s is left out: %s is missing\n", c.name, missing)
				continue
			}
			chosen = append(chosen, choice{client: c})
		}
	}
	for _, arg := range args {
		name, only, _ := strings.Cut(arg, "/")
		i := slices.IndexFunc(clients, func(c client) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no client %q: -list prints their names", name)
		}
		chosen = append(chosen, choice{clients[i], only})
	}
	return chosen, nil
}

// group runs the clients that share one configuration of the chain.
func (r *runner) group(of []choice, drop bool) (rows []row, err error) {
	baseURL, upstream := os.Getenv("BASE_URL"), os.Getenv("UPSTREAM_URL")
	if url := os.Getenv("BASE_URL_DROP"); drop && url != "" {
		baseURL = url
	}
	if baseURL == "" {
		if _, err := os.Stat(r.antwort); err != nil {
			return nil, fmt.Errorf("the binary under test: %w: run make build", err)
		}
		dir := filepath.Join(r.out, "chain")
		if drop {
			dir += "-drop"
		}
		c, err := chain.Start(r.ctx, chain.Options{Antwort: r.antwort, Tiers: r.tiers, DropTool: drop, Dir: dir, Log: r.say})
		if err != nil {
			return nil, err
		}
		// How the chain ends is part of what is tested.
		defer func() {
			end := report.Result{Case: "chain-ends", Proves: "every tier ends with status 0 on SIGTERM", OK: true}
			if err := c.Stop(); err != nil && r.ctx.Err() == nil {
				end.OK, end.Error = false, err.Error()
			}
			rows = append(rows, row{r.chain, "antwort", end})
		}()
		baseURL, upstream = c.BaseURL, c.Upstream
		if !slices.Contains(r.tiers, "serve") {
			r.env = append(r.env, "E2E_SERVER=0")
		}
		if !passesWebSockets(r.tiers) {
			r.env = append(r.env, "E2E_WEBSOCKET=0")
		}
	}
	for _, c := range of {
		rows = append(rows, r.client(c, baseURL, upstream)...)
	}
	return rows, r.ctx.Err()
}

// passesWebSockets reports whether a WebSocket comes to a server: Envoy passes it on where it
// does not translate.
func passesWebSockets(tiers []string) bool {
	return slices.ContainsFunc(tiers, func(tier string) bool { return tier != "envoy" })
}

// client runs one suite and returns its rows; what keeps it from running is a
// row as well.
func (r *runner) client(c choice, baseURL, upstream string) []row {
	broken := func(err error) []row {
		return []row{{r.chain, c.client.name, report.Result{Case: "run", Proves: "the suite runs", Error: err.Error()}}}
	}
	if c.client.packages != nil {
		install := exec.CommandContext(r.ctx, filepath.Join(r.e2e, "clients", "install"), c.client.packages...)
		install.Stdout = os.Stdout
		install.Stderr = os.Stderr
		if err := child.Run(install); err != nil {
			return broken(fmt.Errorf("clients/install: %w", err))
		}
	}
	logFile := filepath.Join(r.out, c.client.name+".log")
	out, err := os.Create(logFile)
	if err != nil {
		return broken(err)
	}
	defer out.Close()
	results := filepath.Join(r.out, c.client.name+".jsonl")
	cmd := c.client.command(r.ctx, r.e2e, c.only)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(append(append(os.Environ(), cmd.Env...), r.env...), "BASE_URL="+baseURL, "UPSTREAM_URL="+upstream, "E2E_RESULTS="+results)
	start := time.Now()
	runErr := child.Run(cmd)

	rows, err := r.results(c.client.name, results)
	if err != nil {
		return append(rows, broken(err)...)
	}
	failed := 0
	for i := range rows {
		if !rows[i].OK {
			failed++
			rows[i].Error += "\nlog: " + logFile
		}
	}
	r.say("%s: %d ok, %d failed (%.0f s)", c.client.name, len(rows)-failed, failed, time.Since(start).Seconds())
	if len(rows) == 0 && c.only != "" {
		return broken(fmt.Errorf("no case %q, see %s", c.only, logFile))
	}
	if runErr != nil && failed == 0 {
		rows = append(rows, broken(fmt.Errorf("%w, see %s", runErr, logFile))...)
	}
	return rows
}

func (r *runner) results(client, file string) ([]row, error) {
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var rows []row
	for line := range strings.Lines(string(b)) {
		one := row{chain: r.chain, client: client}
		if err := json.Unmarshal([]byte(line), &one.Result); err != nil {
			return rows, fmt.Errorf("%s: %w", file, err)
		}
		rows = append(rows, one)
	}
	return rows, err
}

func (r *runner) say(format string, args ...any) {
	fmt.Printf("e2e-clients: "+r.chain+": "+format+"\n", args...)
}
