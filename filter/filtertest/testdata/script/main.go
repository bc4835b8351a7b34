//go:build wasip1

// Command script is a plugin that does in each callback what the request asks
// for, and logs what came of it.
//
// The header x-script holds the script: phases with their actions, as
// "reqh:pause;reqb:read,drain;rese:append=tail". The phases are reqh, reqb,
// reqt (request headers, body, trailers), resh, resb, rest, tick and call (the
// answer to a call-out); reqe and rese are the body callback with the end of
// stream, and reqb2 is the second body callback. The most exact phase wins.
// x-case names the request in the log.
package main

import (
	"strconv"
	"strings"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"

	_ "antwort/wasm/abi"
	_ "antwort/wasm/abi/log"
)

func init() { proxywasm.SetVMContext(&vm{}) }

func main() {}

type vm struct{ types.DefaultVMContext }

func (*vm) NewPluginContext(id uint32) types.PluginContext {
	return &plugin{id: id, waiting: map[uint32]*stream{}}
}

// plugin's configuration is a line "tick=MILLISECONDS", or "refuse".
type plugin struct {
	types.DefaultPluginContext
	id      uint32
	waiting map[uint32]*stream // armed streams
}

func (p *plugin) OnPluginStart(size int) types.OnPluginStartStatus {
	if size == 0 {
		return types.OnPluginStartStatusOK
	}
	config, err := proxywasm.GetPluginConfiguration()
	if err != nil || string(config) == "refuse" {
		proxywasm.LogCritical("configuration refused: " + string(config))
		return types.OnPluginStartStatusFailed
	}
	if period, ok := strings.CutPrefix(string(config), "tick="); ok {
		ms, _ := strconv.Atoi(period)
		_ = proxywasm.SetTickPeriodMilliSeconds(uint32(ms))
	}
	return types.OnPluginStartStatusOK
}

func (p *plugin) OnTick() {
	for id, s := range p.waiting {
		if s.ticks--; s.ticks > 0 {
			continue
		}
		delete(p.waiting, id)
		s.log("tick")
		s.log("  effective context " + result(proxywasm.SetEffectiveContext(id)))
		s.run(s.script["tick"])
	}
}

func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	return &stream{plugin: p, id: id, name: "?", script: map[string]string{}}
}

type stream struct {
	types.DefaultHttpContext
	plugin *plugin
	id     uint32
	name   string
	script map[string]string
	chunks [2]int
	side   int // 0 request, 1 response
	action types.Action
	ticks  int // until the phase tick
}

func (s *stream) log(text string) { proxywasm.LogInfo(s.name + " " + text) }

func result(err error) string {
	if err == nil {
		return "ok"
	}
	return "failed: " + err.Error()
}

func (s *stream) OnHttpRequestHeaders(count int, end bool) types.Action {
	if name, err := proxywasm.GetHttpRequestHeader("x-case"); err == nil {
		s.name = name
	}
	script, _ := proxywasm.GetHttpRequestHeader("x-script")
	for _, entry := range strings.Split(script, ";") {
		phase, actions, _ := strings.Cut(entry, ":")
		s.script[phase] = actions
	}
	return s.callback(0, "request_headers end="+strconv.FormatBool(end), "reqh")
}

func (s *stream) OnHttpRequestBody(size int, end bool) types.Action {
	return s.body(0, "request_body", "req", size, end)
}

func (s *stream) OnHttpRequestTrailers(count int) types.Action {
	return s.callback(0, "request_trailers count="+strconv.Itoa(count), "reqt")
}

func (s *stream) OnHttpResponseHeaders(count int, end bool) types.Action {
	status, _ := proxywasm.GetHttpResponseHeader(":status")
	return s.callback(1, "response_headers status="+status+" end="+strconv.FormatBool(end), "resh")
}

func (s *stream) OnHttpResponseBody(size int, end bool) types.Action {
	return s.body(1, "response_body", "res", size, end)
}

func (s *stream) OnHttpResponseTrailers(count int) types.Action {
	return s.callback(1, "response_trailers count="+strconv.Itoa(count), "rest")
}

func (s *stream) OnHttpStreamDone() {
	delete(s.plugin.waiting, s.id)
	s.log("log")
	s.run(s.script["log"])
}

func (s *stream) body(side int, name, prefix string, size int, end bool) types.Action {
	s.chunks[side]++
	phases := []string{prefix + "b" + strconv.Itoa(s.chunks[side]), prefix + "b"}
	if end {
		phases = append([]string{prefix + "e"}, phases...)
	}
	return s.callback(side, name+" size="+strconv.Itoa(size)+" end="+strconv.FormatBool(end), phases...)
}

// callback logs the callback and runs the first of the phases that is scripted.
func (s *stream) callback(side int, text string, phases ...string) types.Action {
	s.side, s.action = side, types.ActionContinue
	s.log(text)
	for _, phase := range phases {
		if actions, ok := s.script[phase]; ok {
			s.run(actions)
			break
		}
	}
	return s.action
}
