// Package server is the native server: it answers the Responses API by
// translating to a Chat Completions backend (provider vllm) or by forwarding to
// another Responses endpoint (provider vllm-responses).
//
//	request ─ exchange ─ pool ─┬─ translate ─ attempts ─ answer or stream
//	                           └─ forward ─── attempts ─ answer or watched stream
//
// What only a server can do is here: decoding compressed bodies, retrying
// before the first byte, keep-alive comments, ending a cut stream properly,
// and cancelling the upstream when the client has gone.
package server

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/token"
	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/translate"
)

// Options are what a server takes from its surroundings. The zero value is
// ready to use.
type Options struct {
	Log   *slog.Logger     // nil: no logs
	Now   func() time.Time // what answers call now; nil: time.Now
	NewID func() string    // random part of ids, 24 to 48 of [0-9a-z]; nil: from crypto/rand
}

// Server answers requests. Serve it once. What is in it depends on the
// configuration; a changed one makes another Server of the same process, and
// each exchange keeps the one that it began with.
type Server struct {
	cfg    *config.Config
	log    *slog.Logger
	now    func() time.Time
	newID  func() string
	routes routes

	translator *translate.Translator
	translates bool // some route does, for provider vllm
	forwards   bool // some route does, for provider vllm-responses
	router     *policy.Router
	fields     map[string]string // that routes match, as net/http writes their names
	pools      []*pool           // one for each route, in their order
	access     *policy.Access    // nil: everybody may call
	tokens     *token.Verifier   // nil: callers have API keys, or nothing
	trusted    trustedProxies
	retired    context.Context // ends when another configuration is in force
	retire     context.CancelFunc

	*process
}

// process is what all configurations have in common.
type process struct {
	inForce     atomic.Pointer[Server]
	metrics     *metrics
	certificate certificate // with server.tls
	hasAdmin    bool        // a port of its own has the metrics
	contacted   atomic.Bool // some upstream has answered
	draining    atomic.Bool
	ending      context.Context // ends, with a cause, what is left after draining
	end         context.CancelCauseFunc
	taken       takenConns
	detached    sync.WaitGroup // streams that net/http no longer knows of
}

// New makes a server. It does nothing until it is served.
func New(cfg *config.Config, opt Options) (*Server, error) {
	p := &process{metrics: newMetrics(string(cfg.Engine.Provider)), hasAdmin: cfg.Server.Admin.Port != 0}
	p.metrics.own.MustRegister(newBackendGauges(p), newTrustGauges(p))
	p.ending, p.end = context.WithCancelCause(context.Background())
	if cfg.Server.TLS.On() {
		if _, err := p.certificate.load(cfg.Server.TLS); err != nil {
			return nil, err
		}
	}
	return newServer(cfg, opt, p, nil)
}

// newServer makes a server that goes on with what the one before has, which may
// be nil.
func newServer(cfg *config.Config, opt Options, p *process, before *Server) (*Server, error) {
	if before == nil {
		before = &Server{}
	}
	pools, err := newPools(cfg, p.metrics, before.pools)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: opt.Log, now: opt.Now, newID: opt.NewID, pools: pools, process: p}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.newID == nil {
		s.newID = randomID
	}
	s.access = policy.NewAccess(cfg)
	if s.tokens, err = s.newTokens(before.tokens); err != nil {
		return nil, err
	}
	if s.trusted, err = newTrustedProxies(cfg.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	s.router, s.fields = policy.NewRouter(cfg.AllRoutes()), make(map[string]string)
	for _, p := range pools {
		for _, h := range p.Match.Headers {
			s.fields[h.Name] = http.CanonicalHeaderKey(h.Name)
		}
		if p.provider == config.VLLM {
			s.translates = true
		} else {
			s.forwards = true
		}
	}
	s.translator = translate.New(translate.OptionsOf(cfg))
	s.routes = s.newRoutes()
	s.retired, s.retire = context.WithCancel(p.ending)
	return s, nil
}

// Serve answers the connections of ln until ctx ends, then drains: it stops
// accepting, lets what runs finish for drain_timeout, and ends the rest with
// proper errors and terminal events. It returns nil after an orderly end.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.inForce.Store(s)
	hs := &http.Server{
		Handler:           s.process,
		ReadHeaderTimeout: s.cfg.Server.ReadHeaderTimeout,
		IdleTimeout:       s.cfg.Server.IdleTimeout,
		MaxHeaderBytes:    s.cfg.Server.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // OPTIONS * is a path like others
	}
	hs.Protocols.SetHTTP1(true)
	shapeRefusals(hs)

	returned := newReturnedConns()
	s.taken.open(returned, s.cfg.Server.IdleTimeout)
	watch, stop := context.WithCancel(ctx)
	defer stop()
	s.contact(watch)
	s.startTokens()
	defer func() { s.inForce.Load().stopTokens() }()

	conns := net.Listener(clientConns{ln})
	if s.cfg.Server.TLS.On() {
		hs.Protocols.SetHTTP2(true)
		hs.TLSConfig = s.certificate.config()
		conns = newTLSConns(ln, hs.TLSConfig, s.cfg.Server.ReadHeaderTimeout, s.log)
		go s.certificate.follow(watch, s.process)
	} else {
		hs.Protocols.SetUnencryptedHTTP2(true)
	}
	served := make(chan error, 2)
	go func() { served <- hs.Serve(conns) }()
	go func() { served <- hs.Serve(clientConns{returned}) }()
	select {
	case err := <-served:
		hs.Close()
		s.taken.close()
		s.inForce.Load().closeIdle(nil)
		return err
	case <-ctx.Done():
	}
	s.inForce.Load().drain(hs)
	return nil
}

// ServeHTTP answers one request by the configuration in force.
func (p *process) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.inForce.Load().ServeHTTP(w, r) }

// errShutdown is why an exchange ends when the time for draining is over.
var errShutdown = fmt.Errorf("server is shutting down")

// lastWords is how long ended exchanges may take to tell their clients.
const lastWords = 2 * time.Second

func (s *Server) drain(hs *http.Server) {
	s.draining.Store(true)
	s.log.Info("draining", "timeout", s.cfg.Server.DrainTimeout.String())
	s.taken.close()
	deadline := time.AfterFunc(s.cfg.Server.DrainTimeout, func() { s.end(errShutdown) })
	defer deadline.Stop()
	limit, cancel := context.WithTimeout(context.Background(), s.cfg.Server.DrainTimeout+lastWords)
	defer cancel()
	err := shutdown(limit, hs)
	done := make(chan struct{})
	go func() { s.detached.Wait(); close(done) }()
	select {
	case <-done:
	case <-limit.Done():
		err = limit.Err()
	}
	if err != nil {
		s.log.Warn("some clients did not read their answers' end in time")
		hs.Close()
	}
	s.end(errShutdown)
	s.taken.abort()
	s.closeIdle(nil)
	s.log.Info("stopped")
}

// shutdown is hs.Shutdown, said again each second: net/http tells the connections
// of HTTP/2 once, and would wait in vain for one that began at that moment.
func shutdown(ctx context.Context, hs *http.Server) error {
	for {
		round, cancel := context.WithTimeout(ctx, time.Second)
		err := hs.Shutdown(round)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// randomID returns 160 random bits as 32 letters and digits.
func randomID() string {
	var raw [20]byte
	var text [32]byte
	_, _ = rand.Read(raw[:]) // never fails, says its documentation
	idEncoding.Encode(text[:], raw[:])
	return string(text[:])
}
