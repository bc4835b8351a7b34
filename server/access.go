package server

import (
	"net/http"

	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Who may call. Every path but the probes and the metrics asks for a
// credential, unknown ones too.

// identify finds out who calls. When the credential is wrong it answers, and
// returns false.
func (x *exchange) identify() bool {
	if x.gen.access == nil || x.endpoint.open {
		return true
	}
	caller, err, cause := x.gen.identify(x.r)
	if err != nil {
		f := failure.Of(failure.AuthUnavailable, err).Because(cause)
		if err.Status == http.StatusUnauthorized {
			f.Kind = failure.Unauthorized
			f.Fields = append(f.Fields, policy.Challenge(err))
		}
		x.answerFailure(f)
		return false
	}
	x.rec.Caller = caller
	return true
}

// appendIdentity tells the upstream who calls.
func (x *exchange) appendIdentity(b []byte) []byte {
	if x.rec.Caller == nil {
		return b
	}
	b = upstream.AppendField(b, "X-Antwort-Subject", x.rec.Caller.Subject)
	if x.rec.Caller.Tenant != "" {
		b = upstream.AppendField(b, "X-Antwort-Tenant", x.rec.Caller.Tenant)
	}
	return b
}

// withheld reports whether a field of the client is not for the upstream:
// identities are ours to tell, and credentials were for us.
func (x *exchange) withheld(name string) bool {
	switch name {
	case "Authorization", "X-Api-Key":
		return x.gen.access != nil && !x.gen.access.Forward
	}
	return policy.IsReserved(name)
}
