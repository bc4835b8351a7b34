package policy

import (
	"strings"

	"antwort/shared/responses"
)

// Passed are the endpoints beside the Responses API that engine.pass names. Their
// requests go to the backends unchanged.
type Passed struct {
	exact map[string]*Endpoint
	below []*Endpoint // whose names end in "/*"
}

// passedMethods are those of the whole API; which of them an endpoint has, its
// backend says.
const passedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE" //nolint:gosec // names of methods, no credentials

// NewPassed returns the endpoints of names such as chat/completions and audio/*.
// Each is there with /v1 in its path and without: vLLM has some at the root.
func NewPassed(names []string) *Passed {
	p := &Passed{exact: make(map[string]*Endpoint)}
	for _, name := range names {
		e := &Endpoint{Name: "/v1/" + name, Allow: passedMethods, Passes: true}
		if strings.HasSuffix(name, "/*") {
			p.below = append(p.below, e)
			continue
		}
		p.exact["/v1/"+name], p.exact["/"+name] = e, e
	}
	return p
}

// A PassedPath is one path of a passed endpoint, for what routes by paths.
type PassedPath struct {
	Endpoint string // "/v1/audio/*"
	Path     string // "/audio/"
	Below    bool   // all that begins so
}

// PassedPaths returns the paths of the endpoints that engine.pass names.
func PassedPaths(names []string) (all []PassedPath) {
	for _, name := range names {
		path, below := strings.CutSuffix(name, "*")
		all = append(all, PassedPath{"/v1/" + name, "/v1/" + path, below}, PassedPath{"/v1/" + name, "/" + path, below})
	}
	return all
}

// Find returns the endpoint of a path, escaped and without its query; nil when
// none is named so.
func (p *Passed) Find(path string) *Endpoint {
	if e := p.exact[path]; e != nil {
		return e
	}
	for _, e := range p.below {
		prefix := strings.TrimSuffix(e.Name, "*")
		rest, ok := strings.CutPrefix(path, prefix)
		if !ok {
			rest, ok = strings.CutPrefix(path, strings.TrimPrefix(prefix, "/v1"))
		}
		if ok && isSteps(rest) {
			return e
		}
	}
	return nil
}

// isSteps reports whether s is steps of a path that mean the same to every
// reader.
func isSteps(s string) bool {
	if len(s) > 512 {
		return false
	}
	for step := range strings.SplitSeq(s, "/") {
		if strings.Trim(step, ".") == "" || !isPlain(step) {
			return false
		}
	}
	return true
}

// namesModel reports whether requests with this method have a body, which names
// their model.
func namesModel(method string) bool { return method == "POST" || method == "PUT" || method == "PATCH" }

// modelInForm refuses a passed request whose model would have to be read, and
// which is no JSON: audio comes as a form.
func modelInForm(e *Endpoint, err *responses.Error) *responses.Error {
	err.Message += ": the model of " + e.Name + " is read from JSON only, and routes or the models of your API key depend on it"
	return err
}

// modelUnread refuses a passed request whose model decides, where no body is read
// in time.
func modelUnread(e *Endpoint) *responses.Error {
	return responses.NewError(403, "model_not_read",
		"the model of "+e.Name+" decides here, and this gateway reads no body before it goes on: its operator can set filter.profile gated")
}
