package vm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Instance is one instance of the module. All of it is used within [Worker.Run].
type Instance struct {
	w      *Worker
	module api.Module
	memory api.Memory
	alloc  api.Function

	callbacks map[string]api.Function
	contexts  map[uint32]*Context
	lastID    uint32

	depth     int      // callbacks that are running, one within the other
	current   *Context // whom the running callback is for
	effective *Context // whom host calls are for instead, nil: current
	stop      bool     // a local reply was sent: whatever the callback returns, do not go on
	after     []func() // what host calls asked for and is done once the callback has returned
	failed    bool
	starting  bool // _initialize runs: host calls other than proxy_log trap
}

// instantiate starts a VM: _initialize, or _start for a WASI command.
func (w *Worker) instantiate() (*Instance, error) {
	v := &Instance{w: w, callbacks: map[string]api.Function{}, contexts: map[uint32]*Context{}, starting: true}
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
		v.close()
		return nil, errors.New("the module exports neither proxy_on_memory_allocate nor malloc")
	}
	for name := range w.program.module.ExportedFunctions() {
		v.callbacks[name] = module.ExportedFunction(name)
	}
	return v, nil
}

// Root makes a context of a plugin and tells the module.
func (v *Instance) Root(p Plugin) *Context { return v.context(&Context{plugin: p}, 0) }

// Stream makes a context of a plugin's stream and tells the module.
func (v *Instance) Stream(root *Context, st Stream) *Context {
	return v.context(&Context{plugin: root.plugin, stream: st}, root.ID)
}

func (v *Instance) context(c *Context, parent uint32) *Context {
	v.lastID++
	c.ID = v.lastID
	v.contexts[c.ID] = c
	v.Event(c, "proxy_on_context_create", uint64(parent))
	return c
}

// Forget ends a context: host calls do not find it any more.
func (v *Instance) Forget(c *Context) { delete(v.contexts, c.ID) }

// Failed says whether the instance has failed: a panic has escaped, or memory
// ran out.
func (v *Instance) Failed() bool { return v.failed }

// Memory returns how many bytes of memory the instance has, which never shrinks.
func (v *Instance) Memory() int64 { return int64(v.memory.Size()) }

// Has says whether the module exports a callback.
func (v *Instance) Has(callback string) bool { return v.callbacks[callback] != nil }

// Event calls a callback that has no say in a stream's iteration, and then
// does what its host calls asked for. It is 0 without that export, or if the
// VM has failed.
func (v *Instance) Event(c *Context, name string, args ...uint64) uint64 {
	if v.failed || v.callbacks[name] == nil {
		return 0
	}
	result := v.call(c, name, args...)
	v.settle()
	return result
}

// Decide calls a callback that has a say in a stream's iteration, asks what comes
// of it, and then does what its host calls asked for. replied says that a reply
// was sent: whatever the callback returned, the stream goes no further.
func (v *Instance) Decide(c *Context, name string, outcome func(action uint64, replied bool) uint64, args ...uint64) uint64 {
	defer v.settle()
	action := v.call(c, name, args...)
	return outcome(action, v.stop)
}

// call runs a callback for c; the context's id goes before args.
func (v *Instance) call(c *Context, name string, args ...uint64) uint64 {
	f := v.callbacks[name]
	if v.depth > 0 { // within a host call: a wazero function may not be entered twice
		f = v.module.ExportedFunction(name)
	}
	v.w.traceCall(c, name, args)
	running, current, effective := v.w.running, v.current, v.effective
	v.w.running, v.current, v.effective = v, c, nil
	v.depth++

	stack := append(make([]uint64, 0, 8), uint64(c.ID))
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
func (v *Instance) settle() {
	v.stop = false
	for len(v.after) > 0 {
		f := v.after[0]
		v.after = v.after[1:]
		f()
	}
}

func (v *Instance) fail(callback string, err error) {
	if v.failed {
		return
	}
	v.failed = true
	v.w.Log("critical", fmt.Sprintf("Function: %s failed: %v", callback, err))
}

func (v *Instance) close() { _ = v.module.Close(v.w.ctx) }

// target is whom a host call is for.
func (v *Instance) target() *Context {
	if v.effective != nil && v.contexts[v.effective.ID] != nil {
		return v.effective
	}
	return v.current
}

// give copies b into the module's memory and stores its address and size.
func (v *Instance) give(b []byte, addressAt, sizeAt uint32) Status {
	address := uint32(0)
	if len(b) > 0 {
		stack := []uint64{uint64(len(b))}
		if err := v.alloc.CallWithStack(v.w.ctx, stack); err != nil {
			panic(err)
		}
		address = uint32(stack[0])
		if address == 0 || !v.memory.Write(address, b) {
			return InvalidMemoryAccess
		}
	}
	if !v.memory.WriteUint32Le(addressAt, address) || !v.memory.WriteUint32Le(sizeAt, uint32(len(b))) {
		return InvalidMemoryAccess
	}
	return OK
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
