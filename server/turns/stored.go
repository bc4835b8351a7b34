package turns

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"antwort/server/state"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// A Question is a request about a stored response.
type Question struct {
	Caller   *policy.Identity
	Endpoint *policy.Endpoint // Stored, Cancel or InputItems
	Method   string
	Path     string // of the endpoint
	Query    string
	Memory   Memory // is asked for what the answer takes
}

// Answer returns the body of the answer, to a question that asks for no events.
func (t *Turns) Answer(ctx context.Context, q *Question) ([]byte, *failure.Failure) {
	wire := wireID(q.Path)
	query, err := url.ParseQuery(q.Query)
	if err != nil {
		return nil, failure.Of(failure.InvalidRequest, responses.NewError(http.StatusBadRequest, "invalid_query", "the query is none"))
	}
	include, f := includes(query)
	if f != nil {
		return nil, f
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.State.CommitTimeout)
	defer cancel()
	owner := state.Owner(policy.Owner(t.cfg, q.Caller))
	id, ok := state.IDOf(wire)
	if !ok {
		return nil, notFound(wire)
	}
	if q.Method == http.MethodDelete {
		if err := t.store.Delete(ctx, owner, id); err != nil {
			return nil, t.failed(ctx, err, wire)
		}
		return []byte(`{"id":"` + wire + `","object":"response","deleted":true}`), nil
	}
	var r *state.Record
	if q.Endpoint == policy.Cancel {
		r, err = t.cancel(ctx, owner, id)
	} else {
		r, err = t.store.Get(ctx, owner, id)
	}
	if err != nil {
		return nil, t.failed(ctx, err, wire)
	}
	if !q.Memory.Hold(2 * r.Bytes()) { // the record, and the answer until it is sent
		return nil, q.Memory.Refusal()
	}
	switch {
	case q.Endpoint == policy.Cancel && r.Flags&state.Background == 0:
		return nil, failure.Of(failure.InvalidRequest, responses.NewError(http.StatusBadRequest, "not_cancellable", "Cannot cancel a synchronous response."))
	case q.Endpoint == policy.InputItems:
		return page(query, include, r.Input)
	}
	return resource(r), nil
}

// wireID is the id in the path of an endpoint.
func wireID(path string) string {
	wire, _, _ := strings.Cut(strings.TrimPrefix(path, policy.Create.Name+"/"), "/")
	return wire
}

// failed is what is told of a response that the store does not give.
func (t *Turns) failed(ctx context.Context, err error, wire string) *failure.Failure {
	if errors.Is(err, state.ErrNotFound) {
		return notFound(wire)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return unavailable().Because(err)
	}
	return t.broken(ctx, err)
}

// notFound is what is told of a response that there is not, or that is somebody
// else's: nobody learns which.
func notFound(wire string) *failure.Failure {
	return failure.Of(failure.NotStored, responses.NewError(http.StatusNotFound, "response_not_found", "Response with id '"+policy.Clip(wire, 128)+"' not found."))
}

// page lists items of the input.
func page(query url.Values, include []string, items []byte) ([]byte, *failure.Failure) {
	p, e := pageOf(query)
	for _, i := range include {
		p.Images = p.Images || i == "message.input_image.image_url"
	}
	var list []byte
	if e == nil {
		list, e = p.Append(nil, items)
	}
	if e != nil {
		e.Code = "invalid_value"
		return nil, failure.Of(failure.InvalidRequest, e)
	}
	return list, nil
}

// pageOf says which items a query asks for.
func pageOf(query url.Values) (p history.Page, e *responses.Error) {
	p = history.Page{After: query.Get("after"), Limit: 20}
	if limit := query.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > 100 {
			e = responses.Invalid("limit", "must be a number from 1 to 100")
		}
		p.Limit = n
	}
	switch query.Get("order") {
	case "", "desc":
	case "asc":
		p.Ascending = true
	default:
		e = responses.Invalid("order", "must be asc or desc")
	}
	if e != nil {
		e.Code = "invalid_value"
	}
	return p, e
}

// includes are the values of include, in the ways that clients write lists.
func includes(query url.Values) (values []string, f *failure.Failure) {
	for name, given := range query {
		if name != "include" && !strings.HasPrefix(name, "include[") {
			continue
		}
		for _, v := range given {
			if !responses.Includes(v) {
				e := responses.Invalid("include", "has a value that is none: "+strconv.Quote(policy.Clip(v, 64)))
				e.Code = "invalid_value"
				return nil, failure.Of(failure.InvalidRequest, e)
			}
			values = append(values, v)
		}
	}
	return values, nil
}
