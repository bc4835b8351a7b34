package explain

import (
	"errors"
	"slices"
	"strings"

	"antwort/server/limits"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Caller is who sends the request, and what he may.
type Caller struct {
	Asked   bool     `json:"asked"` // callers must say who they are
	Subject string   `json:"subject,omitempty"`
	Tenant  string   `json:"tenant,omitempty"`
	Key     string   `json:"key,omitempty"`    // name of the API key, no secret
	Models  []string `json:"models,omitempty"` // patterns; none: all
}

// Limit is a rule of limits.rules that holds for the request.
type Limit struct {
	Rule              string   `json:"rule"`
	Per               []string `json:"per,omitempty"`
	RequestsAtOnce    int64    `json:"requests_at_once,omitempty"`
	RequestsPerMinute int64    `json:"requests_per_minute,omitempty"`
	TokensPerMinute   int64    `json:"tokens_per_minute,omitempty"`
	TokensPerDay      int64    `json:"tokens_per_day,omitempty"`
	TokensPerMonth    int64    `json:"tokens_per_month,omitempty"`
}

// Route is where the request goes.
type Route struct {
	Name     string    `json:"name"`
	Model    string    `json:"model,omitempty"` // that decided; none: nobody looked at it
	Provider string    `json:"provider"`
	Balance  string    `json:"balance,omitempty"`
	Backends []Backend `json:"backends"`
}

// Backend is one of a route's.
type Backend struct {
	URL      string `json:"url"`
	Model    string `json:"model,omitempty"` // the name that it gets in the place of the request's
	Weight   int    `json:"weight,omitempty"`
	Priority int    `json:"priority,omitempty"`
}

// Candidate is a route that the request could take. The first one that fits is chosen.
type Candidate struct {
	Name       string      `json:"name"`
	Chosen     bool        `json:"chosen,omitempty"`
	Fits       bool        `json:"fits"`
	Conditions []Condition `json:"conditions,omitempty"` // none: every request fits
}

// Condition is one part of what a route asks of requests.
type Condition struct {
	What string `json:"what"` // "models qwen*, llama*"
	Fits bool   `json:"fits"`
}

// Named is the caller that a configuration knows by this subject, with one of its API
// keys, or with a token. tenant may be empty.
func Named(cfg *config.Config, subject, tenant string) (*policy.Identity, error) {
	switch cfg.Auth.Type {
	case config.NoAuth:
		return nil, errors.New("auth.type is none: nobody is asked who calls")
	case config.JWTAuth:
		if subject == "" {
			return nil, errors.New("a token has a subject: name it")
		}
		return policy.NewIdentity(subject, tenant, "", nil), nil
	}
	var known []string
	for i := range cfg.Auth.APIKeys {
		k := &cfg.Auth.APIKeys[i]
		if k.Subject == subject && (tenant == "" || tenant == k.Tenant || k.Delegate) {
			return identityOf(k, tenant), nil
		}
		if !slices.Contains(known, k.Subject) {
			known = append(known, k.Subject)
		}
	}
	return nil, errors.New("no API key is " + subject + "'s" + ofTenant(tenant) + ": there are keys of " + strings.Join(known, ", "))
}

func ofTenant(tenant string) string {
	if tenant == "" {
		return ""
	}
	return " of tenant " + tenant
}

func identityOf(k *config.APIKey, tenant string) *policy.Identity {
	caller := policy.IdentityOf(k)
	if tenant != "" && k.Delegate {
		caller.Tenant = tenant
	}
	return &caller
}

// field returns all values of a header field.
func (q *Question) field(name string) (values []string) {
	if q.Field != nil {
		values = q.Field(name)
	}
	if values == nil && name == "content-type" {
		return []string{"application/json"}
	}
	return values
}

// identify finds out who calls: who is named, or whose key is in the header.
func (r *Report) identify(q *Question) (caller *policy.Identity, err *responses.Error) {
	access := policy.NewAccess(q.Config)
	r.Caller = &Caller{Asked: access != nil}
	caller = q.Caller
	authorization, apiKey := q.field("authorization"), q.field("x-api-key")
	switch {
	case caller != nil, access == nil, len(authorization)+len(apiKey) == 0:
	case access.ByToken():
		r.note("the token in the header was not verified: that takes the issuer's keys; name the caller instead")
	default:
		caller, err = access.Identify(authorization, apiKey, policy.Told{Subject: q.field(policy.SubjectField), Tenant: q.field(policy.TenantField)})
	}
	if caller != nil {
		r.Caller.Subject, r.Caller.Tenant, r.Caller.Key, r.Caller.Models = caller.Subject, caller.Tenant, caller.Key, caller.Models()
	} else if access != nil && err == nil {
		r.note("no caller is named: what depends on who calls (models, tenants, limits) is as for one that nothing is said of")
	}
	return caller, err
}

// decide finds out where the request goes, as far as that is possible before it is
// translated.
func decide(q *Question, caller *policy.Identity) (policy.Decision, *failure.Failure) {
	cfg := q.Config
	decider := policy.NewDecider(cfg, policy.Tier{
		Decodes: true, Stores: cfg.StateType() != config.NoState, Counts: cfg.Engine.CountTokens != config.Off, Compacts: cfg.Compacts(), Keeps: cfg.Keeps(),
	})
	d, f := decider.Begin(policy.Request{Endpoint: policy.Create, Method: "POST", Caller: caller, HasBody: true, Field: q.field})
	if f == nil && d.Need == policy.Body {
		f = d.CheckedBody(q.Body)
	}
	return d, f
}

// rules are the limits of a configuration, which count nothing here.
func rules(cfg *config.Config) *limits.Rules { return (*limits.Limiter)(nil).Rules(cfg) }

// arrive says where the request goes, and by which limits.
func (r *Report) arrive(q *Question, caller *policy.Identity, d *policy.Decision) {
	model := d.Model
	if reading, err := policy.ReadChecked(r.body); err == nil && model == "" { // refused before it was looked at
		model = reading.Model
	}
	for _, l := range rules(q.Config).Holding(caller, model) {
		r.Limits = append(r.Limits, Limit{l.Name, l.Per, l.RequestsAtOnce, l.RequestsPerMinute, l.TokensPerMinute, l.TokensPerDay, l.TokensPerMonth})
	}
	routes := q.Config.AllRoutes()
	ask := policy.Ask{Model: model, Values: q.field}
	if caller != nil {
		ask.Tenant = caller.Tenant
	}
	for i := range routes {
		r.Routes = append(r.Routes, candidate(&routes[i], ask, i == d.Route))
	}
	if d.Route < 0 {
		return
	}
	route := &routes[d.Route]
	r.Route = &Route{Name: route.Name, Model: d.Model, Provider: string(route.Backends[0].Provider)}
	if len(route.Backends) > 1 {
		r.Route.Balance = route.Balance
	}
	for i := range route.Backends {
		b := &route.Backends[i]
		r.Route.Backends = append(r.Route.Backends, Backend{URL: b.URL, Model: b.Model, Weight: b.Weight, Priority: b.Priority})
		r.ownKey = r.ownKey || b.APIKey.IsSet()
	}
}

// candidate says whether a route fits, and which of its conditions do: each of them is a
// route for itself.
func candidate(route *config.Route, ask policy.Ask, chosen bool) Candidate {
	c := Candidate{Name: route.Name, Chosen: chosen, Fits: ask.Meets(&route.Match)}
	add := func(what string, m config.Match) {
		c.Conditions = append(c.Conditions, Condition{what, ask.Meets(&m)})
	}
	if models := route.Match.Models; len(models) > 0 {
		add("models "+strings.Join(models, ", "), config.Match{Models: models})
	}
	if tenants := route.Match.Tenants; len(tenants) > 0 {
		add("tenants "+strings.Join(tenants, ", "), config.Match{Tenants: tenants})
	}
	for _, h := range route.Match.Headers {
		add(h.Name+": "+h.Value, config.Match{Headers: []config.HeaderMatch{h}})
	}
	return c
}
