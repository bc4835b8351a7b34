package filter

import (
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// ticker has the host call the plugin back while there is something to look
// after. A plugin that nothing waits in gets no ticks.
type ticker struct {
	every time.Duration
	runs  bool
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
