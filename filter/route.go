package filter

import (
	"strconv"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Fields that tell Envoy's routes where a request goes, and its hash policy
// which of the backends there has the conversation in its cache. Clients' own
// are removed from every request.
const (
	routeField    = "x-antwort-route"
	affinityField = "x-antwort-affinity"
)

// retryField adds reasons to send a request again to those of Envoy's retry
// policy: a connection that broke before there was an answer, and the statuses
// that the policy names. Only who has read a forwarded request knows that it may
// be repeated.
const (
	retryField   = "x-envoy-retry-on"
	retryReasons = "reset,retriable-status-codes"
)

// ask is what a request says about where it may go. Its header stays as it was
// in the header phase.
func (x *exchange) ask(h header, model string) policy.Ask {
	ask := policy.Ask{Model: model, Values: h.all}
	if x.caller != nil {
		ask.Tenant = x.caller.Tenant
	}
	return ask
}

// chooseUnread chooses the route of a request whose body nobody has read. It is
// false when the model decides.
func (x *exchange) chooseUnread(h header) (decided bool, err *responses.Error) {
	if x.router == nil {
		x.pool = &x.pools[0]
		return true, nil
	}
	i, decided := x.router.ChooseUnread(x.ask(h, ""))
	if !decided {
		return false, nil
	}
	return true, x.goesTo(i, "")
}

// choose chooses the route of a request that names a model, or none.
func (x *exchange) choose(h header, model string) *responses.Error {
	if x.router == nil {
		x.pool = &x.pools[0]
		return nil
	}
	return x.goesTo(x.router.Choose(x.ask(h, model)), model)
}

func (x *exchange) goesTo(route int, model string) *responses.Error {
	if route < 0 {
		return policy.NoRoute(model)
	}
	x.pool = &x.pools[route]
	return nil
}

// direct tells Envoy where the request goes, and the upstream who asks.
func (x *exchange) direct() {
	if x.pool.name != "" {
		must(proxywasm.ReplaceHttpRequestHeader(routeField, x.pool.name))
	}
	if x.pool.auth != "" {
		must(proxywasm.ReplaceHttpRequestHeader("authorization", x.pool.auth))
		if x.access == nil || x.access.Forward { // else the client's are gone
			must(proxywasm.RemoveHttpRequestHeader("x-api-key"))
		}
	}
}

// keepTogether sends the turns of a conversation to one backend.
func (x *exchange) keepTogether(r *policy.Reading) {
	if x.pool.affinity {
		must(proxywasm.ReplaceHttpRequestHeader(affinityField, strconv.FormatUint(r.Conversation(), 16)))
	}
}
