package config

import (
	"strconv"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	Path   string // of the key, for example "engine.provider"; "" for the whole file
	Source string // the environment variable that has the value; "" for the file
	Text   string // what is wrong and what is allowed, never a secret
}

func (p Problem) Error() string {
	switch {
	case p.Path == "":
		return p.Text
	case p.Source != "":
		return p.Source + " (" + p.Path + "): " + p.Text
	case !isGraphic(p.Path) || len(p.Path) > 200:
		return strconv.QuoteToASCII(p.Path[:min(len(p.Path), 200)]) + ": " + p.Text
	}
	return p.Path + ": " + p.Text
}

// Problems are all mistakes found in a configuration, as one error.
type Problems []Problem

func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(p.Error())
	}
	return b.String()
}

// add is not inlined: its many copies were 40 KB of the filter.
//
//go:noinline
func (ps *Problems) add(path, source, text string) {
	*ps = append(*ps, Problem{path, source, text})
}

// entryAt is the path of an entry of a list.
//
//go:noinline
func entryAt(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// about reports whether one of them is about this key.
func (ps Problems) about(path string) bool {
	for _, p := range ps {
		if p.Path == path {
			return true
		}
	}
	return false
}

// err is nil when there is none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}
