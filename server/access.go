package server

import (
	"net/http"

	"antwort/server/upstream"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// Who may call. Every path but the probes and the metrics asks for a
// credential, unknown ones too.

// identify finds out who calls. When the credential is wrong it answers, and
// returns false.
func (x *exchange) identify() bool {
	if x.s.access == nil || x.route.open {
		return true
	}
	caller, err := x.s.access.Identify(x.r.Header["Authorization"], x.r.Header["X-Api-Key"])
	if err != nil {
		x.header()["Www-Authenticate"] = []string{policy.Challenge(err)[1]}
		x.fail("unauthorized", nil, err)
		return false
	}
	x.caller = caller
	return true
}

// appendIdentity tells the upstream who calls.
func (x *exchange) appendIdentity(b []byte) []byte {
	if x.caller == nil {
		return b
	}
	b = upstream.AppendField(b, "X-Antwort-Subject", x.caller.Subject)
	if x.caller.Tenant != "" {
		b = upstream.AppendField(b, "X-Antwort-Tenant", x.caller.Tenant)
	}
	return b
}

// withheld reports whether a field of the client is not for the upstream:
// identities are ours to tell, and credentials were for us.
func (x *exchange) withheld(name string) bool {
	switch name {
	case "Authorization", "X-Api-Key":
		return x.s.access != nil && !x.s.access.Forward
	}
	return policy.IsReserved(name)
}

// restricted reports whether a forwarded body must be read, because its model
// decides about it.
func (x *exchange) restricted() bool {
	return x.caller.Restricted() && (x.route == x.s.routes.responses || x.route == x.s.routes.compact)
}

// attachAllowed reads a body to its end and attaches it when the caller may use
// its model. A coded body is refused: it would be read twice, by two decoders.
func (x *exchange) attachAllowed(req *upstream.Request, buf *buffer) *failed {
	limits := x.s.cfg.Limits
	if coding := contentCoding(x.r.Header); coding != "" {
		x.header().Set("Accept-Encoding", "identity")
		return &failed{"unsupported_encoding", nil, policy.WrongCoding(coding, "none")}
	}
	if x.r.ContentLength > limits.RequestBodyBytes {
		return tooLarge(limits.RequestBodyBytes)
	}
	if err := readInto(buf, x.r.Body, limits.RequestBodyBytes); err != nil {
		return x.readError(err, limits.RequestBodyBytes)
	}
	x.unlimitReading()
	reading, err := policy.Read(buf.b, responses.Limits{Depth: limits.JSONDepth, Values: limits.JSONValues})
	if err == nil {
		err = x.caller.AllowsReading(reading)
	}
	if err != nil {
		return &failed{refusedBody(err), nil, err}
	}
	req.Body = buf.b
	return nil
}

// refusedBody is the kind of a body's refusal.
func refusedBody(err *responses.Error) string {
	if err.Status == http.StatusNotFound {
		return "forbidden_model"
	}
	return "invalid_request"
}
