package shared_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// place is where a package stands in the picture of CONTRIBUTING.md: its line,
// from the top, and its column; -1 is the whole width.
type place struct{ line, column int }

// mayImport says whether the picture has an arrow: down, and either in the same
// column or to what stands below all columns.
func (p place) mayImport(q place) bool {
	return p.line < q.line && (q.column < 0 || q.column == p.column)
}

// picture reads the picture: lines of packages, in columns that "│" parts.
func picture(t *testing.T, text string) map[string]place {
	t.Helper()
	block := regexp.MustCompile("(?s)\n## Which package may import which\n.*?\n```\n(.*?)\n```\n").FindStringSubmatch(text)
	require.NotNil(t, block, "CONTRIBUTING.md has no picture of the packages")
	places := map[string]place{}
	for i, line := range strings.Split(block[1], "\n") {
		columns := strings.Split(line, "│")
		for column, packages := range columns {
			if len(columns) == 1 {
				column = -1
			}
			for _, name := range strings.Fields(packages) {
				if !strings.HasPrefix(name, "─") {
					assert.NotContains(t, places, name, "the picture has it twice")
					places[name] = place{i, column}
				}
			}
		}
	}
	return places
}

// packages are those of this module, without those that are tests only, and what
// of it each imports. The filter's entry is there for WebAssembly only.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for patterns, env := range map[string][]string{"antwort/...": nil, "antwort/wasm/...": {"GOOS=wasip1", "GOARCH=wasm"}} {
		cmd := exec.Command("go", "list", "-tags=tinygo", "-f", "{{if .GoFiles}}{{.ImportPath}} {{join .Imports \" \"}}{{end}}", patterns)
		cmd.Env, cmd.Stderr = append(os.Environ(), append(env, "GOWORK=off")...), os.Stderr
		out, err := cmd.Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			fields := strings.Fields(line)
			name := strings.TrimPrefix(fields[0], "antwort/")
			for _, imported := range fields[1:] {
				if of, ours := strings.CutPrefix(imported, "antwort/"); ours && !slices.Contains(all[name], of) {
					all[name] = append(all[name], of)
				}
			}
			if all[name] == nil {
				all[name] = []string{}
			}
		}
	}
	return all
}

// The picture of the packages in CONTRIBUTING.md is what they are: all of them
// stand in it and in the table, and every import goes its way.
func TestPictureOfThePackages(t *testing.T) {
	file, err := os.ReadFile("../CONTRIBUTING.md")
	require.NoError(t, err)
	places, all := picture(t, string(file)), packages(t)
	for name := range places {
		assert.Contains(t, all, name, "the picture has a package that is not there")
	}
	for name, imports := range all {
		from, ok := places[name]
		if !assert.True(t, ok, "the picture lacks %s", name) {
			continue
		}
		assert.Regexp(t, "(?m)^\\|[^|]*`"+regexp.QuoteMeta(name)+"`[^|]*\\|", string(file), "the table lacks %s", name)
		for _, imported := range imports {
			if to, ok := places[imported]; ok {
				assert.True(t, from.mayImport(to), "%s imports %s: the picture has no arrow for it", name, imported)
			}
		}
	}
}

func TestArrowsOfThePicture(t *testing.T) {
	places := picture(t, "\n## Which package may import which\n\n```\na   │ c\nb   │\n────\nd e\nf\n```\n")
	for arrow, allowed := range map[string]bool{
		"a b": true, "a d": true, "c d": true, "d f": true, // down, in a column or out of it
		"b a": false, "f d": false, "d e": false, // up, beside
		"c b": false, // into another column
		"d a": false,
	} {
		from, to, _ := strings.Cut(arrow, " ")
		assert.Equal(t, allowed, places[from].mayImport(places[to]), arrow)
	}
}
