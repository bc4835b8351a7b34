package filter

import (
	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// gate looks after requests of the gated profile that were paused in their
// headers. Without allow_on_headers_stop_iteration Envoy never calls back for
// their bodies and they would hang for ever. The first body callback that does
// come proves the setting for the plugin; until then requests that wait for
// longer than filter.gate_wait are answered 500.
type gate struct {
	proven  bool
	waiting map[uint32]*exchange
}

// pause notes that x waits for its body.
func (g *gate) pause(x *exchange) {
	if g.proven {
		return
	}
	if g.waiting == nil {
		g.waiting = make(map[uint32]*exchange)
	}
	x.wake()
	g.waiting[x.id] = x
}

// passed notes that a callback came for x after its pause.
func (g *gate) passed(x *exchange) {
	if g.proven || g.waiting[x.id] == nil {
		return
	}
	g.proven, g.waiting = true, nil
}

// leave notes that x has ended.
func (g *gate) leave(x *exchange) {
	delete(g.waiting, x.id)
}

// check answers the requests that have waited for too long. It runs in the
// plugin's context.
func (g *gate) check() {
	for _, x := range g.waiting {
		if x.clock.now().since(x.begun) < x.cfg.Filter.GateWait {
			continue
		}
		if proxywasm.SetEffectiveContext(x.id) == nil {
			x.answerUngated()
		}
	}
}

func (x *exchange) answerUngated() {
	x.gate.leave(x)
	proxywasm.LogError("antwort: no body came for a paused request within filter.gate_wait: " +
		"filter.profile gated needs allow_on_headers_stop_iteration: true in Envoy's plugin configuration (Envoy 1.35 or later); " +
		"profile inline does not")
	x.reply(failure.Ungated, responses.NewError(500, "gateway_misconfigured",
		"the gateway's filter.profile is gated, which needs allow_on_headers_stop_iteration: true in Envoy's plugin configuration (Envoy 1.35 or later): "+
			"set it, or set filter.profile to inline"))
}
