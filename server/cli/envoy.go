package cli

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"

	"antwort/server/configfile"
	"antwort/server/envoy"
	"antwort/server/filterwasm"
	"antwort/server/upstream"
	"antwort/shared/config"
)

type envoyCmd struct {
	configFlag
	Envoy       string `env:"ENVOY" placeholder:"PATH" help:"Envoy to run; without it the envoy on the PATH."`
	Concurrency int    `placeholder:"N" help:"Threads that serve requests; without it as many as there are CPUs for this process."`
}

func (envoyCmd) Help() string {
	return `Serves the same paths as "antwort serve", by Envoy with the filter inside. SIGTERM or SIGINT stops accepting and lets running answers finish for server.drain_timeout. A changed configuration file is checked and applied within a second or so, without touching what is running; a wrong one is logged and changes nothing. The log, Envoy's included, goes to standard error. Needs Envoy 1.33 or later, with filter.profile gated 1.35.

Example:

    antwort envoy --config antwort.yaml --envoy /usr/local/bin/envoy`
}

func (cmd *envoyCmd) Run(ctx context.Context, std *streams) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	module, err := filterwasm.Module()
	if err != nil {
		return usage(err)
	}
	binary, err := envoy.Find(cmd.Envoy)
	if err != nil {
		return usage(err)
	}
	envoyVersion, err := envoy.Check(ctx, binary, cfg)
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
	err = envoy.Run(ctx, cfg, envoy.Options{
		Binary: binary, EnvoyVersion: envoyVersion, Version: version(), Module: module, Workers: workers,
		Log: log, Output: out,
		Load: configfile.Steady(func() (*config.Config, error) { return configfile.Load(cmd.Config) }),
	})
	if wrong := (*envoy.ConfigError)(nil); errors.As(err, &wrong) {
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
