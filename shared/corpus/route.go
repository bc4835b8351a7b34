package corpus

import (
	"encoding/json"
	"strings"
)

// Routing are the cases of shared/policy/testdata/routes.json: where requests go
// by model, tenant and header. The same ones go to the policy, to the server, to
// the filter and to Envoy.
type Routing struct {
	Auth   json.RawMessage // section auth of the configuration
	Routes json.RawMessage // list routes, with http://NAME.example as the backend of route NAME
	Cases  []RouteCase
}

// A RouteCase is a request and where it goes.
type RouteCase struct {
	AccessCase
	Route string // where it goes; "": nowhere, it is answered with Status
	Sent  string // model that arrives there; the one that was asked for when empty
	Key   string // credential that arrives there
	// Unrouted says that no route matches: with engine.backend_url it goes there,
	// else it is answered with Status.
	Unrouted bool
	// Unread says that the model does not decide: the filter can do it in its
	// profile inline too.
	Unread bool
}

// LoadRouting returns the cases.
func LoadRouting() (*Routing, error) {
	all := new(Routing)
	if err := loadPolicy("routes.json", all); err != nil {
		return nil, err
	}
	for i := range all.Cases {
		all.Cases[i].complete()
	}
	return all, nil
}

// At is the list of routes with other addresses of their backends.
func (r *Routing) At(address func(route string) string) string {
	text := string(r.Routes)
	for _, name := range r.Names() {
		text = strings.ReplaceAll(text, "http://"+name+".example", address(name))
	}
	return text
}

// Names are those of the routes.
func (r *Routing) Names() (names []string) {
	var routes []struct{ Name string }
	if err := json.Unmarshal(r.Routes, &routes); err != nil {
		panic(err)
	}
	for _, route := range routes {
		names = append(names, route.Name)
	}
	return names
}
