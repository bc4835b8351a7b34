package filtertest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// Host is one plugin in a running VM with a listener before it and an upstream
// behind it. Its methods may be called from any goroutine.
type Host struct {
	URL string // of the listener: http://127.0.0.1:port

	opt     Options
	w       *worker
	plugin  *plugin
	streams map[*stream]struct{}
	server  *http.Server
	loaded  time.Time // when the plugin's VM was last replaced, or tried to be
	closed  bool
}

// plugin is a Host's plugin in one VM: a root context.
type plugin struct {
	host    *Host
	vm      *vm
	context *wasmContext
	tick    *time.Timer
	call    *callResponse // of the call-out whose callback runs
}

// worker is what the plugins of one VM share: like a worker of Envoy it does
// one thing at a time.
type worker struct {
	mu      sync.Mutex // held while an event runs
	changed sync.Cond  // a stream has ended, or may go on being read

	program  *program
	ctx      context.Context // of calls into the module: host calls find the worker in it
	env      map[string]string
	vmConfig []byte

	vm      *vm // the newest
	running *vm // whose code runs
	hosts   int
	metrics metrics
	shared  map[string]sharedValue
	trace   io.Writer
	logs    logs
	calls   uint32
}

// run lets one event happen.
func (w *worker) run(event func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	event()
}

// New starts a host for a test. An error fails the test at once; the host is
// closed when the test ends, and its log is shown if the test has failed.
func New(t testing.TB, wasm []byte, opt Options) *Host {
	t.Helper()
	h, err := Start(wasm, opt)
	if err != nil {
		t.Fatalf("filtertest: %v", err)
	}
	t.Cleanup(func() {
		h.Close()
		if t.Failed() {
			lines := h.Logs()
			for _, l := range lines[max(0, len(lines)-shownLines):] {
				t.Logf("filter log: %s: %s", l.Level, l.Message)
			}
		}
	})
	return h
}

// shownLines is how much of the log a failed test shows.
const shownLines = 50

// Start compiles the module, starts a VM with the plugin in it and listens on
// a loopback port. An error says why the module or its configuration was
// refused, with what the plugin logged about it.
func Start(wasm []byte, opt Options) (*Host, error) {
	w := &worker{env: opt.Env, vmConfig: opt.VMConfiguration, shared: map[string]sharedValue{}}
	w.changed.L = &w.mu
	w.logs.changed.L = &w.logs.mu
	w.logs.out = opt.Log
	w.trace = opt.Trace
	w.ctx = context.WithValue(context.Background(), workerKey{}, w)
	var err error
	if w.program, err = compiled(wasm); err != nil {
		return nil, err
	}
	w.run(func() { w.vm, err = w.instantiate() })
	if err != nil {
		return nil, err
	}
	h, err := w.add(opt)
	if err != nil {
		w.run(w.vm.close)
		return nil, err
	}
	return h, nil
}

// Share starts another plugin of the same module in the same VM, as Envoy does
// for plugins with the same code, vm_id and VM configuration. The plugin has a
// listener, configuration and upstream of its own; Options of the VM, Trace
// and Log are those of the first.
func (h *Host) Share(opt Options) (*Host, error) { return h.w.add(opt) }

func (w *worker) add(opt Options) (*Host, error) {
	h := &Host{opt: opt.withDefaults(), w: w, streams: map[*stream]struct{}{}, loaded: time.Now()}
	var err error
	w.run(func() {
		h.plugin, err = h.start(w.vm)
		w.hosts++
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.URL = "http://" + listener.Addr().String()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute, ErrorLog: w.serverLog()}
	go func() { _ = h.server.Serve(listener) }()
	return h, nil
}

// start makes the plugin's root context in v and configures it.
func (h *Host) start(v *vm) (*plugin, error) {
	p := &plugin{host: h, vm: v}
	p.context = v.context(p, nil)
	for _, step := range []struct {
		callback string
		size     int
	}{
		{"proxy_on_vm_start", len(h.w.vmConfig)},
		{"proxy_on_configure", len(h.opt.Configuration)},
	} {
		if v.callbacks[step.callback] != nil && v.event(p.context, step.callback, uint64(step.size)) == 0 || v.failed {
			return nil, fmt.Errorf("%s refused the configuration; the module logged: %s", step.callback, h.w.logs.tail(5))
		}
	}
	return p, nil
}

// ready gives the plugin for a new stream, in a new VM if the policy wants one
// and the time has come; nil if there is none.
func (h *Host) ready() *plugin {
	if !h.plugin.vm.failed {
		return h.plugin
	}
	if h.opt.FailurePolicy != FailReload || time.Since(h.loaded) < h.opt.ReloadInterval {
		return nil
	}
	h.loaded = time.Now()
	if h.w.vm.failed {
		v, err := h.w.instantiate()
		if err != nil {
			h.w.log("critical", err.Error())
			return nil
		}
		h.w.vm.close()
		h.w.vm = v
	}
	p, err := h.start(h.w.vm)
	if err != nil {
		h.w.log("critical", err.Error())
		return nil
	}
	h.plugin = p
	return p
}

// Tick calls the plugin's on_tick now, whatever its period is.
func (h *Host) Tick() {
	h.w.run(func() { h.plugin.vm.event(h.plugin.context, "proxy_on_tick") })
}

// setTick sets the period of on_tick; 0 ends it.
func (p *plugin) setTick(period time.Duration) {
	if p.tick != nil {
		p.tick.Stop()
		p.tick = nil
	}
	if period <= 0 || p.host.closed {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(period, func() {
		p.host.w.run(func() {
			if p.tick != timer || p.vm.failed || p.host.closed {
				return
			}
			p.vm.event(p.context, "proxy_on_tick")
			if p.tick == timer {
				timer.Reset(period)
			}
		})
	})
	p.tick = timer
}

// Wait waits until no stream is open: on_log and on_delete of every request
// have been called. It gives ctx's error if that comes first.
func (h *Host) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { h.w.run(h.w.changed.Broadcast) })
	defer stop()
	h.w.mu.Lock()
	defer h.w.mu.Unlock()
	for len(h.streams) > 0 && ctx.Err() == nil {
		h.w.changed.Wait()
	}
	if len(h.streams) > 0 {
		return fmt.Errorf("%d streams are still open: %w", len(h.streams), ctx.Err())
	}
	return nil
}

// Failed says whether the VM has failed: a panic has escaped, or memory ran
// out.
func (h *Host) Failed() (failed bool) {
	h.w.run(func() { failed = h.plugin.vm.failed })
	return failed
}

// Close stops the listener, resets what streams are open and ends the plugin;
// the VM goes with its last plugin. Closing twice does nothing.
func (h *Host) Close() {
	_ = h.server.Close()
	last := false
	h.w.run(func() {
		if h.closed {
			return
		}
		h.closed = true
		for _, st := range streamsOf(h.streams) {
			st.reset()
		}
		h.plugin.setTick(0)
		if h.plugin.vm.event(h.plugin.context, "proxy_on_done") != 0 {
			h.plugin.vm.event(h.plugin.context, "proxy_on_delete")
		}
		h.w.hosts--
		last = h.w.hosts == 0
	})
	if last {
		h.w.run(h.w.vm.close)
	}
}

func streamsOf(m map[*stream]struct{}) (all []*stream) {
	for st := range m {
		all = append(all, st)
	}
	slices.SortFunc(all, func(a, b *stream) int { return int(a.id()) - int(b.id()) })
	return all
}

func (st *stream) id() uint32 {
	if st.context == nil {
		return 0
	}
	return st.context.id
}
