// Package failure names what can go wrong with a request, once for the server
// and the filter: in logs and metrics the same word means the same thing in both.
//
// The steps of an exchange return a Failure; who answers the client records its
// kind and sends its reply. Nothing here does anything.
package failure

import "antwort/shared/responses"

// Kind is why a request went wrong. The zero value is None.
type Kind uint8

// The kinds. Their texts are the values of label kind of failures_total, and of
// failure in a line of the log.
const (
	None Kind = iota // nothing went wrong

	// What the client sent was refused.

	AmbiguousRequest    // others could read another request in the same bytes
	TargetTooLong       // path and query
	UnknownPath         // no endpoint
	WrongMethod         // of an endpoint
	NotStored           // there is no such response, or none is stored here
	WrongContentType    // of a body that has to be read
	UnsupportedEncoding // of a body that has to be read
	TooLarge            // body
	BadBody             // its framing or its coding is broken
	SlowBody            // it did not arrive in time
	InvalidRequest      // as the API has it
	Loop                // it has come back to where it was

	// The caller was refused.

	Unauthorized      // no credential, or a wrong one
	AuthUnavailable   // nobody's token can be verified
	ForbiddenModel    // for this caller
	NoRoute           // leads to a backend
	UnknownModel      // no backend lists it
	RateLimited       // the caller has used as much as it may for now
	BudgetSpent       // the caller has used as much as it may in a day or a month
	LimitsUnavailable // nobody can tell how much the caller has used

	// The store of responses failed.

	StateUnavailable // it cannot be reached
	StateUnreadable  // what it has is sealed with a key that is gone, or broken
	StateQuota       // the caller has as much in it as may be
	Interrupted      // a response in the background was left by who worked on it, or took too long

	// The upstream failed.

	UpstreamConnect   // it cannot be reached
	UpstreamClosed    // it closed the connection without an answer
	UpstreamTimeout   // it sent no header in time
	UpstreamMalformed // its answer is not HTTP
	UpstreamStatus    // it refused
	UpstreamAnswer    // its whole answer is not as it must be
	UpstreamStream    // its stream is not as it must be, or failed
	UpstreamCut       // its answer broke off
	UpstreamSilent    // it stopped sending

	// The exchange ended otherwise.

	Cut        // the answer broke off, and only Envoy knows by whom
	ClientGone // the client did not wait for the answer
	Overloaded // too much is held already
	Ungated    // Envoy let a body wait for nothing (profile gated)
	Shutdown   // the server stops
	Panic      // a fault of ours

	kinds // how many
)

var texts = [kinds]string{
	None:                "",
	AmbiguousRequest:    "ambiguous_request",
	TargetTooLong:       "target_too_long",
	UnknownPath:         "unknown_path",
	WrongMethod:         "wrong_method",
	NotStored:           "not_stored",
	WrongContentType:    "wrong_content_type",
	UnsupportedEncoding: "unsupported_encoding",
	TooLarge:            "too_large",
	BadBody:             "bad_body",
	SlowBody:            "slow_body",
	InvalidRequest:      "invalid_request",
	Loop:                "loop",
	Unauthorized:        "unauthorized",
	AuthUnavailable:     "auth_unavailable",
	ForbiddenModel:      "forbidden_model",
	NoRoute:             "no_route",
	UnknownModel:        "unknown_model",
	RateLimited:         "rate_limited",
	BudgetSpent:         "budget_spent",
	LimitsUnavailable:   "limits_unavailable",
	StateUnavailable:    "state_unavailable",
	StateUnreadable:     "state_unreadable",
	StateQuota:          "state_quota",
	Interrupted:         "interrupted",
	UpstreamConnect:     "upstream_connect",
	UpstreamClosed:      "upstream_closed",
	UpstreamTimeout:     "upstream_timeout",
	UpstreamMalformed:   "upstream_malformed",
	UpstreamStatus:      "upstream_status",
	UpstreamAnswer:      "upstream_answer",
	UpstreamStream:      "upstream_stream",
	UpstreamCut:         "upstream_cut",
	UpstreamSilent:      "upstream_silent",
	Cut:                 "cut",
	ClientGone:          "client_gone",
	Overloaded:          "overloaded",
	Ungated:             "ungated",
	Shutdown:            "shutdown",
	Panic:               "panic",
}

// String is the kind's text, "" for None.
func (k Kind) String() string { return texts[k] }

// All returns every kind but None, in the order of the list.
func All() []Kind {
	all := make([]Kind, 0, kinds-1)
	for k := None + 1; k < kinds; k++ {
		all = append(all, k)
	}
	return all
}

// A Failure ends an exchange.
type Failure struct {
	Kind  Kind
	Cause error            // more about it, for the log only: it may name addresses; may be nil
	Reply *responses.Error // for the client; nil: there is nobody to tell
	// Fields are header fields that the answer needs beside the reply's own; the
	// names as they are usually written.
	Fields [][2]string
}

// Of is a failure that the client is told, and that needs no word in the log.
func Of(kind Kind, reply *responses.Error) *Failure { return &Failure{Kind: kind, Reply: reply} }

// Because returns f with what the log is told.
func (f *Failure) Because(cause error) *Failure {
	f.Cause = cause
	return f
}

// With returns f with one more header field.
func (f *Failure) With(name, value string) *Failure {
	f.Fields = append(f.Fields, [2]string{name, value})
	return f
}

// Answer is what the client is told, nil for no failure.
func (f *Failure) Answer() *responses.Error {
	if f == nil {
		return nil
	}
	return f.Reply
}
