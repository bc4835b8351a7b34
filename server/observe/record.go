package observe

import (
	"net/netip"
	"time"

	"antwort/server/trace"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Record is what is known of one exchange. Steps of the exchange fill it in; one
// goroutine at a time does.
type Record struct {
	ID       string
	Start    time.Time
	Method   string
	Path     string // as it came, escaped
	Endpoint string // pattern of the path
	Quiet    bool   // logged at debug level only
	// Operation is what a model is asked for, as the conventions call it ("chat"); "": nothing.
	Operation string
	Span      *trace.Span // nil: the exchange is not traced
	Client    netip.Addr  // where the request came from; not valid: not known

	Caller *policy.Identity // nil: not known, or nobody is asked
	Model  string           // "": none was named, or nobody has looked
	Known  bool             // the model is one of few that somebody has configured or lists

	Route   string // of the configuration, and
	Backend string // of those of its backends the last that was tried; "": none
	Retries int    // attempts after the first

	Status     int           // 0 until something was answered
	Sent       int64         // bytes of the answer's body, which Wrote counts
	Streamed   bool          // the answer is
	FirstEvent time.Duration // after Start; 0: none
	FirstToken time.Duration // likewise: of what a model says; 0: not known
	Outcome    responses.Outcome
	Passed     int64 // tokens of an answer that passed, by an estimate, for where nobody has counted them

	DroppedTools string // types of the request's tools that were left out

	Limit string // that has refused it, by rule and what it limits

	Failure failure.Kind
	Cause   error // more about it, for the log only: it may name addresses

	took   time.Duration
	flight flight
}

// Fail notes why the exchange failed; the first reason stays.
func (r *Record) Fail(kind failure.Kind, cause error) {
	if r.Failure == failure.None {
		r.Failure, r.Cause = kind, cause
	}
}

// statusClientGone is the status when nobody was there to be answered.
const statusClientGone = 499

func (r *Record) end() {
	r.took = time.Since(r.Start)
	if r.Status == 0 {
		r.Status = statusClientGone
	}
}
