package server

import (
	"net/http"

	"antwort/server/ingress"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// maxTarget bounds a request's target, in bytes (RFC 9110 section 4.1).
const maxTarget = 8 << 10

// wellFormed answers a request whose header others could read in another way, or
// whose target is too long, or that was here before, and returns false.
func (x *exchange) wellFormed() bool {
	if problem := ingress.Begin(x.r); problem != "" {
		x.answerFailure(failure.Of(failure.AmbiguousRequest, responses.NewError(http.StatusBadRequest, "invalid_http", "the request is not valid HTTP: "+problem)).With("Connection", "close"))
		return false
	}
	if len(x.r.RequestURI) > maxTarget {
		x.rec.Path = x.rec.Path[:min(len(x.rec.Path), 256)]
		x.answerFailure(failure.Of(failure.TargetTooLong, responses.NewError(http.StatusRequestURITooLong, "uri_too_long", "the request's path and query are over this server's limit of 8192 bytes")))
		return false
	}
	if policy.CameBack(x.r.Header[hopField], x.gen.hop) {
		x.answerFailure(failure.Of(failure.Loop, responses.LoopDetected()))
		return false
	}
	return true
}
