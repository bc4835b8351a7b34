package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// ticker has the host call the plugin back while there is something to look
// after. A plugin that nothing waits in gets no ticks.
type ticker struct {
	every   time.Duration
	runs    bool
	hurries bool // the next one comes at once
}

// start makes the ticks begin, if they do not come already.
func (t *ticker) start() {
	if !t.runs {
		t.begin()
	}
}

func (t *ticker) begin() {
	t.runs = true
	must(proxywasm.SetTickPeriodMilliSeconds(uint32(max(t.every, time.Millisecond).Milliseconds())))
}

// stop ends the ticks.
func (t *ticker) stop() {
	t.runs = false
	must(proxywasm.SetTickPeriodMilliSeconds(0))
}

// hurry makes the next tick come at once; calm has them come as they did.
func (t *ticker) hurry() {
	if !t.hurries {
		t.runs, t.hurries = true, true
		must(proxywasm.SetTickPeriodMilliSeconds(1))
	}
}

func (t *ticker) calm() {
	if t.hurries {
		t.hurries = false
		t.begin()
	}
}
