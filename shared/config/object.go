package config

import (
	"strconv"
	"strings"
	"time"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// member is one member of an object in a list, and what reads it.
type member struct {
	name string
	read func(r *reader, path string, v *fastjson.Value)
}

// object reads the members of v; others are problems. hint, when not nil, may
// say more about an unknown one. It returns false when there was any problem.
func (r *reader) object(path string, v *fastjson.Value, members []member, hint func(name string) string) bool {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.name
	}
	allowed := strings.Join(names, ", ")
	object, err := v.Object()
	if err != nil {
		r.problems.add(path, "", "got "+hideText(fromJSON(v))+", want an object with "+allowed)
		return false
	}
	before := len(r.problems)
	seen := make(map[string]bool, object.Len())
	object.Visit(func(name []byte, v *fastjson.Value) {
		at := path + "." + string(name)
		if seen[string(name)] {
			r.problems.add(at, "", "the key occurs twice")
			return
		}
		seen[string(name)] = true
		for _, m := range members {
			if m.name == string(name) {
				m.read(r, at, v)
				return
			}
		}
		text := "unknown key, allowed here: " + allowed
		if hint != nil {
			if why := hint(string(name)); why != "" {
				text = why
			}
		}
		r.problems.add(at, "", text)
	})
	return len(r.problems) == before
}

// These are not inlined: with each copy the filter would have the function that
// it returns once more.

// textAt reads a text that accepts likes. A hidden one is not shown when it is
// wrong: it may be a key.
//
//go:noinline
func textAt(at *string, accepts func(string) bool, allowed string, hidden bool) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		in := fromJSON(v)
		if in.isText() && accepts(in.text) {
			*at = in.text
			return
		}
		got := in.got()
		if hidden {
			got = hideText(in)
		}
		r.problems.add(path, "", "got "+got+", want a text: "+allowed)
	}
}

// booleanAt reads true or false.
//
//go:noinline
func booleanAt(at *bool) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		switch v.Type() {
		case fastjson.TypeTrue:
			*at = true
		case fastjson.TypeFalse:
			*at = false
		default:
			r.problems.add(path, "", "got "+fromJSON(v).got()+", want true or false")
		}
	}
}

// integerAt reads a whole number within a range.
//
//go:noinline
func integerAt(at *int, least, most int) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		in := fromJSON(v)
		n, err := strconv.Atoi(in.text)
		if in.form != number || err != nil || n < least || n > most {
			r.problems.add(path, "", "got "+in.got()+", want an integer from "+strconv.Itoa(least)+" to "+strconv.Itoa(most))
			return
		}
		*at = n
	}
}

// durationAt reads a duration of at least a millisecond.
//
//go:noinline
func durationAt(at *time.Duration, most time.Duration) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		in := fromJSON(v)
		d, ok := parseDuration(in.text)
		if in.form != quoted || !ok || d < time.Millisecond || d > most {
			r.problems.add(path, "", "got "+in.got()+", want a duration from 1ms to "+FormatDuration(most)+", with a unit ms, s, m or h, such as 15s")
			return
		}
		*at = d
	}
}

// textsAt reads a list of texts that accepts likes.
//
//go:noinline
func textsAt(at *[]string, most int, accepts func(string) bool, allowed string) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		list := v.GetArray()
		if len(list) == 0 || len(list) > most {
			r.problems.add(path, "", "want a list of 1 to "+strconv.Itoa(most)+" texts, each "+allowed+"; leave it out for none")
			return
		}
		texts := make([]string, len(list))
		for i, v := range list {
			textAt(&texts[i], accepts, allowed, false)(r, entryAt(path, i), v)
		}
		*at = texts
	}
}

// hideText is got without a text, which may be a key.
func hideText(in input) string {
	if in.form == other {
		return in.got()
	}
	return Redacted
}

// objectWriter writes an object, leaving out what is not set.
type objectWriter struct {
	dst   []byte
	begun bool
}

func (w *objectWriter) name(name string) {
	if w.begun {
		w.dst = append(w.dst, ',')
	} else {
		w.dst, w.begun = append(w.dst, '{'), true
	}
	w.dst = append(jsontext.AppendString(w.dst, name), ':')
}

func (w *objectWriter) text(name, text string) {
	if text != "" {
		w.name(name)
		w.dst = jsontext.AppendString(w.dst, text)
	}
}

func (w *objectWriter) integer(name string, n, unset int) {
	if n != unset {
		w.name(name)
		w.dst = strconv.AppendInt(w.dst, int64(n), 10)
	}
}

func (w *objectWriter) flag(name string, is bool) {
	if is {
		w.name(name)
		w.dst = append(w.dst, "true"...)
	}
}

func (w *objectWriter) duration(name string, d time.Duration) {
	if d != 0 {
		w.text(name, FormatDuration(d))
	}
}

func (w *objectWriter) texts(name string, texts []string) {
	if len(texts) > 0 {
		w.name(name)
		w.dst = appendTexts(w.dst, texts)
	}
}

func (w *objectWriter) end() []byte {
	if !w.begun {
		w.dst = append(w.dst, '{')
	}
	return append(w.dst, '}')
}

// appendTexts appends a JSON array of strings.
func appendTexts(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	for i, text := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = jsontext.AppendString(dst, text)
	}
	return append(dst, ']')
}
