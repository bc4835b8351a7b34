package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	seenBegins = "<!-- What `make e2e-clients` saw: written by it, not by hand. -->\n"
	seenEnds   = "<!-- The end of what it saw. -->\n"
)

// writeDocument puts what was seen between the page's two marks.
func writeDocument(e2e, file string, chains []string, rows []row) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(b), seenBegins)
	_, after, ends := strings.Cut(rest, seenEnds)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for what was seen: want the lines\n%s%s", file, seenBegins, seenEnds)
	}
	seen, err := seenMarkdown(e2e, chains, rows)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(before+seenBegins+seen+seenEnds+after), 0o644)
}

// seenMarkdown is a table of the clients, and one of their cases.
func seenMarkdown(e2e string, chains []string, rows []row) (string, error) {
	var b strings.Builder
	header := "| | version |"
	for _, c := range chains {
		header += " " + c + " |"
	}
	fmt.Fprintf(&b, "\n%s\n|---|---|%s\n", header, strings.Repeat("--:|", len(chains)))
	for _, c := range clients {
		version := ""
		if c.version != nil {
			var err error
			if version, err = c.version(e2e); err != nil {
				return "", err
			}
		}
		fmt.Fprintf(&b, "| %s | %s |", c.product, version)
		for _, chain := range chains {
			fmt.Fprintf(&b, " %s |", tally(rows, chain, c.name))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\n<details><summary>Every case</summary>\n\n| | case | shows |")
	for _, c := range chains {
		b.WriteString(" " + c + " |")
	}
	fmt.Fprintf(&b, "\n|---|---|---|%s\n", strings.Repeat("---|", len(chains)))
	for _, c := range clients {
		for _, name := range cases(rows, c.name) {
			fmt.Fprintf(&b, "| %s | %s |", c.product, name)
			for i, chain := range chains {
				r := find(rows, chain, c.name, name)
				if i == 0 {
					fmt.Fprintf(&b, " %s |", strings.ReplaceAll(r.Proves, "|", "\\|"))
				}
				fmt.Fprintf(&b, " %s |", r.mark())
			}
			b.WriteByte('\n')
		}
	}
	b.WriteString("\n</details>\n\n")
	return b.String(), nil
}

// tally says how many cases of a client passed, of how many that ran.
func tally(rows []row, chain, client string) string {
	passed, ran := 0, 0
	for _, r := range rows {
		if r.chain == chain && r.client == client && r.Skipped == "" {
			ran++
			if r.OK {
				passed++
			}
		}
	}
	if passed == ran {
		return fmt.Sprintf("all %d", ran)
	}
	return fmt.Sprintf("%d of %d", passed, ran)
}

// mark is a case's result in a cell.
func (r *row) mark() string {
	switch {
	case r.Case == "":
		return ""
	case !r.OK:
		return "fails"
	case r.Skipped != "":
		return r.Skipped
	}
	return "✓"
}

// cases are the names of a client's cases, in the order of their first run.
func cases(rows []row, client string) (names []string) {
	for _, r := range rows {
		if r.client == client && !slices.Contains(names, r.Case) {
			names = append(names, r.Case)
		}
	}
	return names
}

func find(rows []row, chain, client, name string) row {
	for _, r := range rows {
		if r.chain == chain && r.client == client && r.Case == name {
			return r
		}
	}
	return row{}
}
