package explain

import (
	"slices"
	"strings"
	"sync"

	"antwort/shared/translate"

	"github.com/valyala/fastjson"
)

// A row is one of the tables of FIELDS.md about requests, which the tests of package
// translate hold against the code.
type row struct {
	path    []step
	fates   []translate.Fate
	example *fastjson.Value
	remark  string
}

// rows are those that have a remark.
var rows = sync.OnceValue(func() (all []row) {
	for line := range strings.Lines(translate.FieldsTable) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if !strings.HasPrefix(line, "| `") || len(cells) != 5 {
			continue
		}
		remark := strings.Trim(strings.TrimSuffix(cells[4], "|"), " ")
		example := parsed([]byte(strings.Trim(cells[3], "`")))
		if remark == "" || example.Type() != fastjson.TypeObject {
			continue
		}
		r := row{path: steps(strings.Trim(cells[0], "| `")), example: example, remark: strings.ReplaceAll(remark, "`", "")}
		for fate := range strings.SplitSeq(cells[1], ", ") {
			r.fates = append(r.fates, translate.Fate(fate))
		}
		all = append(all, r)
	}
	return all
})

// remark is what FIELDS.md says beside the row that says of the field what became of it.
func remark(f *Field, body *fastjson.Value) string {
	path := steps(f.Field)
	for _, r := range rows() {
		if slices.Equal(r.fates, f.Fates) && r.is(path, body) {
			return r.remark
		}
	}
	return ""
}

// is reports whether the row is about the field at a path of a request: the names are the
// same, and so are the types of the objects around it.
func (r *row) is(path []step, body *fastjson.Value) bool {
	if len(path) != len(r.path) {
		return false
	}
	theirs, ours := r.example, body
	for i, s := range path {
		if s.isIndex != r.path[i].isIndex || !s.isIndex && s.name != r.path[i].name {
			return false
		}
		if typ := theirs.GetStringBytes("type"); typ != nil && string(typ) != string(ours.GetStringBytes("type")) {
			return false
		}
		if theirs, ours = theirs.Get(r.path[i].name), ours.Get(s.name); theirs == nil || ours == nil {
			return false
		}
	}
	return ours.Type() == fastjson.TypeObject || ours.Type() == fastjson.TypeArray || theirs.Type() != fastjson.TypeString || !isChoice(path) || string(theirs.GetStringBytes()) == string(ours.GetStringBytes())
}

// isChoice reports whether the field at a path is one whose value says what the rest is:
// a row is about one value of it.
func isChoice(path []step) bool {
	last := path[len(path)-1]
	return last.isIndex || last.name == "type" || last.name == "role"
}
