package explain

import (
	"strconv"
	"strings"

	"github.com/valyala/fastjson"
)

// member is the path of a member of what stands at a path; "" is the document.
func member(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// within reports whether a path is that of a field of the request, or below it.
func within(path, field string) bool {
	rest, is := strings.CutPrefix(path, field)
	return is && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// at is what stands at a path; nil: nothing. Names with dots and brackets in them are
// found where they are names of the document itself.
func at(v *fastjson.Value, path string) *fastjson.Value {
	if found := v.Get(path); found != nil {
		return found
	}
	for _, s := range steps(path) {
		if i, err := strconv.Atoi(s.name); err == nil && s.isIndex {
			list := v.GetArray()
			if i < 0 || i >= len(list) {
				return nil
			}
			v = list[i]
		} else if v = v.Get(s.name); v == nil {
			return nil
		}
	}
	return v
}

// A step is one of a path.
type step struct {
	name    string
	isIndex bool
}

// steps are those of a path.
func steps(path string) (all []step) {
	for part := range strings.SplitSeq(path, ".") {
		name, rest, listed := strings.Cut(part, "[")
		all = append(all, step{name: name})
		for listed {
			var index string
			index, rest, _ = strings.Cut(rest, "]")
			all = append(all, step{index, true})
			rest, listed = strings.CutPrefix(rest, "[")
		}
	}
	return all
}
