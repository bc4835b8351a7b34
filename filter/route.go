package filter

import (
	"slices"
	"strconv"

	"antwort/shared/failure"
	"antwort/shared/policy"

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

// begin decides about the request as far as its header goes. What the decision
// still needs, it says.
func (x *exchange) begin(endpoint *policy.Endpoint, h header, end bool) *failure.Failure {
	x.fields = h
	var f *failure.Failure
	x.decision, f = x.decider.Begin(policy.Request{Endpoint: endpoint, Method: h.get(":method"), Caller: x.caller, HasBody: !end, Field: x.values})
	return f
}

// field is exchange.values: the fields as they were in the header phase. What it
// returns is valid until it is called again.
func (x *exchange) field(name string) []string { return x.fields.appendAll(x.room[:0], name) }

// wait keeps the header for a decision that needs the body.
func (x *exchange) wait() {
	x.fields = slices.Clone(x.fields)
	x.gate.pause(x)
}

// direct tells Envoy where the request goes, now that it is decided, and the
// upstream who asks.
func (x *exchange) direct() {
	x.pool, x.fields = &x.pools[x.decision.Route], nil
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
func (x *exchange) keepTogether() {
	if x.pool.affinity {
		must(proxywasm.ReplaceHttpRequestHeader(affinityField, strconv.FormatUint(x.decision.Conversation, 16)))
	}
}
