//go:build wasip1

// Package log exports the callbacks proxy_on_log and proxy_on_done, for plugins
// that import it beside package abi: those that read headers when a stream has
// ended, or delay the end of a plugin (OnPluginDone). OnHttpStreamDone is then
// called from proxy_on_log.
package log

import (
	_ "unsafe" // for go:linkname

	"antwort/wasm/abi"
)

func init() { abi.EndsByLog() }

//go:linkname onDone github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnDone
func onDone(contextID uint32) bool

//go:wasmexport proxy_on_done
func proxyOnDone(contextID int32) int32 {
	if onDone(uint32(contextID)) {
		return 1
	}
	return 0
}

//go:linkname onLog github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnLog
func onLog(contextID uint32)

//go:wasmexport proxy_on_log
func proxyOnLog(contextID int32) { onLog(uint32(contextID)) }
