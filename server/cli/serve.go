package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"

	"antwort/server"
	"antwort/server/console"
	"antwort/server/process"
	"antwort/shared/config"
)

type serveCmd struct {
	configFlag
}

func (serveCmd) Help() string {
	return `Serves /v1/responses, /v1/models, /healthz, /readyz and /metrics (with server.admin.port on a port of its own) until SIGTERM, SIGINT or SIGQUIT. Then it stops accepting, lets running answers finish for server.drain_timeout or until a second signal, and ends the rest properly. A changed configuration file is checked and applied within a second or so (at once on SIGHUP), without touching what is running; a wrong one is logged and changes nothing. The log goes to standard error.

Example:

    ANTWORT_PROVIDER=vllm ANTWORT_BACKEND_URL=http://127.0.0.1:8000 antwort serve`
}

func (cmd *serveCmd) Run(ctx context.Context, std *streams) error {
	signals, release := process.Catch(ctx)
	defer release()
	defer process.Ballast()()
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	log := newLogger(std.Err, cfg.Observability.Log)
	libraryLog(log)
	for _, text := range slices.Concat(warnings(cfg), unguarded(cfg), config.UnknownVariables(variables())) {
		log.Warn(text)
	}
	s, err := server.New(cfg, server.Options{Log: log, Version: version(), Cut: signals.Cut, Reload: signals.Reload})
	if err != nil {
		return usage(err)
	}
	ln, err := listen("server", cfg.Server.Host, cfg.Server.Port)
	if err != nil {
		return err
	}
	scheme := "http"
	if cfg.Server.TLS.On() {
		scheme = "https"
	}
	log.Info("listening", "address", ln.Addr().String(), "scheme", scheme, "provider", string(cfg.Engine.Provider), "backend_url", cfg.Engine.BackendURL, "routes", len(cfg.Routes))
	if cfg.Server.Admin.Port != 0 {
		admin, err := listen("server.admin", cfg.Server.Admin.Host, cfg.Server.Admin.Port)
		if err != nil {
			_ = ln.Close()
			return err
		}
		about := []any{"address", admin.Addr().String()}
		if a := &cfg.Server.Admin; a.IsLoopback() || a.HasToken() {
			about = append(about, "console", "http://"+admin.Addr().String()+console.Path)
		}
		log.Info("listening for admins", about...)
		until, stop := context.WithCancel(context.Background()) // metrics and probes while draining
		defer stop()
		go func() {
			if err := s.ServeAdmin(until, admin); err != nil {
				log.Error("the admin port does not answer any more", "problem", err.Error())
			}
		}()
	}
	go s.Follow(signals.End, cmd.load)
	return s.Serve(signals.End, ln)
}

func listen(section, host string, port int) (net.Listener, error) {
	address := net.JoinHostPort(host, strconv.Itoa(port))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%s.host, %s.port: cannot listen on %s: %w", section, section, address, err)
	}
	return ln, nil
}

// newLogger writes lines of the configured form.
func newLogger(w io.Writer, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the configuration allows only names of levels
	opt := &slog.HandlerOptions{Level: level}
	if c.Format == "text" {
		return slog.New(slog.NewTextHandler(w, opt))
	}
	return slog.New(slog.NewJSONHandler(w, opt))
}
