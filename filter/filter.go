// Package filter is the proxy-wasm plugin: it runs the translation inside a
// stock Envoy. Its contexts are those of proxy-wasm-go-sdk; docs/filter.md is
// its manual. What enters are callbacks of the host, and what leaves are its
// calls to the host; the packages of shared/ do the rest and know of neither.
//
//	request headers ─ identify ─ handler ─┬─ translated: body ─► translate.Request ─► body
//	                                      ├─ forwarded:  body passes
//	                                      └─ none:       all passes
//	answer ─┬─ chatStream:  chunk ─► translate.Stream ─► whole events in the chunk's place
//	        ├─ chatAnswer:  chunks ─► body ─► translate.Response ─► body
//	        ├─ refusal:     body ─► error in OpenAI's shape
//	        └─ watched…:    chunk passes, usage is read
//
// A VM does one thing at a time and callbacks do not overlap, so nothing here
// is locked. State of a VM is in vm, of a plugin in plugin, of a request in
// exchange: plugins with the same code share a VM, and package variables with
// it. The files build on each other in this order: host, vm, plugin, exchange,
// what is asked of an exchange (access, route, …), the handlers, the contexts.
package filter

import (
	"errors"

	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// New returns the context for proxywasm.SetVMContext.
func New() types.VMContext { return &vmContext{vm: vm{hop: policy.Hop(newID()[:16])}} }

// vmContext is the VM as the host calls it.
type vmContext struct {
	types.DefaultVMContext
	vm
	ended []*httpContext // are used again
}

// NewPluginContext makes the context of one plugin.
func (v *vmContext) NewPluginContext(uint32) types.PluginContext {
	return &pluginContext{plugin: plugin{vm: &v.vm}, all: v}
}

// newContext returns an empty context.
func (v *vmContext) newContext() *httpContext {
	last := len(v.ended) - 1
	if last < 0 {
		c := &httpContext{}
		c.values = c.field
		return c
	}
	c := v.ended[last]
	v.ended = v.ended[:last]
	return c
}

// takeBack keeps a context that nothing refers to any more.
func (v *vmContext) takeBack(c *httpContext) {
	values, texts := c.values, c.texts
	*c = httpContext{}
	c.values = values
	if cap(texts[0])+cap(texts[1]) <= keptTexts {
		c.texts = texts
	}
	if len(v.ended) < keptContexts {
		v.ended = append(v.ended, c)
	}
}

// What is kept for reuse: contexts, and bytes of the texts of one. The rest goes to the
// garbage collector.
const (
	keptContexts = 64
	keptTexts    = 8 << 10
)

// pluginContext is a plugin as the host calls it.
type pluginContext struct {
	types.DefaultPluginContext
	plugin
	all *vmContext
}

// OnPluginStart reads the configuration, JSON of the schema of shared/config.
// A bad one fails the start, with a line in the log for each mistake.
func (p *pluginContext) OnPluginStart(size int) (status types.OnPluginStartStatus) {
	defer func() {
		if r := recover(); r != nil {
			logPanic("plugin start", r)
			status = types.OnPluginStartStatusFailed
		}
	}()
	if err := p.configure(size); err != nil {
		problems, ok := errors.AsType[config.Problems](err)
		if !ok {
			proxywasm.LogCritical("antwort: " + err.Error())
			return types.OnPluginStartStatusFailed
		}
		for _, problem := range problems {
			proxywasm.LogCritical("antwort: configuration: " + problem.Error())
		}
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfo("antwort: started: provider " + string(p.cfg.Engine.Provider) + ", profile " + p.cfg.Filter.Profile)
	return types.OnPluginStartStatusOK
}

// NewHttpContext makes the context of one request.
func (p *pluginContext) NewHttpContext(id uint32) types.HttpContext {
	c := p.all.newContext()
	c.plugin, c.id, c.all = &p.plugin, id, p.all
	return c
}

// OnTick looks after what waits.
func (p *pluginContext) OnTick() {
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Increment(1)
			logPanic("tick", r)
		}
	}()
	p.tick()
}
