package policy

import (
	"strings"

	"antwort/shared/config"
	"antwort/shared/jsontext"
)

// Reachable are the routes that some request of this caller can take, by index
// and in their order. The model of a does not matter.
func (r *Router) Reachable(a Ask) []int {
	var found []int
	for i := range r.routes {
		m := &r.routes[i].Match
		if !fits(m, &a) {
			continue
		}
		found = append(found, i)
		if len(m.Models) == 0 {
			break // takes all that is left
		}
	}
	return found
}

// ModelList is the body of GET /v1/models: what the routes offer to one caller,
// each model once.
type ModelList struct {
	router *Router
	ask    Ask
	caller *Identity // nil: nobody is asked
	seen   map[string]bool
	data   []byte
}

// NewModelList is an empty list.
func (r *Router) NewModelList(a Ask, caller *Identity) *ModelList {
	return &ModelList{router: r, ask: a, caller: caller, seen: make(map[string]bool)}
}

// mostModels is how many models are read of a backend's list.
const mostModels = 4096

// listLimits bound what is read of a list.
var listLimits = jsontext.Limits{Depth: 32, Values: 100_000}

// Add puts in what a backend of a route has listed: the entries whose names
// lead to this route and are allowed. Where the route sends another name
// upstream, the names that clients use stand in its place. It is false when
// the text is no list of models, or has too many.
func (l *ModelList) Add(route int, backend *config.Backend, body []byte) bool {
	if jsontext.Check(body, listLimits) != nil {
		return false
	}
	var data []byte
	jsontext.Members(body, func(name, value []byte, _ int) bool {
		if string(name) == "data" {
			data = value
		}
		return data == nil
	})
	if len(data) == 0 || data[0] != '[' {
		return false
	}
	left, before := mostModels, l.data
	jsontext.Elements(data, func(entry []byte) bool {
		if left--; left >= 0 {
			l.add(route, backend, entry)
		}
		return left >= 0
	})
	if left < 0 { // none of it: what is missing would not show
		l.data = before
	}
	return left >= 0
}

// add puts in an entry. One without a name, or with two, or with one that no request may
// have, is none.
func (l *ModelList) add(route int, backend *config.Backend, entry []byte) {
	var room nameRoom
	var model []byte
	at, names := 0, 0
	jsontext.Members(entry, func(name, value []byte, i int) bool {
		if string(room.meaning(name)) == "id" {
			model, at = value, i
			names++
		}
		return names < 2
	})
	text, isText := jsontext.Text(model)
	if names != 1 || !isText {
		return
	}
	id, err := modelName(text)
	if err != nil || id == "" {
		return
	}
	for _, name := range l.names(route, backend, id) {
		if l.begins(route, name) {
			l.data = append(l.data, entry[:at]...)
			l.data = jsontext.AppendString(l.data, name)
			l.data = append(l.data, entry[at+len(model):]...)
		}
	}
}

// names are those by which clients get a backend's model.
func (l *ModelList) names(route int, backend *config.Backend, id string) []string {
	if backend.Model == "" {
		return []string{id}
	}
	if backend.Model != id {
		return nil
	}
	names := []string{id}
	for _, model := range l.router.routes[route].Match.Models {
		if !strings.Contains(model, "*") {
			names = append(names, model)
		}
	}
	return names
}

// begins begins an entry, if the caller gets to the route by this name and it is there for
// the first time.
func (l *ModelList) begins(route int, name string) bool {
	ask := l.ask
	ask.Model = name
	if l.seen[name] || l.router.Choose(ask) != route || l.caller.Allows(name) != nil {
		return false
	}
	l.seen[name] = true
	if l.data != nil {
		l.data = append(l.data, ',')
	}
	return true
}

// AddNames puts in the models that the routes name themselves, without asking a
// backend. It is false when there may be more: a reachable route takes names by
// a pattern, or all.
func (l *ModelList) AddNames() (all bool) {
	all = true
	for _, route := range l.router.Reachable(l.ask) {
		models := l.router.routes[route].Match.Models
		all = all && len(models) > 0
		for _, name := range models {
			if strings.Contains(name, "*") {
				all = false
				continue
			}
			if !l.begins(route, name) {
				continue
			}
			l.data = append(l.data, `{"id":`...)
			l.data = jsontext.AppendString(l.data, name)
			l.data = append(l.data, `,"object":"model","created":0,"owned_by":"antwort"}`...)
		}
	}
	return all
}

// Append appends the list.
func (l *ModelList) Append(dst []byte) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	return append(append(dst, l.data...), `]}`...)
}

// AppendModel appends one entry of the list; false when there is none of this
// name.
func (l *ModelList) AppendModel(dst []byte, name string) ([]byte, bool) {
	found := false
	jsontext.Elements(append(append([]byte{'['}, l.data...), ']'), func(entry []byte) bool {
		var room nameRoom
		jsontext.Members(entry, func(member, value []byte, _ int) bool {
			if string(room.meaning(member)) != "id" {
				return true
			}
			text, _ := jsontext.Text(value)
			found = string(jsontext.Decode(nil, text)) == name
			return false
		})
		if found {
			dst = append(dst, entry...)
		}
		return !found
	})
	return dst, found
}
