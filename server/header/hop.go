package header

import (
	"net/http"

	"antwort/shared/policy"
)

// hopField is policy.HopField as net/http writes it.
var hopField = http.CanonicalHeaderKey(policy.HopField)

// CameBack reports whether a request was here before; hop is the process's mark.
func CameBack(h http.Header, hop string) bool { return policy.CameBack(h[hopField], hop) }

// AppendHop adds the process's mark to those of a request that goes on, so that one
// that comes back is refused.
func AppendHop(dst []byte, h http.Header, hop string) []byte {
	dst = append(dst, "CDN-Loop: "...)
	for _, others := range h[hopField] {
		dst = append(append(dst, others...), ", "...)
	}
	return append(append(dst, hop...), "\r\n"...)
}
