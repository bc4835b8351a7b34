package vm

import (
	"context"
	"io"
	"sync"
)

// Worker is what the plugins of one VM share: like a worker of Envoy it does
// one thing at a time.
type Worker struct {
	mu      sync.Mutex // held while an event runs
	changed sync.Cond

	program *program
	ctx     context.Context // of calls into the module: host calls find the worker in it
	env     map[string]string
	config  []byte

	newest  *Instance
	running *Instance // whose code runs
	metrics metrics
	shared  map[string]sharedValue
	trace   io.Writer
	logs    logs
	calls   uint32
	plugins int
}

// Options are those of a VM: vm_config's environment and configuration, and
// where trace and log are written, if anywhere.
type Options struct {
	Env           map[string]string
	Configuration []byte
	Trace, Log    io.Writer
}

// NewWorker compiles the module, unless this process has done it before, and
// starts an instance.
func NewWorker(wasm []byte, opt Options) (*Worker, error) {
	w := &Worker{env: opt.Env, config: opt.Configuration, trace: opt.Trace, shared: map[string]sharedValue{}}
	w.changed.L = &w.mu
	w.logs.changed.L = &w.logs.mu
	w.logs.out = opt.Log
	w.ctx = context.WithValue(context.Background(), workerKey{}, w)
	var err error
	if w.program, err = compiled(wasm); err != nil {
		return nil, err
	}
	w.Run(func() { w.newest, err = w.instantiate() })
	if err != nil {
		return nil, err
	}
	return w, nil
}

// Run lets one event happen.
func (w *Worker) Run(event func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	event()
}

// Wait lets other events happen, within an event, until one calls Wake.
func (w *Worker) Wait() { w.changed.Wait() }

// Wake wakes all who wait.
func (w *Worker) Wake() { w.changed.Broadcast() }

// Newest is the instance that new streams belong to.
func (w *Worker) Newest() *Instance { return w.newest }

// Renew puts a new instance in the place of the newest.
func (w *Worker) Renew() error {
	v, err := w.instantiate()
	if err != nil {
		return err
	}
	w.newest.close()
	w.newest = v
	return nil
}

// ConfigurationSize is the size of the VM's configuration, in bytes.
func (w *Worker) ConfigurationSize() int { return len(w.config) }

// Join counts a plugin in, within an event.
func (w *Worker) Join() { w.plugins++ }

// Leave counts it out; the instance ends with the last one.
func (w *Worker) Leave() {
	if w.plugins--; w.plugins == 0 {
		w.newest.close()
	}
}
