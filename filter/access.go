package filter

import (
	"strings"

	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// identify finds out who calls. It returns the header as the upstream may see
// it: identities are ours to tell, and a credential that was for us ends here.
// When the credential is wrong it answers, and known is false.
//
// It comes first for every request, whatever its path. Until it has passed the
// exchange is closed: no callback lets anything of the request through.
func (x *exchange) identify(h header) (left header, known bool) {
	if x.access == nil {
		return h.withoutReserved(), true
	}
	authorization, apiKey := h.all(policy.CredentialFields[0]), h.all(policy.CredentialFields[1])
	told := policy.Told{Subject: h.all(policy.SubjectField), Tenant: h.all(policy.TenantField)}
	h = h.withoutReserved()
	x.forced.at("identify")
	var caller *policy.Identity
	var err *responses.Error
	if x.access.ByToken() {
		caller, err = x.verified(authorization, apiKey)
	} else {
		caller, err = x.access.Identify(authorization, apiKey, told)
	}
	switch {
	case err == nil:
	case err.Status == 403:
		x.refuse(h, failure.Unauthorized, err)
		return h, false
	default:
		x.refuse(h, failure.Unauthorized, err, policy.Challenge(err))
		return h, false
	}
	if !x.access.Forward {
		h = h.drop(policy.CredentialFields[:]...)
	}
	must(proxywasm.AddHttpRequestHeader(policy.SubjectField, caller.Subject))
	if caller.Tenant != "" {
		must(proxywasm.AddHttpRequestHeader(policy.TenantField, caller.Tenant))
	}
	x.caller = caller
	return h, true
}

// withoutReserved removes what is not a client's to say: who it is, where its
// request goes, and how Envoy is to treat it. What Envoy itself says of the client
// stays.
func (h header) withoutReserved() header {
	for i := 0; i < len(h); {
		if name := h[i][0]; name != "" && name[0]|0x20 == 'x' && (policy.IsReserved(name) || isEnvoys(name)) {
			h = h.drop(name) // all fields of this name, h[i] among them
		} else {
			i++
		}
	}
	return h
}

// isEnvoys reports whether a field speaks to Envoy, or in its name. The two that it
// writes itself for every request say nothing of a client's.
func isEnvoys(name string) bool {
	return strings.HasPrefix(name, "x-envoy-") && name != "x-envoy-external-address" && name != "x-envoy-internal"
}

// confined refuses what a caller with certain models might reach others by:
// paths that nobody looks into, and methods that begin another protocol.
func (x *exchange) confined(h header, path string, endpoint *policy.Endpoint) bool {
	switch method := h.get(":method"); {
	case endpoint == nil:
		x.refuse(h, failure.UnknownPath, policy.UnknownPath(path))
	case !endpoint.Allows(method):
		x.refuse(h, failure.WrongMethod, endpoint.WrongMethod(method, ""), [2]string{"allow", endpoint.Allow})
	default:
		return false
	}
	return true
}
