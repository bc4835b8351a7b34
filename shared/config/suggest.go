package config

import "strings"

// unknown is what to say about a key that the table does not have.
func unknown(path string) string {
	if near := nearest(path); near != "" {
		return "unknown key, did you mean " + near + "?"
	}
	section, _ := cut(path)
	names := strings.Join(children(section), ", ")
	if section == "" {
		return "unknown key, allowed at the top: " + names
	}
	return "unknown key, allowed in " + section + ": " + names
}

// nearest is the key that was probably meant: one spelled almost the same in
// the same section, or one of the same name elsewhere.
func nearest(path string) string {
	section, name := cut(path)
	best, far := "", 1+len(name)/3
	for _, child := range children(section) {
		if d := distance(name, child); d <= far {
			best, far = join(section, child), d-1
		}
	}
	if best != "" {
		return best
	}
	for _, k := range table {
		if _, last := cut(k.path); last == name {
			return k.path
		}
	}
	return ""
}

// children are the names of the keys and sections directly in a section, in the
// order of the table. The section "" is the top.
func children(section string) []string {
	var names []string
	for _, k := range table {
		rest := k.path
		if section != "" {
			var inside bool
			if rest, inside = strings.CutPrefix(k.path, section+"."); !inside {
				continue
			}
		}
		name, _, _ := strings.Cut(rest, ".")
		if len(names) == 0 || names[len(names)-1] != name {
			names = append(names, name)
		}
	}
	return names
}

// cut splits the last name off a path.
func cut(path string) (section, name string) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

func join(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

// distance is how many bytes must be inserted, deleted or replaced to make b
// of a (Levenshtein). Long texts are far from everything.
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}
