// Package envoyrun runs Envoy with the filter as a child process, from the one
// configuration.
//
//	config ─ render ─► files ─► Envoy (child)      clients ─► Envoy ─► backend
//	  ▲ changed file                │                 probes ─► Envoy ─► control
//	  └──────────── follow ◄────────┴── admin, log
//
// The child gets its bootstrap once and takes everything else from files, which
// are exchanged one by one when the configuration changes: what is in flight is
// not touched. The probes and metrics arrive on Envoy's port and are answered
// here.
package envoyrun

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"antwort/server/render/envoy"
	"antwort/shared/config"
)

// Run starts Envoy and keeps it until ctx ends. Then it drains: new connections
// are refused, and what is in flight has drain_timeout to finish, or until it is
// cut. The error is
// nil after an orderly end; it says so when Envoy ended by itself, or did not
// take its configuration. A *ConfigError is the user's to mend.
func Run(ctx context.Context, cfg *config.Config, opt Options) error {
	folder, err := newFolder()
	if err != nil {
		return err
	}
	defer folder.remove(opt.Log)
	if opt.Cut == nil {
		opt.Cut = context.Background()
	}
	g := &gateway{opt: opt, log: opt.Log, folder: folder.path}
	g.admin = newAdmin(g.path(adminSocket))
	g.control = newControl(g.admin, opt, g.provider)
	if err := g.prepare(cfg); err != nil {
		return err
	}
	ln, err := net.Listen("unix", g.path(controlSocket))
	if err != nil {
		return fmt.Errorf("cannot listen in the temporary folder (TMPDIR chooses another one): %w", err)
	}
	server := &http.Server{Handler: g.control, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(ln) }() // it ends with Close only
	defer server.Close()
	child, err := start(opt, g.arguments(cfg), folder.path)
	if err != nil {
		return err
	}
	defer child.kill()
	return g.supervise(ctx, child)
}

// ConfigError is a configuration that Envoy cannot have.
type ConfigError struct{ cause error }

func (e *ConfigError) Error() string { return e.cause.Error() }
func (e *ConfigError) Unwrap() error { return e.cause }

// prepare writes the files that Envoy starts with.
func (g *gateway) prepare(cfg *config.Config) error {
	p, err := g.plan(cfg, nil)
	if err != nil {
		return &ConfigError{err}
	}
	if err := portsAreFree(nil, cfg); err != nil {
		return err
	}
	for name, f := range p.files {
		if err := g.put(name, f); err != nil {
			return err
		}
	}
	g.inForce.Store(p)
	return os.WriteFile(g.path(moduleFile), g.opt.Module, 0o600)
}

// drainTime is how long connections that were there before a change of the
// listener may live on. Envoy cuts them after it, so it is longer than any
// stream. What they serve next is served by the new configuration's filter and
// routes all the same.
const drainTime = 24 * time.Hour

func (g *gateway) arguments(cfg *config.Config) []string {
	level := cfg.Observability.Log.Level
	envoys, wasm := "warning", level
	switch level {
	case "debug":
		envoys = "info" // its debug level is some hundred lines for each request
	case "warn":
		wasm = "warning"
	case "error":
		envoys = "error"
	}
	return []string{
		"-c", g.path(envoy.BootstrapFile),
		"--concurrency", strconv.Itoa(g.opt.Workers),
		"--disable-hot-restart", // and its shared memory
		"--drain-strategy", "immediate",
		"--drain-time-s", strconv.Itoa(int(drainTime / time.Second)),
		"--file-flush-interval-msec", "200",
		"--log-level", envoys,
		"--component-log-level", "wasm:" + wasm,
		"--log-format", logFormat, "--log-format-escaped",
	}
}

// supervise waits for whatever happens first: the end of ctx or of the child.
func (g *gateway) supervise(ctx context.Context, child *child) error {
	within, stop := context.WithCancel(ctx)
	defer stop()
	worked := make(chan error, 1)
	var working sync.WaitGroup
	working.Go(func() { worked <- g.work(within) })
	select {
	case <-child.ended:
		return child.died()
	case err := <-worked:
		if ctx.Err() == nil {
			child.stop(g.opt.Cut)
			return err
		}
	case <-ctx.Done():
		g.control.draining.Store(true)
		stop()
		working.Wait()
	}
	return g.drain(child)
}

// work is what goes on while Envoy runs: it waits until Envoy has its
// configuration, then for the backend, and follows the configuration. It ends
// early only when Envoy does not take the configuration.
func (g *gateway) work(ctx context.Context) error {
	begin := time.Now()
	p := g.current()
	for _, s := range subscriptions {
		f, has := p.files[s.file]
		if !has {
			continue
		}
		if err := g.await(ctx, s.stat, f.Version, 0); err != nil {
			return err
		}
	}
	address, err := g.admin.listener(ctx, "api")
	if err != nil {
		return err
	}
	g.serving.Store(true)
	g.log.Info("listening", "address", address, "provider", string(p.cfg.Engine.Provider), "backend_url", p.cfg.Engine.BackendURL,
		"envoy", g.opt.EnvoyVersion, "workers", g.opt.Workers, "start_ms", time.Since(begin).Milliseconds())
	var contacting sync.WaitGroup
	defer contacting.Wait()
	contacting.Go(func() { g.contact(ctx) })
	g.follow(ctx)
	return nil
}

// drain lets what is in flight finish.
func (g *gateway) drain(child *child) error {
	if !g.serving.Load() {
		child.stop(g.opt.Cut)
		return nil
	}
	limit := g.current().cfg.Server.DrainTimeout
	g.log.Info("draining", "timeout", limit.String())
	end := time.Now().Add(limit)
	if limit > 0 {
		if err := g.admin.drain(g.opt.Cut); err != nil {
			g.log.Warn("cannot drain", "problem", err.Error())
		}
	}
	ctx, cancel := context.WithDeadline(context.Background(), end)
	defer cancel()
	defer context.AfterFunc(g.opt.Cut, cancel)()
	left, err := g.admin.idle(ctx, child.ended)
	select {
	case <-child.ended:
		return child.died()
	default:
	}
	if err != nil {
		g.log.Warn("cannot tell what is in flight", "problem", err.Error())
	} else if left > 0 {
		g.log.Warn("the time for draining is over: requests are cut", "requests", left)
	}
	child.stop(g.opt.Cut)
	g.log.Info("stopped")
	return nil
}
