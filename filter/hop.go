package filter

import (
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// cameBack refuses a request that was here before, and leaves the filter's mark in
// all others. Each VM has its own: one that goes round is found when it meets the
// same one again.
func (x *exchange) cameBack(h header) bool {
	if policy.CameBack(h.all(policy.HopField), x.hop) {
		x.closed = true
		x.refuse(h, failure.Loop, responses.LoopDetected())
		return true
	}
	must(proxywasm.AddHttpRequestHeader(policy.HopField, x.hop))
	return false
}
