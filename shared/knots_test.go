package shared_test

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Files of a package that all reach each other, by the names that they use, are a knot: none
// of them can be read or changed alone. A package is untied before its knot is larger than this.
const (
	knotOfServer = 10
	knotOfFilter = 12
	filesServer  = 12 // that server itself has
)

func TestKnots(t *testing.T) {
	l := &loader{files: token.NewFileSet(), seen: map[string]*types.Package{}}
	for name := range packages(t) {
		most := knotOfFilter
		switch {
		case name == "server" || strings.HasPrefix(name, "server/"):
			most = knotOfServer
		case name != "filter" && !strings.HasPrefix(name, "filter/"):
			continue
		}
		uses := l.uses(t, name)
		if name == "server" {
			require.LessOrEqual(t, len(uses), filesServer, "files of server itself")
		}
		for _, knot := range knots(uses) {
			require.LessOrEqual(t, len(knot), most, "%s: all of these files reach each other: %v", name, knot)
		}
	}
}

// loader reads packages of this module from their source.
type loader struct {
	files *token.FileSet
	seen  map[string]*types.Package
}

// Import has our own packages as they are and all others empty: what a file uses of its own
// package is the same.
func (l *loader) Import(path string) (*types.Package, error) {
	if p := l.seen[path]; p != nil {
		return p, nil
	}
	if name, ours := strings.CutPrefix(path, "antwort/"); ours {
		p, _, _, err := l.load(name)
		return p, err
	}
	p := types.NewPackage(path, path[strings.LastIndexByte(path, '/')+1:])
	p.MarkComplete()
	l.seen[path] = p
	return p, nil
}

func (l *loader) load(name string) (*types.Package, []*ast.File, *types.Info, error) {
	folder := filepath.Join("..", filepath.FromSlash(name))
	p, err := build.ImportDir(folder, 0)
	if err != nil {
		return nil, nil, nil, err
	}
	var all []*ast.File
	for _, file := range p.GoFiles {
		f, err := parser.ParseFile(l.files, filepath.Join(folder, file), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, nil, err
		}
		all = append(all, f)
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	conf := types.Config{Importer: l, Error: func(error) {}} // names of others are not there
	checked, _ := conf.Check("antwort/"+name, l.files, all, info)
	l.seen["antwort/"+name] = checked
	return checked, all, info, nil
}

// uses says of each file which others it uses something of: what the package declares, a
// method, or a field.
func (l *loader) uses(t *testing.T, name string) map[string][]string {
	t.Helper()
	p, files, info, err := l.load(name)
	require.NoError(t, err)
	all := map[string][]string{}
	for _, f := range files {
		from := l.base(f.Pos())
		all[from] = nil
		ast.Inspect(f, func(n ast.Node) bool {
			id, _ := n.(*ast.Ident)
			if id == nil {
				return true
			}
			o := info.Uses[id]
			if o == nil || o.Pkg() != p {
				return true
			}
			_, method := o.(*types.Func)
			v, variable := o.(*types.Var)
			if to := l.base(o.Pos()); to != from && (method || o.Parent() == p.Scope() || variable && v.IsField()) && !slices.Contains(all[from], to) {
				all[from] = append(all[from], to)
			}
			return true
		})
	}
	return all
}

func (l *loader) base(at token.Pos) string { return filepath.Base(l.files.Position(at).Filename) }

// knots are the sets of files that all reach each other.
func knots(uses map[string][]string) (all [][]string) {
	reach := map[string]map[string]bool{}
	for from := range uses {
		seen := map[string]bool{}
		for next := []string{from}; len(next) > 0; next = next[1:] {
			for _, to := range uses[next[0]] {
				if !seen[to] {
					seen[to] = true
					next = append(next, to)
				}
			}
		}
		reach[from] = seen
	}
	done := map[string]bool{}
	for from := range uses {
		var knot []string
		for to := range reach[from] {
			if reach[to][from] && !done[to] {
				knot = append(knot, to)
			}
		}
		for _, file := range knot {
			done[file] = true
		}
		if slices.Sort(knot); len(knot) > 1 {
			all = append(all, knot)
		}
	}
	return all
}
