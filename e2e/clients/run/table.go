package main

import (
	"fmt"
	"io"
	"strings"

	"antwort/e2e/clients/report"
)

// A row is one line of the table.
type row struct {
	chain, client string
	report.Result
}

// printTable prints the rows, then each failure with how to run it alone, then
// the totals. It returns the number of failures.
func printTable(w io.Writer, rows []row) (failed int) {
	skipped := 0
	chainWidth, clientWidth, caseWidth := len("chain"), len("client"), len("case")
	for _, r := range rows {
		chainWidth, clientWidth, caseWidth = max(chainWidth, len(r.chain)), max(clientWidth, len(r.client)), max(caseWidth, len(r.Case))
	}
	line := func(chain, client, name, result, seconds, proves string) {
		fmt.Fprintf(w, "%-*s  %-*s  %-*s  %-6s  %7s  %s\n", chainWidth, chain, clientWidth, client, caseWidth, name, result, seconds, proves)
	}
	fmt.Fprintln(w)
	line("chain", "client", "case", "result", "seconds", "proves")
	for _, r := range rows {
		result := "ok"
		switch {
		case !r.OK:
			result = "FAILED"
			failed++
		case r.Skipped != "":
			result = "-"
			skipped++
			r.Proves = r.Skipped + ": " + r.Proves
		}
		line(r.chain, r.client, r.Case, result, fmt.Sprintf("%.2f", r.Seconds), r.Proves)
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		if !r.OK {
			fmt.Fprintf(w, "FAILED %s %s/%s: %s\n  alone: cd e2e && go run ./clients/run -chain %s %s/%s\n", r.chain, r.client, r.Case,
				strings.ReplaceAll(strings.TrimSpace(r.Error), "\n", "\n    "), r.chain, r.client, r.Case)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", len(rows)-failed-skipped, failed, skipped)
	return failed
}
