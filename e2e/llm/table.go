package main

import (
	"fmt"
	"io"
	"strings"
)

// A row is what one case gave.
type row struct {
	name, seen     string
	problems       []string
	seconds, first float64
	input, output  int
}

func (r row) result() string {
	if len(r.problems) > 0 {
		return "FAILED"
	}
	return "ok"
}

func (r row) cells() []string {
	number := func(format string, v float64) string {
		if v == 0 {
			return ""
		}
		return fmt.Sprintf(format, v)
	}
	rate := 0.0
	if r.seconds > 0 {
		rate = float64(r.output) / r.seconds
	}
	return []string{r.name, r.result(), number("%.2f", r.seconds), number("%.2f", r.first), number("%.0f", float64(r.input)),
		number("%.0f", float64(r.output)), number("%.1f", rate), oneLine(r.seen)}
}

const seenWidth = 110 // characters of the last column

// oneLine makes s fit a cell of a Markdown table.
func oneLine(s string) string {
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "\\|")
	if runes := []rune(s); len(runes) > seenWidth {
		s = string(runes[:seenWidth-1]) + "…"
	}
	return s
}

// printTable prints the rows as a Markdown table, then the failures. It
// returns their number.
func printTable(w io.Writer, rows []row) (failed int) {
	lines := [][]string{{"case", "result", "seconds", "first delta", "input tokens", "output tokens", "tokens/s", "seen"}}
	for _, r := range rows {
		lines = append(lines, r.cells())
	}
	widths := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, cell := range cells {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	fmt.Fprintln(w)
	for n, cells := range lines {
		for i, cell := range cells {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", widths[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprint(w, "|", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
	fmt.Fprintln(w)
	for _, r := range rows {
		if len(r.problems) > 0 {
			failed++
			fmt.Fprintf(w, "FAILED %s\n  %s\n  alone: cd e2e && go run ./llm %s\n", r.name, strings.Join(r.problems, "\n  "), r.name)
		}
	}
	fmt.Fprintf(w, "%d passed, %d failed\n", len(rows)-failed, failed)
	return failed
}
