// Command openresponses runs the public suite of Open Responses through chains of
// antwort in front of its mock model. The suite is not a part of this project: a checkout
// of it (https://github.com/openresponses/openresponses, with its node_modules and bun)
// is named by OPENRESPONSES_SUITE. From the folder e2e:
//
//	OPENRESPONSES_SUITE=… go run ./openresponses
//	OPENRESPONSES_SUITE=… go run ./openresponses -chain envoy+serve
//
// It fails unless every case of the suite passes in every chain.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"antwort/e2e/chain"
	"antwort/e2e/child"
)

// suiteFolder is the variable that names the suite's checkout.
const suiteFolder = "OPENRESPONSES_SUITE"

func main() {
	ctx, stop := child.Context()
	defer stop()
	chains := flag.String("chain", "serve,serve+serve,keeps+serve,envoy+serve", "chains, as of ./clients/run")
	antwort := flag.String("antwort", "../bin/antwort", "the binary under test")
	flag.Parse()
	if err := run(ctx, *antwort, strings.Split(*chains, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "openresponses:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, antwort string, chains []string) error {
	folder := os.Getenv(suiteFolder)
	if folder == "" {
		return errors.New(suiteFolder + " names no checkout of the suite")
	}
	antwort, err := filepath.Abs(antwort)
	if err != nil {
		return err
	}
	var failed []error
	for _, tiers := range chains {
		seen, err := through(ctx, antwort, folder, tiers)
		if err != nil {
			return fmt.Errorf("%s: %w", tiers, err)
		}
		fmt.Printf("%-12s %d of %d\n", tiers, seen.Summary.Passed, seen.Summary.Total)
		for _, r := range seen.Results {
			if r.Status != "passed" {
				failed = append(failed, fmt.Errorf("%s: %s: %s %s", tiers, r.Name, r.Status, strings.Join(r.Errors, "; ")))
			}
		}
	}
	return errors.Join(failed...)
}

// results are what the suite says with --json.
type results struct {
	Summary struct{ Passed, Total int }
	Results []struct {
		Name, Status string
		Errors       []string
	}
}

// through runs the suite through one chain.
func through(ctx context.Context, antwort, folder, tiers string) (seen results, err error) {
	c, err := chain.Start(ctx, chain.Options{Antwort: antwort, Tiers: strings.Split(tiers, "+"), Dir: filepath.Join(".cache", "openresponses", tiers)})
	if err != nil {
		return seen, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(folder, "node_modules", ".bin", "bun"), "run", "bin/compliance-test.ts", //nolint:gosec // the folder is the developer's
		"--base-url", c.BaseURL+"/v1", "--api-key", "none", "--model", "/mnt/models", "--json")
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, os.Stderr
	var exit *exec.ExitError
	if err := child.Run(cmd); err != nil && !errors.As(err, &exit) { // with a case that failed its status is 1
		return seen, err
	}
	if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
		return seen, fmt.Errorf("the suite gave no results: %w", err)
	}
	if seen.Summary.Total == 0 {
		return seen, errors.New("the suite has run no case")
	}
	return seen, nil
}
