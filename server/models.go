package server

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/modellist"
	"antwort/server/observe"
	"antwort/server/reqbody"
	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// The list of models is what the routes offer to the caller. vLLM has no
// endpoint for a single model, so that one is looked up in the list.

// ask is what a request says about where it may go, but for its model.
func (x *exchange) ask() policy.Ask {
	ask := policy.Ask{Values: x.field}
	if x.rec.Caller != nil {
		ask.Tenant = x.rec.Caller.Tenant
	}
	return ask
}

// listModels answers GET /v1/models.
func (x *exchange) listModels() *failure.Failure {
	reach := x.gen.decider.Router().Reachable(x.ask())
	if len(reach) == 1 && !x.rec.Caller.Restricted() {
		if p := x.gen.pools.Route(reach[0]); len(p.Match.Models) == 0 && !p.Renames {
			return x.listAsIs(reach[0])
		}
	}
	list, f := x.mergeModels(reach)
	if f != nil {
		return f
	}
	x.json(http.StatusOK, list.Append(nil))
	return nil
}

// listAsIs answers with the list of the one route that everything goes to.
func (x *exchange) listAsIs(route int) *failure.Failure {
	if p := x.gen.pools.Route(route); p.Provider == config.VLLMResponses {
		return x.forward(&policy.Decision{Route: route, Repeatable: true}, nil)
	}
	list := x.listsOf([]int{route}, 0)[0]
	if list.Failure == nil {
		x.json(http.StatusOK, list.Body)
	}
	return list.Failure
}

// mergeModels asks a backend of each route. What a route does not say is missing
// in the list; only when none says anything, that is a failure.
func (x *exchange) mergeModels(reach []int) (*policy.ModelList, *failure.Failure) {
	merged := x.gen.decider.Router().NewModelList(x.ask(), x.rec.Caller)
	var first *failure.Failure
	missing := 0
	for n, list := range x.listsOf(reach, listQuick) {
		f := list.Failure
		if f == nil && !merged.Add(reach[n], list.Backend, list.Body) {
			f = noList()
		}
		if f == nil {
			continue
		}
		missing++
		if first == nil {
			first = f
		}
		if f.Kind == failure.Overloaded {
			return nil, f
		}
		if f.Reply != nil {
			x.gen.log.Warn("the models of a route are missing in the list", "request_id", x.rec.ID, "route", x.gen.pools.Route(reach[n]).Name, "failure", f.Kind.String())
		}
	}
	if missing > 0 && missing == len(reach) {
		return nil, first
	}
	return merged, nil
}

// showModel answers GET /v1/models/{id}.
func (x *exchange) showModel() *failure.Failure {
	id, err := url.PathUnescape(strings.TrimPrefix(x.rec.Path, "/v1/models/"))
	if err != nil {
		return x.unknownPath()
	}
	x.rec.Model = id
	if err := x.rec.Caller.Allows(id); err != nil {
		return failure.Of(failure.ForbiddenModel, err)
	}
	if isRelative(id) {
		return x.unknownModel()
	}
	ask := x.ask()
	ask.Model = id
	route := x.gen.decider.Router().Choose(ask)
	if route < 0 {
		return failure.Of(failure.NoRoute, policy.NoRoute(id))
	}
	if p := x.gen.pools.Route(route); p.Provider == config.VLLMResponses && !p.Renames {
		return x.forward(&policy.Decision{Route: route, Repeatable: true}, nil)
	}
	list := x.listsOf([]int{route}, 0)[0]
	if list.Failure != nil {
		return list.Failure
	}
	offered := x.gen.decider.Router().NewModelList(x.ask(), x.rec.Caller)
	offered.Add(route, list.Backend, list.Body)
	entry, ok := offered.AppendModel(nil, id)
	if !ok {
		return x.unknownModel()
	}
	x.json(http.StatusOK, entry)
	return nil
}

// isRelative reports whether a name has a segment that whoever normalizes paths
// makes another name of: the one that was allowed must be the one that is shown.
func isRelative(id string) bool {
	for segment := range strings.SplitSeq(id, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

func (x *exchange) unknownModel() *failure.Failure {
	e := responses.NewError(http.StatusNotFound, "model_not_found", "the model "+policy.Clip(x.rec.Model, 256)+" does not exist")
	e.Param = "model"
	return failure.Of(failure.UnknownModel, e)
}

// Where the lists of models come from: from the backends, each asked once for all
// who want to know the same.

// Lists are made for people who wait, of several answers.
const (
	listTime  = 10 * time.Second // for all
	listQuick = 3 * time.Second  // until one backend's header; then another is asked
)

// listsOf returns a list of each route, as the caller may see it. quick is how
// long a backend may take before another one is asked; 0: as long as for any
// answer.
func (x *exchange) listsOf(routes []int, quick time.Duration) []modellist.List {
	wants := make([]modellist.Want, len(routes))
	for n, route := range routes {
		wants[n] = x.wantList(x.gen.pools.Route(route), quick)
	}
	all := make([]modellist.List, len(routes))
	pending, ok := x.gen.lists.Ask(wants)
	for n := range all {
		if !ok {
			all[n].Failure = tooManyLists()
			continue
		}
		list, there := pending[n].Wait(x.r.Context())
		if !there {
			list.Failure = failure.Of(failure.ClientGone, nil).Because(dispatch.ErrClientGone)
		}
		all[n] = list
	}
	return all
}

// wantList is what fetches a pool's list. All that a backend is told of the
// request, but its id and the marks against loops, is in the key: of callers with
// the same key it knows no difference. A field of the client is told only if a route matches its value,
// so that nobody makes keys at will.
func (x *exchange) wantList(p *dispatch.Pool, quick time.Duration) modellist.Want {
	lines := header.AppendIdentity([]byte("User-Agent: antwort\r\nAccept: application/json\r\n"), x.rec.Caller)
	var credential []byte
	if p.Provider == config.VLLMResponses {
		lines = x.appendMatched(lines)
		if x.gen.callers.PassOn() {
			credential = header.AppendCredential(nil, x.r.Header)
		}
	}
	mark := header.AppendHop(nil, x.r.Header, x.gen.hop)
	// Nothing of the exchange itself: it may be over before the list is there.
	gen, rec := x.gen, observe.Record{ID: x.rec.ID, Endpoint: x.rec.Endpoint}
	fetch := func(ctx context.Context) (list modellist.List) {
		req := &dispatch.Request{Credential: credential, Repeat: true, Quick: quick, RetryStatuses: p.Provider == config.VLLM}
		req.Request = upstream.Request{Method: http.MethodGet, Target: "/v1/models", Repeatable: true,
			Header: upstream.AppendField(slices.Concat(lines, mark), "X-Request-Id", rec.ID)}
		call := p.Call(req)
		defer call.Release()
		defer func() {
			if p := recover(); p != nil {
				list = modellist.List{Failure: failure.Of(failure.Panic, policy.Internal()).Because(gen.observer.Panic(&rec, p))}
			}
		}()
		var held reqbody.Charge
		defer held.Release()
		if !gen.held.Begin(&held, gen.cfg.Limits.InFlight(false)) {
			return modellist.List{Failure: held.Refusal()}
		}
		body, f := fetchModels(ctx, call, gen.cfg.Limits.ResponseBodyBytes, &held)
		if f != nil {
			return modellist.List{Failure: f}
		}
		return modellist.List{Body: body, Backend: &call.Backend.Backend}
	}
	return modellist.Want{Key: p.Name + "\n" + quick.String() + "\n" + string(lines) + string(credential), Fetch: fetch}
}

// appendMatched appends those fields of the client that lead to a route.
func (x *exchange) appendMatched(lines []byte) []byte {
	told := map[config.HeaderMatch]bool{}
	for _, p := range x.gen.pools.All() {
		for _, h := range p.Match.Headers {
			if values := x.field(h.Name); !told[h] && len(values) == 1 && values[0] == h.Value {
				told[h] = true
				lines = upstream.AppendField(lines, h.Name, h.Value)
			}
		}
	}
	return lines
}

// fetchModels returns the list of one backend, a JSON object of at most limit
// bytes. What is read of it is charged to held.
func fetchModels(ctx context.Context, call *dispatch.Call, limit int64, held *reqbody.Charge) (list []byte, f *failure.Failure) {
	f = call.Send(ctx, func(ans *upstream.Answer) *failure.Failure {
		defer ans.Close()
		if ans.Status != http.StatusOK {
			return call.Refused(ctx, ans)
		}
		buf := buffer.Metered(held)
		defer buf.Put()
		if f := call.Read(ctx, ans, buf, limit); f != nil {
			return f
		}
		if len(buf.B) == 0 || buf.B[0] != '{' || fastjson.ValidateBytes(buf.B) != nil {
			return noList()
		}
		list = bytes.Clone(buf.B)
		return nil
	})
	return list, f
}

func tooManyLists() *failure.Failure {
	e := responses.NewError(http.StatusServiceUnavailable, "overloaded", "this server asks for as many lists of models as it may: try again later")
	e.RetryAfter = "1"
	return failure.Of(failure.Overloaded, e)
}

func noList() *failure.Failure {
	return failure.Of(failure.UpstreamAnswer, responses.NewError(http.StatusBadGateway, "upstream_invalid_answer", "the model server sent no list of models, or too long a one"))
}
