package policy

import (
	"antwort/shared/config"
	"antwort/shared/responses"
)

// A Router chooses the route of a request. It is safe for concurrent use.
type Router struct {
	routes []config.Route
}

// NewRouter chooses among the routes of config.AllRoutes.
func NewRouter(routes []config.Route) *Router { return &Router{routes} }

// An Ask is what a request says about where it may go.
type Ask struct {
	Model  string // "" when it names none
	Tenant string // of the caller
	// Values are those of a header field, by its name in lower case.
	Values func(name string) []string
}

// Choose returns the index of the first route that matches, -1 when none does.
func (r *Router) Choose(a Ask) int {
	for i := range r.routes {
		m := &r.routes[i].Match
		if fits(m, &a) && (len(m.Models) == 0 || anyMatches(m.Models, a.Model)) {
			return i
		}
	}
	return -1
}

// ChooseUnread is Choose for a request whose model is not known yet. It is
// false when the model decides.
func (r *Router) ChooseUnread(a Ask) (route int, decided bool) {
	for i := range r.routes {
		if m := &r.routes[i].Match; fits(m, &a) {
			return i, len(m.Models) == 0
		}
	}
	return -1, true
}

// Meets reports whether the request meets all conditions of a route: the router would
// choose it if there was no other.
func (a *Ask) Meets(m *config.Match) bool {
	return NewRouter([]config.Route{{Match: *m}}).Choose(*a) == 0
}

// NoRoute is the answer when no route matches a request that named this model,
// or none.
func NoRoute(model string) *responses.Error {
	if model != "" {
		return noModel(model)
	}
	return responses.NewError(404, "no_route", "this gateway chooses the model server by the model, and this request names none")
}

// fits reports whether all but the model matches.
func fits(m *config.Match, a *Ask) bool {
	if len(m.Tenants) > 0 && !contains(m.Tenants, a.Tenant) {
		return false
	}
	for i := range m.Headers {
		// A field that comes twice could be read in two ways.
		values := a.Values(m.Headers[i].Name)
		if len(values) != 1 || values[0] != m.Headers[i].Value {
			return false
		}
	}
	return true
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

func anyMatches(patterns []string, name string) bool {
	for _, pattern := range patterns {
		if name != "" && matches(pattern, name) {
			return true
		}
	}
	return false
}
