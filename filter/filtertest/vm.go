package filtertest

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// vm is one instance of the module, with the calling rules of
// proxy-wasm-cpp-host. All of it is used under the worker's lock.
type vm struct {
	w      *worker
	module api.Module
	memory api.Memory
	alloc  api.Function

	callbacks map[string]api.Function
	contexts  map[uint32]*wasmContext
	lastID    uint32

	depth     int          // callbacks that are running, one within the other
	current   *wasmContext // whom the running callback is for
	effective *wasmContext // whom host calls are for instead, nil: current
	stop      bool         // a local reply was sent: whatever the callback returns, do not go on
	after     []func()     // what host calls asked for and is done once the callback has returned
	failed    bool
	starting  bool // _initialize runs: host calls other than proxy_log trap
}

// wasmContext is what the module knows by an id: a plugin or a stream of it.
type wasmContext struct {
	id     uint32
	plugin *plugin
	stream *stream // nil: the plugin itself
}

// instantiate starts a VM: _initialize, or _start for a WASI command.
func (w *worker) instantiate() (*vm, error) {
	v := &vm{w: w, callbacks: map[string]api.Function{}, contexts: map[uint32]*wasmContext{}, starting: true}
	start := "_start"
	if w.program.module.ExportedFunctions()["_initialize"] != nil {
		start = "_initialize"
	}
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions(start).
		WithStdout(logWriter{w, "info"}).WithStderr(logWriter{w, "error"}).
		WithSysWalltime().WithSysNanotime().WithRandSource(rand.Reader)
	for _, name := range sortedKeys(w.env) {
		config = config.WithEnv(name, w.env[name])
	}
	previous := w.running
	w.running = v
	module, err := w.program.runtime.InstantiateModule(w.ctx, w.program.module, config)
	w.running = previous
	if err != nil {
		return nil, fmt.Errorf("start the module: %w", err)
	}
	v.starting = false
	v.module, v.memory = module, module.Memory()
	if v.alloc = module.ExportedFunction("proxy_on_memory_allocate"); v.alloc == nil {
		v.alloc = module.ExportedFunction("malloc")
	}
	if v.alloc == nil {
		return nil, errors.New("the module exports neither proxy_on_memory_allocate nor malloc")
	}
	for name := range w.program.module.ExportedFunctions() {
		v.callbacks[name] = module.ExportedFunction(name)
	}
	return v, nil
}

// context makes a context of the plugin and tells the module.
func (v *vm) context(p *plugin, st *stream) *wasmContext {
	v.lastID++
	c := &wasmContext{id: v.lastID, plugin: p, stream: st}
	v.contexts[c.id] = c
	parent := uint32(0)
	if st != nil {
		parent = p.context.id
	}
	v.event(c, "proxy_on_context_create", uint64(parent))
	return c
}

// event calls a callback that has no say in a stream's iteration, and then
// does what its host calls asked for. It is 0 without that export, or if the
// VM has failed.
func (v *vm) event(c *wasmContext, name string, args ...uint64) uint64 {
	if v.failed || v.callbacks[name] == nil {
		return 0
	}
	result := v.call(c, name, args...)
	v.settle()
	return result
}

// call runs a callback for c; the context's id goes before args.
func (v *vm) call(c *wasmContext, name string, args ...uint64) uint64 {
	f := v.callbacks[name]
	if v.depth > 0 { // within a host call: a wazero function may not be entered twice
		f = v.module.ExportedFunction(name)
	}
	v.w.traceCall(c, name, args)
	running, current, effective := v.w.running, v.current, v.effective
	v.w.running, v.current, v.effective = v, c, nil
	v.depth++

	stack := append(make([]uint64, 0, 8), uint64(c.id))
	stack = append(stack, args...)
	err := f.CallWithStack(v.w.ctx, stack[:max(len(stack), 1)])

	v.depth--
	v.w.running, v.current, v.effective = running, current, effective
	if err != nil {
		v.fail(name, err)
		v.w.traceFailure(c, name)
		return 0
	}
	if len(f.Definition().ResultTypes()) == 0 {
		return 0
	}
	v.w.traceReturn(c, name, uint32(stack[0]))
	return uint64(uint32(stack[0]))
}

// settle does what was put off until the callback had returned.
func (v *vm) settle() {
	v.stop = false
	for len(v.after) > 0 {
		f := v.after[0]
		v.after = v.after[1:]
		f()
	}
}

func (v *vm) fail(callback string, err error) {
	if v.failed {
		return
	}
	v.failed = true
	v.w.log("critical", fmt.Sprintf("Function: %s failed: %v", callback, err))
}

func (v *vm) close() { _ = v.module.Close(v.w.ctx) }

// target is whom a host call is for.
func (v *vm) target() *wasmContext {
	if v.effective != nil && v.contexts[v.effective.id] != nil {
		return v.effective
	}
	return v.current
}

// give copies b into the module's memory and stores its address and size.
func (v *vm) give(b []byte, addressAt, sizeAt uint32) status {
	address := uint32(0)
	if len(b) > 0 {
		stack := []uint64{uint64(len(b))}
		if err := v.alloc.CallWithStack(v.w.ctx, stack); err != nil {
			panic(err)
		}
		address = uint32(stack[0])
		if address == 0 || !v.memory.Write(address, b) {
			return statusInvalidMemoryAccess
		}
	}
	if !v.memory.WriteUint32Le(addressAt, address) || !v.memory.WriteUint32Le(sizeAt, uint32(len(b))) {
		return statusInvalidMemoryAccess
	}
	return statusOK
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
