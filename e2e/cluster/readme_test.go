package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// readme is a README of the repository, of which users paste the code blocks.
type readme struct {
	name  string
	lines []string
}

// block is one code block.
type block struct{ language, text string }

func openReadme(t *testing.T, name string) readme {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, name))
	if err != nil {
		t.Fatal(err)
	}
	return readme{name, strings.Split(string(text), "\n")}
}

// blocks are those between a heading and the next one of any level.
func (r readme) blocks(t *testing.T, heading string) []block {
	t.Helper()
	var all []block
	in, found := false, false
	for i := 0; i < len(r.lines); i++ {
		line := r.lines[i]
		if strings.HasPrefix(line, "#") {
			in = strings.TrimLeft(line, "# ") == heading
			found = found || in
		}
		language, fenced := strings.CutPrefix(line, "```")
		if !fenced {
			continue
		}
		var b strings.Builder
		for i++; i < len(r.lines) && r.lines[i] != "```"; i++ {
			b.WriteString(r.lines[i] + "\n")
		}
		if in {
			all = append(all, block{language, b.String()})
		}
	}
	if !found {
		t.Fatalf("%s has no heading %q", r.name, heading)
	}
	return all
}
