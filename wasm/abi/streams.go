//go:build wasip1

package abi

import "unsafe"

//go:wasmimport env proxy_log
func hostLog(level uint32, message unsafe.Pointer, messageSize uint32) uint32

//go:linkname log github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyLog
func log(level uint32, message *byte, messageSize int) uint32 {
	return hostLog(level, ptr(message), uint32(messageSize))
}

//go:wasmimport env proxy_send_local_response
func hostSendLocalResponse(code uint32, details unsafe.Pointer, detailsSize uint32, body unsafe.Pointer, bodySize uint32, headers unsafe.Pointer, headersSize uint32, grpcStatus int32) uint32

//go:linkname sendLocalResponse github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySendLocalResponse
func sendLocalResponse(code uint32, details *byte, detailsSize int, body *byte, bodySize int, headers *byte, headersSize int, grpcStatus int32) uint32 {
	return hostSendLocalResponse(code, ptr(details), uint32(detailsSize), ptr(body), uint32(bodySize), ptr(headers), uint32(headersSize), grpcStatus)
}

//go:wasmimport env proxy_continue_stream
func hostContinueStream(kind uint32) uint32

//go:linkname continueStream github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyContinueStream
func continueStream(kind uint32) uint32 {
	return hostContinueStream(kind)
}

//go:wasmimport env proxy_close_stream
func hostCloseStream(kind uint32) uint32

//go:linkname closeStream github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyCloseStream
func closeStream(kind uint32) uint32 {
	return hostCloseStream(kind)
}

//go:wasmimport env proxy_set_effective_context
func hostSetEffectiveContext(contextID uint32) uint32

//go:linkname setEffectiveContext github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetEffectiveContext
func setEffectiveContext(contextID uint32) uint32 {
	return hostSetEffectiveContext(contextID)
}

//go:wasmimport env proxy_set_tick_period_milliseconds
func hostSetTickPeriodMilliseconds(period uint32) uint32

//go:linkname setTickPeriodMilliseconds github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxySetTickPeriodMilliseconds
func setTickPeriodMilliseconds(period uint32) uint32 {
	return hostSetTickPeriodMilliseconds(period)
}

//go:wasmimport env proxy_done
func hostDone() uint32

//go:linkname done github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyDone
func done() uint32 {
	return hostDone()
}

//go:wasmimport env proxy_http_call
func hostHttpCall(upstream unsafe.Pointer, upstreamSize uint32, headers unsafe.Pointer, headersSize uint32, body unsafe.Pointer, bodySize uint32, trailers unsafe.Pointer, trailersSize uint32, timeout uint32, calloutID unsafe.Pointer) uint32

//go:linkname httpCall github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyHttpCall
func httpCall(upstream *byte, upstreamSize int, headers *byte, headersSize int, body *byte, bodySize int, trailers *byte, trailersSize int, timeout uint32, calloutID *uint32) uint32 {
	return hostHttpCall(ptr(upstream), uint32(upstreamSize), ptr(headers), uint32(headersSize), ptr(body), uint32(bodySize), ptr(trailers), uint32(trailersSize), timeout, ptr(calloutID))
}

//go:wasmimport env proxy_call_foreign_function
func hostCallForeignFunction(name unsafe.Pointer, nameSize uint32, param unsafe.Pointer, paramSize uint32, data, size unsafe.Pointer) uint32

//go:linkname callForeignFunction github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal.ProxyCallForeignFunction
func callForeignFunction(name *byte, nameSize int, param *byte, paramSize int, data **byte, size *int) uint32 {
	status := hostCallForeignFunction(ptr(name), uint32(nameSize), ptr(param), uint32(paramSize), ptr(&written.data), ptr(&written.size))
	written.deliver(data, size)
	return status
}
