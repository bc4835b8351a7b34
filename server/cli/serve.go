package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"

	"antwort/server"
	"antwort/shared/config"
)

type serveCmd struct {
	configFlag
}

func (serveCmd) Help() string {
	return `Serves /v1/responses, /v1/models, /healthz, /readyz and /metrics until SIGTERM or SIGINT. Then it stops accepting, lets running answers finish for server.drain_timeout, and ends the rest properly. A changed configuration file is checked and applied within a second or so, without touching what is running; a wrong one is logged and changes nothing. The log goes to standard error.

Example:

    ANTWORT_PROVIDER=vllm ANTWORT_BACKEND_URL=http://127.0.0.1:8000 antwort serve`
}

func (cmd *serveCmd) Run(ctx context.Context, std *streams) error {
	cfg, err := cmd.load()
	if err != nil {
		return err
	}
	log := newLogger(std.Err, cfg.Observability.Log)
	for _, text := range append(warnings(cfg), config.UnknownVariables(variables())...) {
		log.Warn(text)
	}
	s, err := server.New(cfg, server.Options{Log: log})
	if err != nil {
		return usage(err)
	}
	address := net.JoinHostPort(cfg.Server.Host, strconv.Itoa(cfg.Server.Port))
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("server.host, server.port: cannot listen on %s: %w", address, err)
	}
	log.Info("listening", "address", ln.Addr().String(), "provider", string(cfg.Engine.Provider), "backend_url", cfg.Engine.BackendURL)
	go s.Follow(ctx, cmd.load)
	return s.Serve(ctx, ln)
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
