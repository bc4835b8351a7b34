package filtertest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"antwort/filter/filtertest/vm"
)

// Host is one plugin in a running VM with a listener before it and an upstream
// behind it. Its methods may be called from any goroutine.
type Host struct {
	URL string // of the listener: http://127.0.0.1:port

	opt     Options
	w       *vm.Worker
	plugin  *plugin
	streams map[*stream]struct{}
	server  *http.Server
	loaded  time.Time // when the plugin's VM was last replaced, or tried to be
	closed  bool
}

// plugin is a Host's plugin in one VM: a root context.
type plugin struct {
	host    *Host
	vm      *vm.Instance
	context *vm.Context
	tick    *time.Timer
	answer  *vm.Answer // of the call-out whose callback runs
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
	w, err := vm.NewWorker(wasm, vm.Options{Env: opt.Env, Configuration: opt.VMConfiguration, Trace: opt.Trace, Log: opt.Log})
	if err != nil {
		return nil, err
	}
	return add(w, opt)
}

// Share starts another plugin of the same module in the same VM, as Envoy does
// for plugins with the same code, vm_id and VM configuration. The plugin has a
// listener, configuration and upstream of its own; Options of the VM, Trace
// and Log are those of the first.
func (h *Host) Share(opt Options) (*Host, error) { return add(h.w, opt) }

func add(w *vm.Worker, opt Options) (*Host, error) {
	h := &Host{opt: opt.withDefaults(), w: w, streams: map[*stream]struct{}{}, loaded: time.Now()}
	var err error
	w.Run(func() {
		w.Join()
		h.plugin, err = h.start(w.Newest())
	})
	var listener net.Listener
	if err == nil {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		w.Run(func() {
			if h.plugin != nil {
				h.plugin.SetTick(0)
			}
			w.Leave()
		})
		return nil, err
	}
	h.URL = "http://" + listener.Addr().String()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	h.server = &http.Server{Handler: h, Protocols: protocols, ReadHeaderTimeout: time.Minute, ErrorLog: w.ServerLog()}
	go func() { _ = h.server.Serve(listener) }()
	return h, nil
}

// start makes the plugin's root context in v and configures it.
func (h *Host) start(v *vm.Instance) (*plugin, error) {
	p := &plugin{host: h, vm: v}
	p.context = v.Root(p)
	for _, step := range []struct {
		callback string
		size     int
	}{
		{"proxy_on_vm_start", h.w.ConfigurationSize()},
		{"proxy_on_configure", len(h.opt.Configuration)},
	} {
		if v.Has(step.callback) && v.Event(p.context, step.callback, uint64(step.size)) == 0 || v.Failed() {
			return nil, fmt.Errorf("%s refused the configuration; the module logged: %s", step.callback, h.w.LastLogs(5))
		}
	}
	return p, nil
}

// ready gives the plugin for a new stream, in a new VM if the policy wants one
// and the time has come; nil if there is none.
func (h *Host) ready() *plugin {
	if !h.plugin.vm.Failed() {
		return h.plugin
	}
	if h.opt.FailurePolicy != FailReload || time.Since(h.loaded) < h.opt.ReloadInterval {
		return nil
	}
	h.loaded = time.Now()
	if h.w.Newest().Failed() {
		if err := h.w.Renew(); err != nil {
			h.w.Log("critical", err.Error())
			return nil
		}
	}
	p, err := h.start(h.w.Newest())
	if err != nil {
		h.w.Log("critical", err.Error())
		return nil
	}
	h.plugin = p
	return p
}

// Tick calls the plugin's on_tick now, whatever its period is.
func (h *Host) Tick() {
	h.w.Run(func() { h.plugin.vm.Event(h.plugin.context, "proxy_on_tick") })
}

// Wait waits until no stream is open: on_log and on_delete of every request
// have been called. It gives ctx's error if that comes first.
func (h *Host) Wait(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { h.w.Run(h.w.Wake) })
	defer stop()
	open := 0
	h.w.Run(func() {
		for len(h.streams) > 0 && ctx.Err() == nil {
			h.w.Wait()
		}
		open = len(h.streams)
	})
	if open > 0 {
		return fmt.Errorf("%d streams are still open: %w", open, ctx.Err())
	}
	return nil
}

// Failed says whether the VM has failed: a panic has escaped, or memory ran
// out.
func (h *Host) Failed() (failed bool) {
	h.w.Run(func() { failed = h.plugin.vm.Failed() })
	return failed
}

// Memory returns how many bytes of memory the VM has, which never shrinks.
func (h *Host) Memory() (bytes int64) {
	h.w.Run(func() { bytes = h.plugin.vm.Memory() })
	return bytes
}

// Close stops the listener, resets what streams are open and ends the plugin;
// the VM goes with its last plugin. Closing twice does nothing.
func (h *Host) Close() {
	_ = h.server.Close()
	h.w.Run(func() {
		if h.closed {
			return
		}
		h.closed = true
		for _, st := range streamsOf(h.streams) {
			st.reset()
		}
		h.plugin.SetTick(0)
		if h.plugin.vm.Event(h.plugin.context, "proxy_on_done") != 0 {
			h.plugin.vm.Event(h.plugin.context, "proxy_on_delete")
		}
		h.w.Leave()
	})
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
	return st.context.ID
}
