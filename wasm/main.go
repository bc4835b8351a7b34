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

// ballast is memory that nobody touches, so that the host never has to find it. To
// the garbage collector it is a heap that is not empty: without it one that holds
// little is collected every 4 MB.
var ballast = make([]byte, filter.BallastBytes)

// main never runs: the host calls _initialize, which runs init functions only.
func main() {}
