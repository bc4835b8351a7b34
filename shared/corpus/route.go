package corpus

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	_, file, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "..", "policy", "testdata", "routes.json"))
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	all := new(Routing)
	if err := decoder.Decode(all); err != nil {
		return nil, fmt.Errorf("routes.json: %w", err)
	}
	for i := range all.Cases {
		c := &all.Cases[i]
		if c.Method == "" {
			c.Method = "POST"
		}
		if c.Target == "" {
			c.Target = "/v1/responses"
		}
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
