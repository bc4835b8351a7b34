//go:build wasip1

package abi

import (
	"runtime"
	_ "unsafe" // for go:linkname
)

// endsByLog says that package abi/log tells streams of their end.
var endsByLog bool

// EndsByLog is for package abi/log.
func EndsByLog() { endsByLog = true }

//go:linkname onLog github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnLog
func onLog(contextID uint32)

//go:linkname onDelete github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDelete
func onDelete(contextID uint32)

// proxy_on_delete is the last of three callbacks at the end of a stream. Each
// costs a host microseconds, so unless package abi/log exports the others this
// one does the work of all: OnHttpStreamDone is called here.
//
//go:wasmexport proxy_on_delete
func proxyOnDelete(contextID int32) {
	if !endsByLog {
		onLog(uint32(contextID))
	}
	onDelete(uint32(contextID))
	if ended++; ended%streamsPerTurn == 0 {
		runtime.Gosched()
	}
}

// streamsPerTurn is after how many streams the garbage collector gets a turn. In
// a module nothing waits, so that its worker would never run: allocations would do
// its work bit by bit, with write barriers on for a quarter of the time.
const streamsPerTurn = 32

var ended uint // streams
