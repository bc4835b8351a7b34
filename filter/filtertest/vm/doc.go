// Package vm runs a proxy-wasm module of ABI 0.2 in wazero, with the calling
// rules of Envoy's proxy-wasm-cpp-host: callbacks go in, host calls come out.
//
//	event ─► Worker.Run ─► Instance.Call ─► module ─► host calls ─► Plugin, Stream
//
// It knows the module, its memory, contexts, logs, metrics and shared data. What
// a host call reaches of a plugin or of an HTTP stream is behind the interfaces
// [Plugin] and [Stream]; what streams are, package filtertest knows.
package vm
