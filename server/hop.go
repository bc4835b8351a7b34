package server

import (
	"net/http"

	"antwort/shared/policy"
)

// hopField is policy.HopField as net/http writes it.
var hopField = http.CanonicalHeaderKey(policy.HopField)

// appendHop adds the server's mark to those of a request that goes on, so that one
// that comes back is refused.
func (x *exchange) appendHop(b []byte) []byte {
	b = append(b, "CDN-Loop: "...)
	for _, others := range x.r.Header[hopField] {
		b = append(append(b, others...), ", "...)
	}
	return append(append(b, x.gen.hop...), "\r\n"...)
}
