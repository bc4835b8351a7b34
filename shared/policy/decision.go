package policy

import (
	"slices"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/responses"
)

// A Decider decides what becomes of requests, by the routes and limits of one
// configuration. It is pure, and safe for concurrent use.
type Decider struct {
	router       *Router
	routes       []routeTraits
	limits       responses.Limits
	defaultModel string
	translates   bool // some route does
	forwards     bool // some route does
	byModel      bool // limits depend on models
	byTokens     bool // tokens are limited
	tier         Tier
}

// A Tier is what differs between those who ask a Decider.
type Tier struct {
	// Decodes says that compressed bodies are decoded before they are translated.
	Decodes bool
	// Blind says that no body is read before its request goes on (filter.profile
	// inline), so that no model decides.
	Blind bool
	// Stores says that responses are stored where they are translated.
	Stores bool
	// Counts says that the tokens of requests are counted where they are translated.
	Counts bool
	// Compacts says that conversations are summed up where they are translated.
	Compacts bool
	// Keeps says that responses are stored where they are forwarded.
	Keeps bool
	// Hosts says that one backend may stand for several, among which somebody else
	// chooses.
	Hosts bool
}

// makes reports whether requests for an endpoint are translated into others.
func (t *Tier) makes(e *Endpoint) bool {
	return e == Create || e == InputTokens && t.Counts || e == Compact && t.Compacts
}

// routeTraits are what of a route matters to a decision.
type routeTraits struct {
	translates bool // its backends speak Chat Completions
	renames    bool // some backend has another name for a model
	choice     bool // there are several backends to choose from
	affinity   bool // the conversation decides among them
}

// LimitsOf are those that the text of every request is held to.
func LimitsOf(c *config.Config) responses.Limits {
	return responses.Limits{Depth: c.Limits.JSONDepth, Values: c.Limits.JSONValues, Escapes: c.Limits.JSONEscapes}
}

// NewDecider returns the decider of a configuration. Routes are those of
// config.AllRoutes, by index; a configuration without any has one, index 0.
func NewDecider(c *config.Config, tier Tier) *Decider {
	d := &Decider{
		limits:       LimitsOf(c),
		defaultModel: c.Engine.DefaultModel,
		tier:         tier,
	}
	routes := c.AllRoutes()
	if len(routes) == 0 { // the filter's, where Envoy knows the backend
		routes = []config.Route{{Backends: []config.Backend{{Provider: c.Engine.Provider}}}}
	}
	d.router = NewRouter(routes)
	d.byModel = tier.Hosts && c.Filter.RateLimits == config.ModelRateLimits
	for _, l := range c.Limits.Rules.All() {
		d.byModel, d.byTokens = d.byModel || l.NeedsModel(), d.byTokens || l.CountsTokens()
	}
	for i := range routes {
		route := &routes[i]
		several := len(route.Backends) > 1
		traits := routeTraits{
			translates: route.Backends[0].Provider == config.VLLM, // all of a route have one provider
			choice:     several,
			affinity:   route.Balance == config.Affinity && (several || tier.Hosts),
		}
		for j := range route.Backends {
			traits.renames = traits.renames || route.Backends[j].Model != ""
		}
		d.routes = append(d.routes, traits)
		d.translates = d.translates || traits.translates
		d.forwards = d.forwards || !traits.translates
	}
	return d
}

// Router chooses among the decider's routes.
func (d *Decider) Router() *Router { return d.router }

// A Request is what is known of a request before its body.
type Request struct {
	Endpoint *Endpoint // of the Responses API, or passed on; with a method that it allows
	Method   string
	Caller   *Identity // nil: nobody was asked
	HasBody  bool      // or may have one
	// Field returns all values of a header field, by its name in lower case. It is
	// called until the decision is made.
	Field func(name string) []string
}

// A Need is what a decision still needs.
type Need uint8

const (
	// Nothing is needed: the decision is made. Of a forwarded request's body nothing more is
	// looked at.
	Nothing Need = iota
	// Body is the request's, whole and without a coding, for Decision.Body.
	Body
	// Translation of the body, which finds its model, is needed for
	// Decision.Translated.
	Translation
)

// A Decision is what becomes of one request. It begins with Decider.Begin, and
// is made when Need is Nothing; the fields mean something from then on.
//
//	Begin ─┬─────────────────────────────► Nothing
//	       ├─► Body ──── Body(body) ──┬──► Nothing
//	       │                          ▼
//	       └──────────────────► Translation ── Translated(model, body) ──► Nothing
type Decision struct {
	Need Need

	Route      int    // where it goes, by index; -1 while the model decides
	Translates bool   // the request is translated: the route's backends speak Chat Completions
	Final      bool   // it passes, and the route's backends are model servers
	Kept       bool   // what is forwarded of it is stored here
	Model      string // that the request names; "" when it names none, or nobody has looked
	// Repeatable says that the request may be sent again after a backend has broken
	// off without an answer.
	Repeatable bool
	// Conversation is the same for all turns of one, where that decides about the
	// backend; else 0.
	Conversation uint64
	// Reading is the body of a forwarded request, to be renamed where the backend
	// has another name for its model; nil when it was not read. It refers to the
	// body.
	Reading *Reading

	from     *Decider
	request  Request
	optional bool // the body helps, but what is wrong with it is the backend's to say
}

// Begin decides about a request of the Responses API, or of an endpoint that is
// passed on, as far as that is possible before its body.
func (d *Decider) Begin(r Request) (x Decision, f *failure.Failure) {
	x.Route, x.from, x.request = -1, d, r
	f = x.begin()
	return x, f
}

func (x *Decision) begin() *failure.Failure {
	d, r := x.from, &x.request
	x.Repeatable, x.Kept = r.Method == "GET" || r.Method == "HEAD", d.tier.Keeps && !r.Endpoint.Passes
	if !r.Endpoint.hasModel() && !(x.passes() && namesModel(r.Method)) {
		return x.unnamed()
	}
	route, decided := d.router.ChooseUnread(x.ask(""))
	switch {
	case decided:
		if f := x.goTo(route); f != nil {
			return f
		}
	case d.tier.Blind:
		if f := x.choose(""); f != nil {
			return f
		}
	case !d.tier.makes(r.Endpoint) && r.Endpoint.hasModel() && !d.forwards:
		return failure.Of(failure.NotStored, r.Endpoint.NotHere())
	}
	if d.tier.Blind && x.passes() && (!decided || r.Caller.Restricted() || d.routes[x.Route].renames) {
		return failure.Of(failure.ForbiddenModel, modelUnread(r.Endpoint))
	}
	x.Need, x.optional = x.needs()
	return x.readable()
}

// needs is what a request needs that names a model in its body.
func (x *Decision) needs() (need Need, optional bool) {
	d, open := x.from, x.Route < 0
	switch {
	case x.Translates, open && !d.forwards && !x.passes():
		return Translation, false
	case d.tier.Blind:
		return Nothing, false
	case open, x.request.Caller.Restricted(), d.routes[x.Route].renames, x.Kept, d.byModel:
		return Body, false
	case d.byTokens || d.routes[x.Route].choice || d.routes[x.Route].affinity || x.passes() && !d.tier.Hosts: // where Envoy repeats requests it has read them
		if ContentType(x.request.Field("content-type")) == nil && x.coding() == "" {
			return Body, true
		}
	}
	return Nothing, false
}

// readable refuses a body that is needed and could not be read, or in two ways.
func (x *Decision) readable() *failure.Failure {
	if x.Need == Nothing || x.optional {
		return nil
	}
	if err := ContentType(x.request.Field("content-type")); err != nil {
		if x.passes() {
			err = modelInForm(x.request.Endpoint, err)
		}
		return failure.Of(failure.WrongContentType, err)
	}
	mayTranslate := x.Need == Translation || x.Route < 0 && x.from.translates && x.from.tier.makes(x.request.Endpoint)
	if (mayTranslate || x.Kept) && x.from.tier.Decodes {
		return nil
	}
	return x.plain()
}

// plain refuses a coded body: one that is forwarded is read twice, and must be
// the same to both readers.
func (x *Decision) plain() *failure.Failure {
	if coding := x.coding(); coding != "" {
		return failure.Of(failure.UnsupportedEncoding, WrongCoding(coding, "none")).With("accept-encoding", "identity")
	}
	return nil
}

func (x *Decision) coding() string { return Coding(x.request.Field("content-encoding")) }

// Body goes on with the request's whole body, which must stay as it is while
// Reading is used.
func (x *Decision) Body(body []byte) *failure.Failure { return x.read(Read(body, x.from.limits)) }

// CheckedBody is Body for one that responses.Check has passed.
func (x *Decision) CheckedBody(body []byte) *failure.Failure { return x.read(ReadChecked(body)) }

// Optional reports whether a body that is wrong goes on unread.
func (x *Decision) Optional() bool { return x.optional }

func (x *Decision) read(reading *Reading, err *responses.Error) *failure.Failure {
	d := x.from
	x.Need = Nothing
	if err != nil {
		if x.optional {
			return nil
		}
		return failure.Of(failure.InvalidRequest, err)
	}
	x.Model = reading.Model
	if x.Route < 0 && d.translates && d.tier.makes(x.request.Endpoint) {
		if x.Model == "" {
			x.Model = d.defaultModel
		}
		if f := x.choose(x.Model); f != nil {
			return f
		}
		if x.Translates {
			x.Need = Translation
			return nil
		}
		if f := x.plain(); f != nil && !x.Kept {
			return f
		}
		x.Model = reading.Model
	}
	if err := x.request.Caller.AllowsReading(reading); err != nil {
		kind := failure.InvalidRequest
		if err.Status == 404 {
			kind = failure.ForbiddenModel
		}
		return failure.Of(kind, err)
	}
	if x.Route < 0 {
		if f := x.choose(x.Model); f != nil {
			return f
		}
	}
	x.Reading, x.Repeatable = reading, reading.Repeatable()
	if x.passes() && x.Model == "" {
		x.Repeatable = false // who names no model may ask for more than its answer
	}
	if d.routes[x.Route].affinity {
		x.Conversation = reading.Conversation()
	}
	return nil
}

// Foresee reads what Translated would of a body that Check has passed and that will not stay
// as it is.
func (x *Decision) Foresee(body []byte) {
	if slices.ContainsFunc(x.from.routes, func(r routeTraits) bool { return r.affinity }) {
		x.converse(body, nil)
	}
}

func (x *Decision) converse(body, past []byte) {
	if reading, err := ReadChecked(body); err == nil {
		reading.past = past
		x.Conversation = reading.Conversation()
	}
}

// Translated goes on with the model of a body that was translated, its default
// filled in; the body is nil when Foresee has seen it. past are the items that a store has
// put before those of its input, a JSON array; nil without any.
func (x *Decision) Translated(model string, body, past []byte) *failure.Failure {
	x.Need, x.Model = Nothing, model
	if err := x.request.Caller.Allows(model); err != nil {
		return failure.Of(failure.ForbiddenModel, err)
	}
	if x.Route < 0 {
		if f := x.choose(model); f != nil {
			return f
		}
	}
	x.Repeatable = true // a completion changes nothing at its backend
	if x.from.routes[x.Route].affinity && body != nil {
		x.converse(body, past)
	}
	return nil
}

// Expanded goes on with the body that a request has become for a backend that keeps
// nothing: it may be sent again, and all of the conversation is in it.
func (x *Decision) Expanded(body []byte) *failure.Failure {
	reading, err := ReadChecked(body)
	if err != nil {
		return failure.Of(failure.InvalidRequest, err)
	}
	x.Reading, x.Repeatable = reading, true
	if x.from.routes[x.Route].affinity {
		x.Conversation = reading.Conversation()
	}
	return nil
}

// Renames reports whether a backend of the route has another name for the model.
func (x *Decision) Renames() bool { return x.Route >= 0 && x.from.routes[x.Route].renames }

func (x *Decision) ask(model string) Ask {
	ask := Ask{Model: model, Values: x.request.Field}
	if x.request.Caller != nil {
		ask.Tenant = x.request.Caller.Tenant
	}
	return ask
}

// passes reports whether the request is for an endpoint that is passed on.
func (x *Decision) passes() bool { return x.request.Endpoint != nil && x.request.Endpoint.Passes }

// unnamed decides about a request that names no model.
func (x *Decision) unnamed() *failure.Failure {
	caller := x.request.Caller
	if x.passes() { // what it shows may be of any model
		if err := caller.AllowsReading(&Reading{}); err != nil {
			return failure.Of(failure.InvalidRequest, err)
		}
	}
	f := x.choose("")
	if f == nil && x.request.HasBody && caller.Restricted() { // in a body that nobody reads the backend may find one
		f = failure.Of(failure.InvalidRequest, responses.NewError(400, "unexpected_body",
			"this request has no body, and a key that is for certain models only may not send one"))
	}
	return f
}

func (x *Decision) choose(model string) *failure.Failure {
	x.Model = model
	return x.goTo(x.from.router.Choose(x.ask(model)))
}

func (x *Decision) goTo(route int) *failure.Failure {
	if route < 0 {
		return failure.Of(failure.NoRoute, NoRoute(x.Model))
	}
	x.Route, x.Translates = route, x.from.routes[route].translates
	if x.passes() {
		x.Final, x.Translates = x.Translates, false
	}
	if x.Translates && !x.from.tier.makes(x.request.Endpoint) && !(x.from.tier.Stores && x.request.Endpoint.IsAboutStored()) {
		return failure.Of(failure.NotStored, x.request.Endpoint.NotHere())
	}
	return nil
}
