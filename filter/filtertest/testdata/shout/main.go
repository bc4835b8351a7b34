//go:build wasip1

// Command shout is a small plugin for the examples: it answers requests
// without x-name 401, counts the others, and writes their responses in upper
// case.
package main

import (
	"bytes"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	_ "antwort/wasm/abi"
)

func init() { proxywasm.SetVMContext(&vm{}) }

func main() {}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(uint32) types.PluginContext { return &plugin{} }

type plugin struct {
	types.DefaultPluginContext
	requests proxywasm.MetricCounter
}

func (p *plugin) OnPluginStart(int) types.OnPluginStartStatus {
	p.requests = proxywasm.DefineCounterMetric("shout_requests")
	return types.OnPluginStartStatusOK
}

func (p *plugin) NewHttpContext(uint32) types.HttpContext { return &stream{plugin: p} }

type stream struct {
	types.DefaultHttpContext
	plugin  *plugin
	refused bool
}

func (s *stream) OnHttpRequestHeaders(int, bool) types.Action {
	if _, err := proxywasm.GetHttpRequestHeader("x-name"); err != nil {
		s.refused = true
		_ = proxywasm.SendHttpResponse(401, nil, []byte("who are you?"), -1)
		return types.ActionPause
	}
	s.plugin.requests.Increment(1)
	return types.ActionContinue
}

func (s *stream) OnHttpResponseBody(size int, _ bool) types.Action {
	if b, err := proxywasm.GetHttpResponseBody(0, size); err == nil && !s.refused {
		_ = proxywasm.ReplaceHttpResponseBody(bytes.ToUpper(b))
	}
	return types.ActionContinue
}
