package server

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"antwort/server/buffer"
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
	if x.caller != nil {
		ask.Tenant = x.caller.Tenant
	}
	return ask
}

// listModels answers GET /v1/models.
func (x *exchange) listModels() {
	reach := x.gen.decider.Router().Reachable(x.ask())
	if len(reach) == 1 && !x.caller.Restricted() {
		if p := x.gen.pools[reach[0]]; len(p.Match.Models) == 0 && !p.renames {
			x.listAsIs(reach[0])
			return
		}
	}
	list, f := x.mergeModels(reach)
	if f != nil {
		x.answerFailure(f)
		return
	}
	x.json(http.StatusOK, list.Append(nil))
}

// listAsIs answers with the list of the one pool that everything goes to.
func (x *exchange) listAsIs(route int) {
	p := x.gen.pools[route]
	if p.provider == config.VLLMResponses {
		x.forward(&policy.Decision{Route: route, Repeatable: true}, nil)
		return
	}
	ctx, cancel := x.work()
	defer cancel(nil)
	buf, f := x.fetchModels(ctx, p, 0)
	if f != nil {
		x.answerFailure(f)
		return
	}
	defer buf.Put()
	x.json(http.StatusOK, buf.B)
}

// mergeModels asks a backend of each route at once. What a route does not say is
// missing in the list; only when none says anything, that is a failure.
func (x *exchange) mergeModels(reach []int) (*policy.ModelList, *failure.Failure) {
	work, cancel := x.work()
	defer cancel(nil)
	ctx, stop := context.WithTimeoutCause(work, listTime, errSilent)
	defer stop()
	type told struct {
		part *exchange
		buf  *buffer.Buffer
		f    *failure.Failure
	}
	all := make([]told, len(reach))
	var asked sync.WaitGroup
	for n, i := range reach {
		part := &exchange{gen: x.gen, r: x.r, endpoint: x.endpoint, id: x.id, method: x.method, path: x.path, start: x.start, caller: x.caller}
		all[n].part = part
		asked.Go(func() {
			defer part.lease.Release()
			defer func() {
				if p := recover(); p != nil {
					part.panicked(p)
					all[n].f = failure.Of(failure.Panic, policy.Internal()).Because(fmt.Errorf("panic: %v", p))
				}
			}()
			all[n].buf, all[n].f = part.fetchModels(ctx, x.gen.pools[i], listQuick)
		})
	}
	asked.Wait()
	list := x.gen.decider.Router().NewModelList(x.ask(), x.caller)
	var first *failure.Failure
	heard := len(reach) == 0
	for n, i := range reach {
		answer := &all[n]
		x.retries += answer.part.retries
		f := answer.f
		if f == nil {
			if !list.Add(i, &answer.part.backend.Backend, answer.buf.B) {
				f = noList()
			}
			answer.buf.Put()
		}
		if f == nil {
			heard = true
			continue
		}
		if first == nil {
			first = f
		}
		if f.Reply != nil {
			x.gen.log.Warn("the models of a route are missing in the list", "request_id", x.id, "route", x.gen.pools[i].Name, "failure", f.Kind.String())
		}
	}
	if !heard {
		return nil, first
	}
	return list, nil
}

// showModel answers GET /v1/models/{id}.
func (x *exchange) showModel() {
	id, err := url.PathUnescape(strings.TrimPrefix(x.path, "/v1/models/"))
	if err != nil {
		x.unknownPath()
		return
	}
	x.model = id
	if err := x.caller.Allows(id); err != nil {
		x.answerFailure(failure.Of(failure.ForbiddenModel, err))
		return
	}
	ask := x.ask()
	ask.Model = id
	route := x.gen.decider.Router().Choose(ask)
	if route < 0 {
		x.answerFailure(failure.Of(failure.NoRoute, policy.NoRoute(id)))
		return
	}
	p := x.gen.pools[route]
	if p.provider == config.VLLMResponses && !p.renames {
		x.forward(&policy.Decision{Route: route, Repeatable: true}, nil)
		return
	}
	ctx, cancel := x.work()
	defer cancel(nil)
	buf, f := x.fetchModels(ctx, p, 0)
	if f != nil {
		x.answerFailure(f)
		return
	}
	defer buf.Put()
	list := x.gen.decider.Router().NewModelList(x.ask(), x.caller)
	list.Add(route, &x.backend.Backend, buf.B)
	if entry, ok := list.AppendModel(nil, id); ok {
		x.json(http.StatusOK, entry)
		return
	}
	e := responses.NewError(http.StatusNotFound, "model_not_found", "the model "+policy.Clip(id, 256)+" does not exist")
	e.Param = "model"
	x.answerFailure(failure.Of(failure.UnknownModel, e))
}

// fetchModels returns the list of one of the pool's backends, which is a JSON
// object. quick is how long one may take before another is asked; 0: as long as
// for any answer.
func (x *exchange) fetchModels(ctx context.Context, p *pool, quick time.Duration) (*buffer.Buffer, *failure.Failure) {
	a := &attempts{pool: p, repeatable: true, quick: quick, statuses: p.provider == config.VLLM}
	a.request = upstream.Request{Method: http.MethodGet, Target: "/v1/models", Repeatable: true}
	if p.provider == config.VLLM {
		a.request.Header = x.chatHeader(false)
	} else {
		a.request.Header, a.own = x.forwardHeader()
	}
	x.attempt(a)
	for {
		ans, f := x.call(ctx)
		var buf *buffer.Buffer
		if f == nil {
			buf, f = x.readModels(ctx, ans)
		}
		if f == nil || !x.another(f) {
			return buf, f
		}
	}
}

func (x *exchange) readModels(ctx context.Context, ans *upstream.Answer) (*buffer.Buffer, *failure.Failure) {
	defer ans.Close()
	if ans.Status != http.StatusOK {
		return nil, x.refused(ctx, ans)
	}
	buf := buffer.Get()
	f := x.readAnswer(ctx, ans, buf)
	if f == nil && (fastjson.ValidateBytes(buf.B) != nil || len(buf.B) == 0 || buf.B[0] != '{') {
		f = noList()
	}
	if f != nil {
		buf.Put()
		return nil, f
	}
	return buf, nil
}

func noList() *failure.Failure {
	return failure.Of(failure.UpstreamAnswer, responses.NewError(http.StatusBadGateway, "upstream_invalid_answer", "the model server's list of models is not JSON"))
}
