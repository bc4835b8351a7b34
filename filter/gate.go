package filter

import (
	"time"

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
	waiting map[uint32]*stream
}

// pause notes that s waits for its body.
func (g *gate) pause(s *stream) {
	if g.proven {
		return
	}
	if g.waiting == nil {
		g.waiting = make(map[uint32]*stream)
	}
	if len(g.waiting) == 0 {
		s.tickEvery(min(max(s.cfg.Filter.GateWait/4, time.Millisecond), time.Second))
	}
	g.waiting[s.id] = s
}

// passed notes that a callback came for s after its pause.
func (g *gate) passed(s *stream) {
	if g.proven || g.waiting[s.id] == nil {
		return
	}
	g.proven, g.waiting = true, nil
	s.tickEvery(0)
}

// leave notes that s has ended.
func (g *gate) leave(s *stream) {
	if g.waiting[s.id] == nil {
		return
	}
	delete(g.waiting, s.id)
	if len(g.waiting) == 0 {
		s.tickEvery(0)
	}
}

// check answers the requests that have waited for too long. It runs in the
// plugin's context.
func (g *gate) check() {
	for _, s := range g.waiting {
		if s.clock.now().since(s.begun) < s.cfg.Filter.GateWait {
			continue
		}
		if proxywasm.SetEffectiveContext(s.id) == nil {
			s.answerUngated()
		}
	}
}

func (s *stream) answerUngated() {
	s.gate.leave(s)
	proxywasm.LogError("antwort: no body came for a paused request within filter.gate_wait: " +
		"filter.profile gated needs allow_on_headers_stop_iteration: true in Envoy's plugin configuration (Envoy 1.35 or later); " +
		"profile inline does not")
	s.reply(ungated, responses.NewError(500, "gateway_misconfigured",
		"the gateway's filter.profile is gated, which needs allow_on_headers_stop_iteration: true in Envoy's plugin configuration (Envoy 1.35 or later): "+
			"set it, or set filter.profile to inline"))
}

// tickEvery sets the period of the plugin's ticks; 0 ends them.
func (s *stream) tickEvery(d time.Duration) {
	must(proxywasm.SetTickPeriodMilliSeconds(uint32(d.Milliseconds())))
}
