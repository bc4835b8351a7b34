package console

import (
	"net/http"
	"strings"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// route is a route as the page draws it.
type route struct {
	Name     string        `json:"name"`
	Provider string        `json:"provider"`
	Balance  string        `json:"balance"`
	Models   []string      `json:"models"`
	Tenants  []string      `json:"tenants"`
	Headers  [][2]string   `json:"headers"`
	Backends []destination `json:"backends"`
}

type destination struct {
	URL         string `json:"url"`
	Weight      int    `json:"weight"`
	Priority    int    `json:"priority"`
	Model       string `json:"model,omitempty"` // that it is asked for instead
	MaxRequests int    `json:"max_requests,omitempty"`
}

// routes answers with where requests go by the configuration in force.
func (c *Console) routes(w http.ResponseWriter, _ *http.Request) {
	all := []route{}
	for _, r := range c.opt.Config().AllRoutes() {
		next := route{Name: r.Name, Provider: string(r.Backends[0].Provider), Balance: r.Balance, Models: r.Match.Models, Tenants: r.Match.Tenants}
		for _, h := range r.Match.Headers {
			next.Headers = append(next.Headers, [2]string{h.Name, h.Value})
		}
		for _, b := range r.Backends {
			next.Backends = append(next.Backends, destination{b.URL, b.Weight, b.Priority, b.Model, b.MaxRequests})
		}
		all = append(all, next)
	}
	c.answer(w, map[string]any{"routes": all, "default_model": c.opt.Config().Engine.DefaultModel})
}

// decided says which route takes a request, and why not one before.
type decided struct {
	Route   int      `json:"route"` // -1: none
	Model   string   `json:"model"`
	Kind    string   `json:"kind,omitempty"` // why none does
	Problem string   `json:"problem,omitempty"`
	Lacks   []string `json:"lacks"` // of each route: which of its conditions the request does not meet; "": none
}

// decide asks the policy which route takes a request, as every request is decided about.
func (c *Console) decide(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Model, Tenant string
		Headers       [][2]string
	}
	if !c.question(w, r, &q) {
		return
	}
	field := valuesIn(q.Headers)
	model := q.Model
	if model == "" {
		model = c.opt.Config().Engine.DefaultModel
	}
	body, err := bodyFor(q.Model)
	if err != nil {
		fail(w, http.StatusBadRequest, "the model has no JSON")
		return
	}
	d, f := c.opt.Decider().Begin(policy.Request{
		Endpoint: policy.Create, Method: http.MethodPost, Caller: policy.NewIdentity("", q.Tenant, "", nil), HasBody: true, Field: field,
	})
	if f == nil && d.Need == policy.Body {
		f = d.Body(body)
	}
	if f == nil && d.Need == policy.Translation {
		f = d.Translated(model, body, nil)
	}
	answer := decided{Route: d.Route, Model: d.Model, Lacks: []string{}}
	if f != nil {
		answer.Route, answer.Kind = -1, f.Kind.String()
		if answer.Model == "" {
			answer.Model = model
		}
		if f.Reply != nil {
			answer.Problem = f.Reply.Message
		}
		if f.Kind != failure.NoRoute {
			answer.Route = d.Route
		}
	}
	ask := policy.Ask{Model: answer.Model, Tenant: q.Tenant, Values: field}
	for _, one := range c.opt.Config().AllRoutes() {
		answer.Lacks = append(answer.Lacks, lacks(one.Match, ask))
	}
	c.answer(w, answer)
}

// valuesIn finds the values of a field, by its name in lower case, in a header that the
// page has sent, which is one of JSON.
func valuesIn(header [][2]string) func(name string) []string {
	fields := map[string][]string{"content-type": {"application/json"}}
	for _, h := range header {
		name := strings.ToLower(h[0])
		fields[name] = append(fields[name], h[1])
	}
	return func(name string) []string { return fields[name] }
}

// lacks says which condition of a route a request does not meet, by the policy's word for
// a route that has this condition only.
func lacks(m config.Match, ask policy.Ask) string {
	for _, h := range m.Headers {
		if !ask.Meets(&config.Match{Headers: []config.HeaderMatch{h}}) {
			return "header " + h.Name
		}
	}
	switch {
	case !ask.Meets(&config.Match{Tenants: m.Tenants}):
		return "tenant"
	case !ask.Meets(&config.Match{Models: m.Models}):
		return "model"
	}
	return ""
}
