package server

import (
	"net/http"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Where a request goes: to the pool of the first route that its model, its
// caller's tenant and its header fit.

// ask is what a request says about where it may go, but for its model.
func (x *exchange) ask() policy.Ask {
	ask := policy.Ask{Values: x.values}
	if x.caller != nil {
		ask.Tenant = x.caller.Tenant
	}
	return ask
}

// values are those of a header field that some route matches.
func (x *exchange) values(name string) []string { return x.r.Header[x.gen.fields[name]] }

// poolOf is where a request for a model goes, nil when no route matches. The
// empty model is that of requests without one.
func (x *exchange) poolOf(model string) *pool {
	ask := x.ask()
	ask.Model = model
	return x.gen.poolAt(x.gen.router.Choose(ask))
}

func (g *generation) poolAt(i int) *pool {
	if i < 0 {
		return nil
	}
	return g.pools[i]
}

func (x *exchange) noRoute() {
	x.answerFailure(failure.Of(failure.NoRoute, policy.NoRoute(x.model)))
}

// create answers POST /v1/responses.
func (x *exchange) create() {
	i, decided := x.gen.router.ChooseUnread(x.ask())
	p := x.gen.poolAt(i)
	switch {
	case decided && p == nil:
		x.noRoute()
	case decided && p.provider == config.VLLM:
		x.translate(p)
	case decided:
		x.forward(p)
	case !x.gen.forwards:
		x.translate(nil)
	case !x.gen.translates:
		x.forward(nil)
	default:
		x.createEither()
	}
}

// createEither answers a request whose model decides between translating and
// forwarding. Its body must be what both can take.
func (x *exchange) createEither() {
	body, f := x.readJSON()
	if f != nil {
		x.answerFailure(f)
		return
	}
	reading, err := policy.Read(body.b, x.jsonLimits())
	if err != nil {
		body.put()
		x.answerFailure(failure.Of(failure.InvalidRequest, err))
		return
	}
	if x.model = reading.Model; x.model == "" {
		x.model = x.gen.cfg.Engine.DefaultModel
	}
	p := x.poolOf(x.model)
	switch {
	case p == nil:
		body.put()
		x.noRoute()
	case p.provider == config.VLLM:
		x.translateBody(p, body)
	default:
		a := &attempts{pool: p, body: body}
		a.request.Method, a.request.Target = x.method, x.target()
		f := x.refuseCoding()
		if f == nil {
			f = x.attachReading(a, reading)
		}
		if f != nil {
			a.drop()
			x.answerFailure(f)
			return
		}
		x.forwardTo(a)
	}
}

// compact answers POST /v1/responses/compact, which has a model too.
func (x *exchange) compact() {
	i, decided := x.gen.router.ChooseUnread(x.ask())
	p := x.gen.poolAt(i)
	switch {
	case decided && p == nil:
		x.noRoute()
	case decided && p.provider == config.VLLM, !x.gen.forwards:
		x.notStored()
	case decided:
		x.forward(p)
	default:
		x.forward(nil)
	}
}

// stored answers requests about a response that was made before. They name no
// model.
func (x *exchange) stored() {
	p := x.poolOf("")
	switch {
	case p == nil:
		x.noRoute()
	case p.provider == config.VLLM:
		x.notStored()
	default:
		x.forward(p)
	}
}

func (x *exchange) jsonLimits() responses.Limits {
	limits := x.gen.cfg.Limits
	return responses.Limits{Depth: limits.JSONDepth, Values: limits.JSONValues}
}

// mustRead reports whether a body that is forwarded must be read: its model
// decides about it or becomes another one, or it may be sent again.
func (x *exchange) mustRead(p *pool) bool {
	if x.endpoint != x.gen.endpoints.responses && x.endpoint != x.gen.endpoints.compact {
		return false
	}
	return p == nil || x.caller.Restricted() || p.renames || len(p.backends) > 1
}

// attachRead reads a body to its end, decides by it, and attaches it.
func (x *exchange) attachRead(a *attempts) *failure.Failure {
	limit := x.gen.cfg.Limits.RequestBodyBytes
	// A body that must be understood is JSON and not coded: it is read twice, and
	// must be the same to both readers.
	understood := a.pool == nil || x.caller.Restricted() || a.pool.renames
	if understood {
		if f := x.refuseType(); f != nil {
			return f
		}
		if f := x.refuseCoding(); f != nil {
			return f
		}
	}
	if x.r.ContentLength > limit {
		return tooLarge(limit)
	}
	if err := readInto(a.body, x.r.Body, limit); err != nil {
		return x.readError(err, limit)
	}
	x.unlimitReading()
	a.request.Body = a.body.b
	var reading *policy.Reading
	if policy.ContentType(x.r.Header["Content-Type"]) == nil && policy.Coding(x.r.Header["Content-Encoding"]) == "" {
		var err *responses.Error
		reading, err = policy.Read(a.body.b, x.jsonLimits())
		if err != nil && understood {
			return failure.Of(failure.InvalidRequest, err)
		}
	}
	if reading == nil {
		return nil // what is wrong with it, the backend says
	}
	return x.attachReading(a, reading)
}

// attachReading decides by what was read, and attaches the body.
func (x *exchange) attachReading(a *attempts, reading *policy.Reading) *failure.Failure {
	x.model = reading.Model
	if err := x.caller.AllowsReading(reading); err != nil {
		return failure.Of(refusedBody(err), err)
	}
	if a.pool == nil {
		if a.pool = x.poolOf(reading.Model); a.pool == nil {
			return failure.Of(failure.NoRoute, policy.NoRoute(reading.Model))
		}
	}
	a.request.Body = a.body.b
	a.repeatable = reading.Repeatable()
	if a.pool.Balance == config.Affinity {
		a.key = reading.Conversation()
	}
	if a.pool.renames {
		a.rename = reading.AppendRenamed
	}
	return nil
}

func (x *exchange) refuseType() *failure.Failure {
	if err := policy.ContentType(x.r.Header["Content-Type"]); err != nil {
		return failure.Of(failure.WrongContentType, err)
	}
	return nil
}

func (x *exchange) refuseCoding() *failure.Failure {
	coding := policy.Coding(x.r.Header["Content-Encoding"])
	if coding == "" {
		return nil
	}
	return failure.Of(failure.UnsupportedEncoding, policy.WrongCoding(coding, "none")).With("Accept-Encoding", "identity")
}

// refusedBody is the kind of a body's refusal.
func refusedBody(err *responses.Error) failure.Kind {
	if err.Status == http.StatusNotFound {
		return failure.ForbiddenModel
	}
	return failure.InvalidRequest
}
