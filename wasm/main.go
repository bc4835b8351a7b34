//go:build wasip1

// Command wasm is the proxy-wasm filter as a module: `make build` compiles it
// into bin/filter.wasm.
package main

import (
	"antwort/filter"
	_ "antwort/wasm/abi"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

func init() { proxywasm.SetVMContext(filter.New()) }

// main never runs: the host calls _initialize, which runs init functions only.
func main() {}
