package explain

import (
	"slices"
	"strings"

	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/valyala/fastjson"
)

// Field is what became of a field of the request, or of an object or array that went as a
// whole.
type Field struct {
	Field string           `json:"field"`
	Value string           `json:"value,omitempty"`
	Fates []translate.Fate `json:"fates"`
	To    []string         `json:"to,omitempty"`
	Why   string           `json:"why,omitempty"`
}

// Addition is what of the chat request comes from no field.
type Addition struct {
	To    string `json:"to"`
	Value string `json:"value"`
	Why   string `json:"why,omitempty"`
}

// Default is what the answer's resource shows although the request does not have it.
type Default struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// The fates that show by themselves.
const (
	echoed  translate.Fate = "echoed"
	refused translate.Fate = "refused"
	absent  translate.Fate = "absent" // null is the same
	unread  translate.Fate = "unread"
)

// account accounts for every field of a request: with what the translation has told of
// it, and with what the resource of the answer shows.
type account struct {
	body  *fastjson.Value
	shown *fastjson.Value // the resource; nil: there is none
	chat  *fastjson.Value
	notes map[string][]*translate.Note
	below map[string]bool // the objects and arrays in which something is told of
	trail *translate.Trail
	told  []Field
}

func newAccount(body []byte, trail *translate.Trail, resource []byte) *account {
	a := &account{body: parsed(body), trail: trail, notes: make(map[string][]*translate.Note), below: make(map[string]bool)}
	if resource != nil {
		a.shown = parsed(resource)
	}
	for i := range trail.Notes {
		n := &trail.Notes[i]
		a.notes[n.From] = append(a.notes[n.From], n)
		around(n.From, a.below)
	}
	return a
}

// parsed reads JSON that was checked.
func parsed(text []byte) *fastjson.Value {
	var p fastjson.Parser
	v, err := p.ParseBytes(text)
	if err != nil {
		return new(fastjson.Arena).NewNull()
	}
	return v
}

// fields accounts for all of them, in the request's order.
func (a *account) fields(chat []byte) []Field {
	a.chat = parsed(chat)
	a.visit("", a.body, a.shown)
	return a.told
}

// visit accounts for what stands at a path, and for what shows of it in the resource.
func (a *account) visit(path string, sent, shown *fastjson.Value) {
	echo := shows(sent, shown)
	below := path == "" || a.below[path]
	if path != "" && (len(a.notes[path]) > 0 || !below && (echo || sent.Type() != fastjson.TypeObject || sent.GetObject().Len() == 0)) {
		a.tell(path, sent, echo && !below)
		if !below || a.isDropped(path) {
			return
		}
	}
	switch sent.Type() {
	case fastjson.TypeObject:
		sent.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			a.visit(member(path, string(key)), v, shown.Get(string(key)))
		})
	case fastjson.TypeArray:
		a.visitList(path, sent.GetArray(), shown.GetArray())
	default:
		if path != "" && len(a.notes[path]) == 0 {
			a.tell(path, sent, echo)
		}
	}
}

// visitList accounts for the entries of a list. Those that were left out the resource
// does not show.
func (a *account) visitList(path string, sent, shown []*fastjson.Value) {
	next := 0
	for i, v := range sent {
		at := responses.At(path, i)
		var echo *fastjson.Value
		if next < len(shown) {
			echo = shown[next]
		}
		if a.isDropped(at) && !shows(v, echo) {
			echo = nil
		} else {
			next++
		}
		a.visit(at, v, echo)
	}
}

func (a *account) isDropped(path string) bool {
	return slices.ContainsFunc(a.notes[path], func(n *translate.Note) bool { return n.Fate == translate.Dropped })
}

// tell tells of the field at a path.
func (a *account) tell(path string, sent *fastjson.Value, echo bool) {
	f := Field{Field: path, Value: short(sent)}
	read := false
	for _, n := range a.notes[path] {
		switch {
		case sent.Type() == fastjson.TypeNull:
			continue
		case n.Fate == translate.Read:
			read = true
		case n.To != "" && at(a.chat, n.To) == nil:
			f.Why = "it says nothing"
			continue
		case !slices.Contains(f.Fates, n.Fate):
			f.Fates = append(f.Fates, n.Fate)
		}
		if n.To != "" && !slices.Contains(f.To, n.To) {
			f.To = append(f.To, n.To)
		}
		if f.Why == "" {
			f.Why = n.Why
		}
	}
	if read && len(f.Fates) == 0 {
		f.Fates = append(f.Fates, translate.Read)
	}
	if echo {
		f.Fates = append(f.Fates, echoed)
	}
	switch {
	case sent.Type() == fastjson.TypeNull:
		f.Fates, f.Why = []translate.Fate{absent}, "null is the same as absent"
	case len(f.Fates) == 0:
		f.Fates = append(f.Fates, translate.Lossy)
	}
	if f.Why == "" {
		f.Why = remark(&f, a.body)
	}
	if f.Why == "" && f.Fates[0] == translate.Lossy {
		f.Why = "the translation does not look at it"
	}
	a.told = append(a.told, f)
}

// refused accounts for the fields of a request that was refused for one of them.
func (a *account) refused(param string) []Field {
	var first []Field
	a.body.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		name := string(key)
		f := Field{Field: name, Value: short(v), Fates: []translate.Fate{unread}}
		if within(param, name) {
			f.Fates[0] = refused
			if at := at(a.body, param); at != nil {
				f.Field, f.Value = param, short(at)
			}
			first = append(first, f)
			return
		}
		a.told = append(a.told, f)
	})
	if first == nil && param != "" {
		first = []Field{{Field: param, Fates: []translate.Fate{refused}}}
	}
	return append(first, a.told...)
}

// forwarded accounts for the fields of a request that goes on as it came.
func (a *account) forwarded() []Field {
	a.body.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		a.told = append(a.told, Field{Field: string(key), Value: short(v), Fates: []translate.Fate{translate.Passed}, To: []string{string(key)}})
	})
	return a.told
}

// added is what of the chat request no field became.
func (a *account) added() (all []Addition) {
	told := make(map[string]string) // why, by path
	fields := make(map[string]bool) // what a field became
	from := make(map[string]bool)   // what has something of either in it
	for i := range a.trail.Notes {
		switch n := &a.trail.Notes[i]; {
		case n.Fate == translate.Added:
			told[n.To] = n.Why
			around(n.To, from)
		case n.To != "" && (n.From == past || at(a.body, n.From) != nil):
			fields[n.To] = true
			around(n.To, from)
		}
	}
	var visit func(path string, v *fastjson.Value)
	visit = func(path string, v *fastjson.Value) {
		why, is := told[path]
		switch {
		case is:
			all = append(all, Addition{path, short(v), why})
		case fields[path]:
		case path != "" && !from[path]:
			all = append(all, Addition{To: path, Value: short(v)})
		case v.Type() == fastjson.TypeObject:
			v.GetObject().Visit(func(key []byte, v *fastjson.Value) { visit(member(path, string(key)), v) })
		case v.Type() == fastjson.TypeArray:
			for i, v := range v.GetArray() {
				visit(responses.At(path, i), v)
			}
		}
	}
	visit("", a.chat)
	return all
}

// around marks the objects and arrays that a path leads through.
func around(path string, marked map[string]bool) {
	for i, c := range path {
		if c == '.' || c == '[' {
			marked[path[:i]] = true
		}
	}
}

// past is where the items come from that a store has.
const past = "previous_response_id"

// defaults is what the resource shows although the request does not have it.
func (a *account) defaults() (all []Default) {
	a.shown.GetObject().Visit(func(key []byte, v *fastjson.Value) {
		switch name := string(key); name {
		case "id", "object", "created_at", "completed_at", "status", "output", "error", "incomplete_details", "usage":
		default:
			if sent := a.body.Get(name); sent == nil || sent.Type() == fastjson.TypeNull {
				all = append(all, Default{name, short(v)})
			}
		}
	})
	return all
}

// shows reports whether what was sent shows in the resource, beside the members that it
// has by default.
func shows(sent, shown *fastjson.Value) bool {
	if shown == nil || sent.Type() != shown.Type() {
		return false
	}
	switch sent.Type() {
	case fastjson.TypeObject:
		same := true
		sent.GetObject().Visit(func(key []byte, v *fastjson.Value) {
			same = same && (v.Type() == fastjson.TypeNull || shows(v, shown.Get(string(key))))
		})
		return same
	case fastjson.TypeArray:
		return slices.EqualFunc(sent.GetArray(), shown.GetArray(), shows)
	case fastjson.TypeString:
		return string(sent.GetStringBytes()) == string(shown.GetStringBytes())
	case fastjson.TypeNumber:
		return sent.GetFloat64() == shown.GetFloat64()
	}
	return true
}

// longest is how much of a value is shown, in bytes.
const longest = 120

// short is a value as compact JSON, cut where it is long.
func short(v *fastjson.Value) string {
	text := string(v.MarshalTo(nil))
	if len(text) > longest {
		return strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}
