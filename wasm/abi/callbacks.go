//go:build wasip1

package abi

import (
	_ "unsafe" // for go:linkname

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

//go:wasmexport proxy_abi_version_0_2_0
func proxyABIVersion() {}

//go:linkname onContextCreate github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnContextCreate
func onContextCreate(contextID, pluginContextID uint32)

//go:wasmexport proxy_on_context_create
func proxyOnContextCreate(contextID, pluginContextID int32) {
	onContextCreate(uint32(contextID), uint32(pluginContextID))
}

//go:linkname onVMStart github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnVMStart
func onVMStart(contextID uint32, size int) types.OnVMStartStatus

//go:wasmexport proxy_on_vm_start
func proxyOnVMStart(contextID, size int32) int32 {
	return truth(bool(onVMStart(uint32(contextID), int(size))))
}

//go:linkname onConfigure github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnConfigure
func onConfigure(pluginContextID uint32, size int) types.OnPluginStartStatus

//go:wasmexport proxy_on_configure
func proxyOnConfigure(pluginContextID, size int32) int32 {
	return truth(bool(onConfigure(uint32(pluginContextID), int(size))))
}

//go:linkname onTick github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnTick
func onTick(pluginContextID uint32)

//go:wasmexport proxy_on_tick
func proxyOnTick(pluginContextID int32) { onTick(uint32(pluginContextID)) }

//go:linkname onQueueReady github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnQueueReady
func onQueueReady(contextID, queueID uint32)

//go:wasmexport proxy_on_queue_ready
func proxyOnQueueReady(contextID, queueID int32) { onQueueReady(uint32(contextID), uint32(queueID)) }

//go:linkname onRequestHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestHeaders
func onRequestHeaders(contextID uint32, count int, endOfStream bool) types.Action

//go:wasmexport proxy_on_request_headers
func proxyOnRequestHeaders(contextID, count, endOfStream int32) int32 {
	return int32(onRequestHeaders(uint32(contextID), int(count), endOfStream != 0))
}

//go:linkname onRequestBody github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestBody
func onRequestBody(contextID uint32, size int, endOfStream bool) types.Action

//go:wasmexport proxy_on_request_body
func proxyOnRequestBody(contextID, size, endOfStream int32) int32 {
	return int32(onRequestBody(uint32(contextID), int(size), endOfStream != 0))
}

//go:linkname onRequestTrailers github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnRequestTrailers
func onRequestTrailers(contextID uint32, count int) types.Action

//go:wasmexport proxy_on_request_trailers
func proxyOnRequestTrailers(contextID, count int32) int32 {
	return int32(onRequestTrailers(uint32(contextID), int(count)))
}

//go:linkname onResponseHeaders github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseHeaders
func onResponseHeaders(contextID uint32, count int, endOfStream bool) types.Action

//go:wasmexport proxy_on_response_headers
func proxyOnResponseHeaders(contextID, count, endOfStream int32) int32 {
	return int32(onResponseHeaders(uint32(contextID), int(count), endOfStream != 0))
}

//go:linkname onResponseBody github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseBody
func onResponseBody(contextID uint32, size int, endOfStream bool) types.Action

//go:wasmexport proxy_on_response_body
func proxyOnResponseBody(contextID, size, endOfStream int32) int32 {
	return int32(onResponseBody(uint32(contextID), int(size), endOfStream != 0))
}

//go:linkname onResponseTrailers github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnResponseTrailers
func onResponseTrailers(contextID uint32, count int) types.Action

//go:wasmexport proxy_on_response_trailers
func proxyOnResponseTrailers(contextID, count int32) int32 {
	return int32(onResponseTrailers(uint32(contextID), int(count)))
}

//go:linkname onHTTPCallResponse github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.proxyOnHttpCallResponse
func onHTTPCallResponse(pluginContextID, calloutID uint32, headers, bodySize, trailers int)

//go:wasmexport proxy_on_http_call_response
func proxyOnHTTPCallResponse(pluginContextID, calloutID, headers, bodySize, trailers int32) {
	onHTTPCallResponse(uint32(pluginContextID), uint32(calloutID), int(headers), int(bodySize), int(trailers))
}

func truth(b bool) int32 {
	if b {
		return 1
	}
	return 0
}
