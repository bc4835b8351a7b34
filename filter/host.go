package filter

import (
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// pauseNoBuffer is FilterDataStatus StopIterationNoBuffer of the ABI: headers
// stay held and the chunk, which was emptied, is not gathered by Envoy, so that
// its buffer limit does not matter.
const pauseNoBuffer types.Action = 3

// setRequestChunk puts p in the place of a chunk of the given size.
func setRequestChunk(p []byte, size int) {
	if size > 0 || len(p) > 0 {
		must(proxywasm.ReplaceHttpRequestBody(p))
	}
}

func setAnswerChunk(p []byte, size int) {
	if size > 0 || len(p) > 0 {
		must(proxywasm.ReplaceHttpResponseBody(p))
	}
}

// appendAnswerChunk puts p behind what was put in the place of a chunk.
func appendAnswerChunk(p []byte) {
	if len(p) > 0 {
		must(proxywasm.AppendHttpResponseBody(p))
	}
}

// must is for host calls that fail only when the filter is wrong about its
// host: the request then fails closed, see recovered.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
