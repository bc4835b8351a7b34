// Package server is the native server: it answers the Responses API by
// translating to a Chat Completions backend (provider vllm) or by forwarding to
// another Responses endpoint (provider vllm-responses).
//
//	ingress ─► check ─► enter ─► identify ─► admit ─► limit ─► decide ─► answer ─┬─ translate ─► dispatch ─► answer, or streaming
//	                                                    │        │               └─ forward ───► dispatch ─► answer, or streaming
//	                                                    │        └ shared/policy                              │
//	                                                    └ limits ◄─ settle ─ record ─► observe ◄──────────────┘
//
// This is the hall: a request enters by ingress, goes through the steps in
// handle.go, and every room on its way is entered once. The rooms know each other
// only as far as CONTRIBUTING.md draws, and none of them this package. Here are
// the order of things, what is the API's (one file for each kind of request), and
// the life of the process: generations of the configuration, draining.
package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"antwort/server/dispatch"
	"antwort/server/identity"
	"antwort/server/ingress"
	"antwort/server/limits"
	"antwort/server/observe"
	"antwort/server/process"
	"antwort/server/reqbody"
	"antwort/server/state/keeper"
	"antwort/server/trace"
	"antwort/server/websocket"
	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a server takes from its surroundings. The zero value is
// ready to use.
type Options struct {
	Log   *slog.Logger     // nil: no logs
	Now   func() time.Time // what answers call now; nil: time.Now
	Store *keeper.Keeper   // of responses, which is closed with the server; nil: by the configuration
	NewID func() string    // random part of ids, 24 to 48 of [0-9a-z]; nil: by the time and from crypto/rand

	Version string          // of the program, for the metrics
	Cut     context.Context // ends draining before drain_timeout does; nil: nothing does
	Reload  <-chan struct{} // asks Follow to look at once; nil: nothing does
}

// Server answers requests by the configuration in force, from the start of the
// process to its end. A changed configuration makes another generation; each
// exchange keeps the one that it began with. Serve it once.
type Server struct {
	common
	certificate ingress.Certificate // with server.tls
	reloads     *process.Reloads
	reload      <-chan struct{}         // asked for by a signal
	cut         context.Context         // ends draining
	version     string                  // of the program
	end         context.CancelCauseFunc // of ending
}

// New makes a server. It does nothing until it is served.
func New(cfg *config.Config, opt Options) (*Server, error) {
	s := &Server{common: common{log: opt.Log, now: opt.Now, newID: opt.NewID, hasAdmin: cfg.Server.Admin.Port != 0}, cut: opt.Cut, reload: opt.Reload, version: opt.Version}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = func() string { return timedID(time.Now()) }
	}
	if s.cut == nil {
		s.cut = context.Background()
	}
	s.observer = observe.New(s.log, string(cfg.Engine.Provider))
	s.hop = policy.Hop(randomID())
	s.dispatcher = dispatch.New(s.log, s.now, s.hop, s.observer.Registerer())
	s.observer.Registerer().MustRegister(dispatch.NewGauges(s.pools), identity.NewGauge(s.callers), reqbody.NewGauge(&s.held))
	process.RegisterBuildInfo(s.observer.Registerer(), opt.Version, nil)
	var err error
	if s.store = opt.Store; s.store == nil {
		if s.store, err = keeper.Open(context.Background(), cfg, keeper.Options{Log: s.log, Registerer: s.observer.Registerer()}); err != nil {
			return nil, fmt.Errorf("state.type %s: %w", cfg.StateType(), err)
		}
	}
	if s.limiter, err = limits.New(cfg, limits.Options{Log: s.log, Now: s.now, Registerer: s.observer.Registerer()}); err != nil {
		return nil, fmt.Errorf("limits.redis.url: %w", err)
	}
	sent := trace.Options{Log: s.log, Registerer: s.observer.Registerer(), Version: opt.Version}
	if s.tracer, s.pusher, err = trace.Export(cfg, sent, s.observer.Gather); err != nil {
		return nil, err
	}
	s.sockets = websocket.NewSet(s.observer.Registerer())
	s.reloads = process.NewReloads(s.observer.Registerer())
	s.ending, s.end = context.WithCancelCause(context.Background())
	if s.store != nil {
		s.jobs = s.newJobs(cfg)
	}
	door := ingress.Options{
		Handler:           s,
		ReadHeaderTimeout: cfg.Server.ReadHeaderTimeout,
		IdleTimeout:       cfg.Server.IdleTimeout,
		MaxHeaderBytes:    cfg.Server.MaxHeaderBytes,
		Log:               s.log,
	}
	if cfg.Server.TLS.On() {
		if _, err := s.certificate.Load(cfg.Server.TLS.CertFile, cfg.Server.TLS.KeyFile); err != nil {
			return nil, err
		}
		door.Certificate = &s.certificate
		s.observer.Registerer().MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "certificate_expiry_seconds",
			Help: "When the server's certificate expires, in seconds since 1970."}, s.certificateExpiry))
	}
	s.door = ingress.New(door)
	first, err := newGeneration(&s.common, cfg, nil)
	if err != nil {
		return nil, err
	}
	s.inForce.Store(first)
	return s, nil
}

// Serve answers the connections of ln until ctx ends, then drains: it stops
// accepting, lets what runs finish for drain_timeout, or until it is cut, and
// ends the rest with proper errors and terminal events. It returns nil after an
// orderly end.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	first := s.inForce.Load()
	if at, is := ln.Addr().(*net.TCPAddr); is {
		s.listens.Store(at)
	}
	if err := s.checkBackends(first.cfg); err != nil {
		_ = ln.Close()
		return err
	}
	watch, stop := context.WithCancel(ctx)
	defer stop()
	first.contact(watch)
	first.callers.Start()
	defer func() { s.inForce.Load().callers.Stop(nil) }()
	if s.store != nil {
		go s.store.Run(watch)
		go s.jobs.Work(watch)
		defer func() { // after the last answer
			if err := s.store.Close(); err != nil {
				s.log.Error("closing the store of responses", "problem", err.Error())
			}
		}()
	}
	defer s.pusher.Start(lastWords)()
	if first.cfg.Server.TLS.On() {
		go s.certificate.Follow(watch, certificateInterval, s.certificateFiles, s.log)
	}
	served := make(chan error, 1)
	go func() { served <- s.door.Serve(ln) }()
	select {
	case err := <-served:
		s.door.Close()
		s.inForce.Load().pools.CloseIdle(nil)
		return err
	case <-ctx.Done():
	}
	s.drain()
	return nil
}

// certificateInterval is how often the files of the certificate are read again.
const certificateInterval = time.Second

// certificateFiles are those of the configuration in force.
func (s *Server) certificateFiles() (certFile, keyFile string) {
	files := s.inForce.Load().cfg.Server.TLS
	return files.CertFile, files.KeyFile
}

func (s *Server) certificateExpiry() float64 {
	at, _ := s.certificate.Expires()
	return float64(at.Unix())
}

// callers are those of the configuration in force, nil before there is one.
func (s *Server) callers() *identity.Callers {
	if g := s.inForce.Load(); g != nil {
		return g.callers
	}
	return nil
}

// pools are those of the configuration in force, nil before there is one.
func (s *Server) pools() *dispatch.Pools {
	if g := s.inForce.Load(); g != nil {
		return g.pools
	}
	return nil
}

// ServeHTTP answers one request by the configuration in force.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.inForce.Load().begin(w, r).handle()
}

// parting is for how long at most a server that drains goes on with connections that
// have no request.
const parting = time.Second

// lastWords is how long ended exchanges may take to tell their clients.
const lastWords = 2 * time.Second

// drain ends a server that has stopped to serve: what runs may finish until
// drain_timeout or the cut, the rest is told of its end.
func (s *Server) drain() {
	last := s.inForce.Load()
	timeout := last.cfg.Server.DrainTimeout
	s.draining.Store(true)
	s.log.Info("draining", "timeout", timeout.String())
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := func() {
		s.end(dispatch.ErrShutdown)
		time.AfterFunc(lastWords, cancel)
	}
	deadline := time.AfterFunc(timeout, over)
	defer deadline.Stop()
	defer context.AfterFunc(s.cut, over)()
	s.sockets.Drain()
	s.door.Part(s.ending, parting)
	if s.door.Drain(limit) != nil {
		s.log.Warn("some clients did not read their answers' end in time")
	}
	if s.jobs != nil {
		s.jobs.Wait(limit)
	}
	s.end(dispatch.ErrShutdown)
	s.door.Close()
	settled, stop := context.WithTimeout(context.Background(), lastWords)
	defer stop()
	s.limiter.Close(settled)
	if err := s.tracer.Close(settled); err != nil {
		s.log.Warn("some traces could not be sent any more", "problem", err.Error())
	}
	last.pools.CloseIdle(nil)
	s.log.Info("stopped")
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// timedID returns the random part of a response's ids: 8 letters and digits of its
// time in milliseconds, so that those made together are stored together, and 103
// random bits as 20.
func timedID(now time.Time) string {
	const length, digits = 28, "0123456789abcdefghijklmnopqrstuvwxyz"
	var text [length]byte
	ms := uint64(max(now.UnixMilli(), 0))
	for i := 7; i >= 0; i-- {
		text[i] = digits[ms%36]
		ms /= 36
	}
	var raw [32]byte
	for i := length; i > 8; { // 252 is the most that 36 divides: no digit is likelier than another
		_, _ = rand.Read(raw[:]) // never fails, says its documentation
		for _, b := range raw {
			if b < 252 && i > 8 {
				i--
				text[i] = digits[b%36]
			}
		}
	}
	return string(text[:])
}

// randomID returns 160 random bits as 32 letters and digits.
func randomID() string {
	var raw [20]byte
	var text [32]byte
	_, _ = rand.Read(raw[:]) // never fails, says its documentation
	idEncoding.Encode(text[:], raw[:])
	return string(text[:])
}
