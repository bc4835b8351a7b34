package server

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// The list of models is what the routes offer to the caller. vLLM has no
// endpoint for a single model, so that one is looked up in the list.

// Lists are made for people who wait, of several answers.
const (
	listTime  = 10 * time.Second // for all
	listQuick = 3 * time.Second  // until one backend's header; then another is asked
)

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
	buf, f := x.models(route)
	if f != nil {
		return f
	}
	defer buf.Put()
	x.json(http.StatusOK, buf.B)
	return nil
}

// models asks one backend of a route for its list, as the exchange's own call.
func (x *exchange) models(route int) (*buffer.Buffer, *failure.Failure) {
	ctx, cancel := x.work()
	defer cancel(nil)
	x.call = x.modelsCall(x.gen.pools.Route(route), 0)
	return x.fetchModels(ctx, x.call)
}

// mergeModels asks a backend of each route at once. What a route does not say is
// missing in the list; only when none says anything, that is a failure.
func (x *exchange) mergeModels(reach []int) (*policy.ModelList, *failure.Failure) {
	work, cancel := x.work()
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(work, listTime, dispatch.ErrSilent)
	defer stop()
	type answer struct {
		call *dispatch.Call
		list *buffer.Buffer
		f    *failure.Failure
	}
	all := make([]answer, len(reach))
	var asked sync.WaitGroup
	for n, i := range reach {
		a := &all[n]
		a.call = x.modelsCall(x.gen.pools.Route(i), listQuick)
		asked.Go(func() {
			defer a.call.Release()
			defer func() {
				if p := recover(); p != nil {
					a.f = failure.Of(failure.Panic, policy.Internal()).Because(x.gen.observer.Panic(&x.rec, p))
				}
			}()
			a.list, a.f = x.fetchModels(ctx, a.call)
		})
	}
	asked.Wait()
	merged := x.gen.decider.Router().NewModelList(x.ask(), x.rec.Caller)
	var first *failure.Failure
	some := len(reach) == 0
	for n, i := range reach {
		a := &all[n]
		x.rec.Retries += a.call.Retries
		f := a.f
		if f == nil {
			if !merged.Add(i, &a.call.Backend.Backend, a.list.B) {
				f = noList()
			}
			a.list.Put()
		}
		if f == nil {
			some = true
			continue
		}
		if first == nil {
			first = f
		}
		if f.Reply != nil {
			x.gen.log.Warn("the models of a route are missing in the list", "request_id", x.rec.ID, "route", a.call.Pool.Name, "failure", f.Kind.String())
		}
	}
	if !some {
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
	ask := x.ask()
	ask.Model = id
	route := x.gen.decider.Router().Choose(ask)
	if route < 0 {
		return failure.Of(failure.NoRoute, policy.NoRoute(id))
	}
	if p := x.gen.pools.Route(route); p.Provider == config.VLLMResponses && !p.Renames {
		return x.forward(&policy.Decision{Route: route, Repeatable: true}, nil)
	}
	buf, f := x.models(route)
	if f != nil {
		return f
	}
	defer buf.Put()
	list := x.gen.decider.Router().NewModelList(x.ask(), x.rec.Caller)
	list.Add(route, &x.call.Backend.Backend, buf.B)
	if entry, ok := list.AppendModel(nil, id); ok {
		x.json(http.StatusOK, entry)
		return nil
	}
	e := responses.NewError(http.StatusNotFound, "model_not_found", "the model "+policy.Clip(id, 256)+" does not exist")
	e.Param = "model"
	return failure.Of(failure.UnknownModel, e)
}

// modelsCall is the call of the list of one of the pool's backends. quick is how
// long one may take before another is asked; 0: as long as for any answer.
func (x *exchange) modelsCall(p *dispatch.Pool, quick time.Duration) *dispatch.Call {
	req := &dispatch.Request{Repeat: true, Quick: quick, RetryStatuses: p.Provider == config.VLLM}
	req.Request = upstream.Request{Method: http.MethodGet, Target: "/v1/models", Repeatable: true}
	if p.Provider == config.VLLM {
		req.Header = x.chatHeader(false)
	} else {
		req.Header, req.Credential = x.forwardHeader()
	}
	return p.Call(req)
}

// fetchModels returns the list of one backend, which is a JSON object.
func (x *exchange) fetchModels(ctx context.Context, call *dispatch.Call) (list *buffer.Buffer, f *failure.Failure) {
	f = call.Send(ctx, func(ans *upstream.Answer) (f *failure.Failure) {
		defer ans.Close()
		if ans.Status != http.StatusOK {
			return call.Refused(ctx, ans)
		}
		list = buffer.Metered(&x.held)
		f = call.Read(ctx, ans, list, x.gen.cfg.Limits.ResponseBodyBytes)
		if f == nil && (fastjson.ValidateBytes(list.B) != nil || len(list.B) == 0 || list.B[0] != '{') {
			f = noList()
		}
		if f != nil {
			list.Put()
		}
		return f
	})
	return list, f
}

func noList() *failure.Failure {
	return failure.Of(failure.UpstreamAnswer, responses.NewError(http.StatusBadGateway, "upstream_invalid_answer", "the model server's list of models is not JSON"))
}
