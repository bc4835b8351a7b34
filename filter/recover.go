package filter

import (
	"fmt"
	"runtime/debug"

	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// recovered ends a callback that has panicked: that request fails closed, with
// status 500 or, when headers have left, cut. A panic that escaped would kill
// the VM with all its streams.
func (s *stream) recovered(action *types.Action) {
	r := recover()
	if r == nil {
		return
	}
	*action = types.ActionPause
	s.exchange, s.closed = nil, true // whatever state it is in
	defer func() {
		if r := recover(); r != nil {
			logPanic(s.requestID, r)
		}
	}()
	logPanic(s.requestID, r)
	s.metrics.panics.Increment(1)
	s.gate.leave(s)
	s.reply(panicked, policy.Internal())
}

func logPanic(where string, r any) {
	proxywasm.LogCritical("antwort: panic: " + where + ": " + fmt.Sprint(r) + "\n" + string(debug.Stack()))
}
