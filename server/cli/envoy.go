package cli

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"syscall"

	"antwort/server/envoyrun"
	"antwort/server/filterwasm"
	"antwort/server/process"
	"antwort/server/upstream"
	"antwort/shared/config"
)

type envoyCmd struct {
	configFlag
	Envoy       string `env:"ENVOY" placeholder:"PATH" help:"Envoy to run; without it the envoy on the PATH."`
	Concurrency int    `placeholder:"N" help:"Threads that serve requests; without it as many as there are CPUs for this process."`
}

func (envoyCmd) Help() string {
	return `Serves the same paths as "antwort serve", by Envoy with the filter inside. SIGTERM, SIGINT or SIGQUIT stops accepting and lets running answers finish for server.drain_timeout, or until a second signal. A changed configuration file is checked and applied within a second or so (at once on SIGHUP), without touching what is running; a wrong one is logged and changes nothing. The log, Envoy's included, goes to standard error. Needs Envoy 1.33 or later, with filter.profile gated 1.35, with several backends of a route 1.36.

Example:

    antwort envoy --config antwort.yaml --envoy /usr/local/bin/envoy`
}

func (cmd *envoyCmd) Run(ctx context.Context, std *streams) error {
	// An abort would leave Envoy's folder behind, with the secrets in it.
	signals, release := process.Catch(ctx, syscall.SIGABRT)
	defer release()
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	module, err := filterwasm.Module()
	if err != nil {
		return usage(err)
	}
	binary, err := envoyrun.Find(cmd.Envoy)
	if err != nil {
		return usage(err)
	}
	envoyVersion, err := envoyrun.Check(signals.End, binary, cfg)
	if signals.End.Err() != nil {
		return nil
	}
	if err != nil {
		return usage(err)
	}
	workers := cmd.Concurrency
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0) // knows the limits of a container
	}
	out := &lockedWriter{to: std.Err}
	log := newLogger(out, cfg.Observability.Log)
	for _, text := range slices.Concat(warnings(cfg), notProxied(cfg, upstream.ProxyFor), config.UnknownVariables(variables())) {
		log.Warn(text)
	}
	err = envoyrun.Run(signals.End, cfg, envoyrun.Options{
		Binary: binary, EnvoyVersion: envoyVersion, Version: version(), Module: module, Workers: workers,
		Log: log, Output: out,
		Load: cmd.load, Cut: signals.Cut, Reload: signals.Reload,
	})
	if wrong := (*envoyrun.ConfigError)(nil); errors.As(err, &wrong) {
		return usage(err)
	}
	return err
}

// lockedWriter lets the log and Envoy's lines share one writer.
type lockedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
