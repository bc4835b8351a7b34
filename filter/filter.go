// Package filter is the proxy-wasm plugin: it runs the translation inside a
// stock Envoy. Its contexts are those of proxy-wasm-go-sdk; docs/filter.md is
// its manual.
//
//	request headers ─ route ─┬─ translated: body ─► document ─► translate.Request ─► body
//	                         ├─ forwarded:  body passes
//	                         └─ neither:    all passes
//	answer ─┬─ stream:  chunk ─► translate.Stream ─► whole events in the chunk's place
//	        ├─ whole:   chunks ─► body ─► translate.Response ─► body
//	        ├─ refused: body ─► error in OpenAI's shape
//	        └─ watched: chunk passes, usage is read
//
// A VM does one thing at a time and callbacks do not overlap, so nothing here
// is locked. State of a VM is in vm, of a plugin in plugin, of a request in
// stream: plugins with the same code share a VM, and package variables with it.
package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// vm is what the plugins of one VM share.
type vm struct {
	types.DefaultVMContext
	inFlight int64 // bytes of bodies that are held, by all streams
	free     [][]byte
	streams  []*stream // that have ended
	asked    header    // the fields of the request whose header came last
	answered header    // and those of the answer
	out      []byte    // what a callback writes to the host; not kept beyond it
	clock    clock
}

// New returns the context for proxywasm.SetVMContext.
func New() types.VMContext { return &vm{} }

// takeStream returns an empty stream.
func (v *vm) takeStream() *stream {
	last := len(v.streams) - 1
	if last < 0 {
		return &stream{}
	}
	s := v.streams[last]
	v.streams = v.streams[:last]
	return s
}

// giveStream takes back a stream that nothing refers to any more.
func (v *vm) giveStream(s *stream) {
	*s = stream{}
	if len(v.streams) < keptStreams {
		v.streams = append(v.streams, s)
	}
}

// keptStreams are for reuse; others go to the garbage collector.
const keptStreams = 64

// NewPluginContext makes the context of one plugin.
func (v *vm) NewPluginContext(uint32) types.PluginContext { return &plugin{vm: v} }
