package filter

import (
	"fmt"
	"runtime/debug"

	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// recovered ends a callback that has panicked: that request fails closed, with
// status 500 or, when headers have left, cut. A panic that escaped would kill
// the VM with all its streams.
func (x *exchange) recovered(action *types.Action) {
	r := recover()
	if r == nil {
		return
	}
	*action = types.ActionPause
	x.handler, x.closed = nil, true // whatever state it is in
	defer func() {
		if r := recover(); r != nil {
			logPanic(x.requestID, r)
		}
	}()
	logPanic(x.requestID, r)
	x.metrics.panics.Increment(1)
	x.gate.leave(x)
	x.reply(failure.Panic, policy.Internal())
}

func logPanic(where string, r any) {
	proxywasm.LogCritical("antwort: panic: " + where + ": " + fmt.Sprint(r) + "\n" + string(debug.Stack()))
}
