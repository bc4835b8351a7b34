//go:build wasip1

// Package abi joins tetratelabs/proxy-wasm-go-sdk to a proxy-wasm host when
// the module is built by Go's own compiler. It implements the guest side of
// the Proxy-Wasm ABI 0.2.0.
//
// The SDK was written for TinyGo: it declares its host calls without a body
// and marks its callbacks with //export. This package supplies what Go's
// compiler needs instead: a body for every host call, which converts between
// Go's 64-bit int and pointers and the 32-bit values of the host, and an
// exported function for every HTTP callback but two, which are in package
// abi/log for those who need them. A plugin imports it for its side
// effects and calls proxywasm.SetVMContext from an init function; main never
// runs, since the module is a WASI reactor. AppendFields and ReadBuffer are for
// those who read headers and bodies at every request.
//
// The package builds with
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -tags tinygo \
//	  -gcflags=github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/internal=-complete=false
//
// where the tag selects the SDK's real host calls and -complete=false lets
// them stand without a body.
package abi
