package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"time"

	"antwort/server/console"
	"antwort/server/header"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// adminHeaderTimeout is how long the header of a request to the admin port may
// take.
const adminHeaderTimeout = 10 * time.Second

// ServeAdmin answers those who run the server, on a port of their own, until ctx
// ends: probes, metrics, the backends' state, profiles, the console. All but the console
// ask for no credential, and so it belongs where only they can connect.
func (s *Server) ServeAdmin(ctx context.Context, ln net.Listener) error {
	cfg := s.inForce.Load().cfg.Server
	local := isLoopback(ln.Addr())
	window := s.newConsole(local)
	go window.Run(ctx)
	hs := &http.Server{
		Handler:           s.adminHandler(local, window),
		ReadHeaderTimeout: adminHeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { hs.Close() })
	defer stop()
	if err := hs.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// newConsole makes the console of the admin port.
func (s *Server) newConsole(local bool) *console.Console {
	opt := console.Options{
		Local: local, Version: s.version, Observer: s.observer, Now: time.Now,
		Config:   func() *config.Config { return s.inForce.Load().cfg },
		Backends: func() []byte { return s.pools().StatusJSON() },
		Decider:  func() *policy.Decider { return s.inForce.Load().decider },
		Limits:   func() console.Limiter { return s.inForce.Load().rules },
		Serve:    s.try, Log: s.log,
	}
	if s.store != nil {
		opt.Store = s.store
	}
	return console.New(opt)
}

// try answers a request of the console's bench, as any other but for who sends it.
func (s *Server) try(t *console.Trial, r *http.Request) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, which net/http compares so
			panic(p)
		}
	}()
	x := s.inForce.Load().begin(t, r)
	x.trial = t
	x.handle()
}

func (s *Server) adminHandler(local bool, window http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, pattern := range []string{"GET " + console.Path, "GET " + console.Path + "/", "POST " + console.Path + "/"} {
		mux.Handle(pattern, window)
	}
	for _, path := range []string{"/healthz", "/health"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok\n") })
	}
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		status, text := s.inForce.Load().readiness()
		plain(w, status, text)
	})
	mux.HandleFunc("GET /backends", func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(s.pools().StatusJSON())
	})
	mux.HandleFunc("GET /", s.scrapeAsAdmin)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	if !local {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page in a browser on this machine can reach the port by a name of its
		// own that resolves to it (DNS rebinding).
		if !isLocalName(r.Host) {
			plain(w, http.StatusMisdirectedRequest, "the admin port is called 127.0.0.1, [::1] or localhost\n")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// scrapeAsAdmin answers at the path that the metrics have in the configuration in
// force, if they are on.
func (s *Server) scrapeAsAdmin(w http.ResponseWriter, r *http.Request) {
	if m := s.inForce.Load().cfg.Observability.Metrics; !m.Enabled || r.URL.Path != m.Path {
		http.NotFound(w, r)
		return
	}
	s.observer.Handler().ServeHTTP(w, r)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func isLoopback(a net.Addr) bool { return header.Peer(a.String()).IsLoopback() }

// isLocalName reports whether a Host header means this machine.
func isLocalName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	a, err := netip.ParseAddr(name)
	if err != nil && len(name) > 2 && name[0] == '[' {
		a, err = netip.ParseAddr(name[1 : len(name)-1])
	}
	return name == "localhost" || err == nil && a.Unmap().IsLoopback()
}
