package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"antwort/server/background"
	"antwort/server/compact"
	"antwort/server/dispatch"
	"antwort/server/endpoint"
	"antwort/server/header"
	"antwort/server/identity"
	"antwort/server/ingress"
	"antwort/server/limits"
	"antwort/server/modellist"
	"antwort/server/observe"
	"antwort/server/otlp"
	"antwort/server/process"
	"antwort/server/reqbody"
	"antwort/server/self"
	"antwort/server/state/keeper"
	"antwort/server/trace"
	"antwort/server/turns"
	"antwort/server/websocket"
	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/translate"
)

// generation is what a server makes of one configuration.
type generation struct {
	cfg       *config.Config
	endpoints *endpoint.Table[*exchange]
	socket    *kind // WebSockets

	translator  *translate.Translator
	decider     *policy.Decider
	fields      map[string]string // that decisions depend on, as net/http writes their names
	pools       *dispatch.Pools
	lists       *modellist.Lists // of models, that backends have given
	limits      responses.Limits // of the JSON that is translated
	turns       *turns.Turns
	compacts    bool                        // conversations are summed up
	instruction string                      // for whoever does it
	sealer      atomic.Pointer[seal.Sealer] // of what they make; nil: nobody has asked for one
	rules       *limits.Rules               // of how much callers may use
	callers     *identity.Callers
	trusted     header.Proxies
	translates  bool            // some route does
	keeps       bool            // what is forwarded is stored here
	retired     context.Context // ends when another configuration is in force
	retire      context.CancelFunc

	*common
}

// common is what all generations of a server have in common.
type common struct {
	inForce atomic.Pointer[generation] // nil before there is one

	log   *slog.Logger
	now   func() time.Time
	newID func() string
	hop   string // the mark of this process in requests that go on

	listens    atomic.Pointer[net.TCPAddr] // nil: nowhere yet
	observer   *observe.Observer
	dispatcher *dispatch.Dispatcher
	door       *ingress.Door
	held       reqbody.Bound          // what all exchanges hold
	store      *keeper.Keeper         // of responses; nil: there is none
	jobs       *background.Workers    // on responses that nobody waits for; nil: there is no store
	sealing    atomic.Pointer[[]byte] // the key of summaries that no configuration has; nil: nobody has asked for it
	sockets    *websocket.Set
	limiter    *limits.Limiter
	tracer     *trace.Tracer   // nil: nothing is traced
	pusher     *otlp.Pusher    // of metrics; nil: they are only scraped
	running    atomic.Int64    // exchanges, but for probes and connections
	hasAdmin   bool            // a port of its own has the metrics
	draining   atomic.Bool     // no more clients are received
	ending     context.Context // ends, with a cause, what is left after draining
}

// newGeneration makes the generation of a configuration. It goes on with what
// the one before has, which may be nil.
func newGeneration(c *common, cfg *config.Config, before *generation) (*generation, error) {
	if before == nil {
		before = &generation{}
	}
	if err := c.checkBackends(cfg); err != nil {
		return nil, err
	}
	pools, err := c.dispatcher.Pools(cfg, before.pools)
	if err != nil {
		return nil, err
	}
	g := &generation{cfg: cfg, pools: pools, common: c}
	if g.callers, err = identity.New(cfg, before.callers, c.log); err != nil {
		return nil, err
	}
	if g.trusted, err = header.NewProxies(cfg.Server.TrustedProxies); err != nil {
		return nil, fmt.Errorf("server.trusted_proxies: %w", err)
	}
	if g.instruction, err = compact.Instruction(cfg.Compaction.PromptFile); err != nil {
		return nil, fmt.Errorf("compaction.prompt_file: %w", err)
	}
	g.compacts, g.keeps = cfg.Compacts(), c.store != nil && cfg.Keeps()
	g.decider = policy.NewDecider(cfg, policy.Tier{Decodes: true, Stores: c.store != nil, Counts: cfg.Engine.CountTokens != config.Off, Compacts: g.compacts, Keeps: g.keeps})
	if g.turns = turns.New(cfg, nil); c.store != nil {
		g.turns = turns.New(cfg, c.store)
	}
	g.fields = map[string]string{"content-type": "Content-Type", "content-encoding": "Content-Encoding"}
	for _, route := range cfg.AllRoutes() {
		g.translates = g.translates || route.Backends[0].Provider == config.VLLM // all of a route have one provider
		for _, h := range route.Match.Headers {
			g.fields[h.Name] = http.CanonicalHeaderKey(h.Name)
		}
	}
	options := translate.OptionsOf(cfg)
	options.Sealer = policy.Sealer(cfg, random)
	g.rules = c.limiter.Rules(cfg)
	options.ContinuousUsage = g.rules.CountTokens()
	g.translator, g.limits = translate.New(options), options.Limits
	g.lists = modellist.New(c.ending, cfg.Routing.ModelsTime, listTime, dispatch.ErrSilent)
	g.socket = &kind{Endpoint: &policy.Endpoint{Name: "websocket", Allow: "GET"}, Answer: (*exchange).upgrade}
	g.endpoints = g.newEndpoints()
	g.retired, g.retire = context.WithCancel(c.ending)
	return g, nil
}

// contact asks the backends until they answer, or the configuration is no longer
// in force.
func (g *generation) contact(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(g.retired, cancel)
	g.pools.Contact(ctx)
	g.pools.FollowCertificates(ctx)
}

// checkBackends refuses a configuration that takes the server itself for a backend.
func (c *common) checkBackends(cfg *config.Config) error {
	if at := c.listens.Load(); at != nil {
		if err := self.Check(cfg, at.IP.String(), at.Port); err != nil {
			return err
		}
	}
	return self.Check(cfg, cfg.Server.Host, cfg.Server.Port)
}

// Follow takes over what load returns whenever that has changed, until ctx ends.
// A bad configuration changes nothing.
func (s *Server) Follow(ctx context.Context, load func() (*config.Config, error)) {
	f := process.Follower{
		Load: load, Asked: s.reload, Command: config.Serve, Log: s.log, Reloads: s.reloads,
		Current: func() *config.Config { return s.inForce.Load().cfg },
		Apply:   s.change,
	}
	f.Follow(ctx)
}

// change makes the generation of another configuration the one in force. What is
// in flight goes on with the old one. When it returns an error nothing has
// changed.
func (s *Server) change(ctx context.Context, cfg *config.Config) error {
	old := s.inForce.Load()
	next, err := old.next(ctx, cfg)
	if err != nil {
		return err
	}
	if s.store != nil {
		s.store.Use(cfg)
	}
	s.tracer.Use(cfg)
	s.inForce.Store(next)
	old.retire()
	next.contact(ctx)
	old.pools.CloseIdle(next.pools)
	old.callers.Stop(next.callers)
	return nil
}

// next is the generation of another configuration, ready to be in force.
func (g *generation) next(ctx context.Context, cfg *config.Config) (*generation, error) {
	if cfg.Engine.Provider != g.cfg.Engine.Provider {
		return nil, errors.New("engine.provider: a change needs a restart")
	}
	if err := g.cfg.StaysClosed(cfg); err != nil {
		return nil, err
	}
	next, err := newGeneration(g.common, cfg, g)
	if err != nil {
		return nil, err
	}
	if err := next.callers.Succeed(ctx, g.callers); err != nil {
		next.retire()
		return nil, err
	}
	return next, nil
}

// newEndpoints are those of the configuration.
func (g *generation) newEndpoints() *endpoint.Table[*exchange] {
	t := &endpoint.Table[*exchange]{
		API:     make(map[*policy.Endpoint]*kind),
		Passed:  policy.NewPassed(g.cfg.Engine.Pass),
		Pass:    (*exchange).respond,
		Health:  endpoint.Probe("/healthz", (*exchange).health),
		Ready:   endpoint.Probe("/readyz", (*exchange).ready),
		Unknown: &kind{Endpoint: &policy.Endpoint{Name: "unknown"}, Answer: (*exchange).unknownPath},
	}
	for _, e := range [...]*policy.Endpoint{policy.Create, policy.Compact, policy.InputTokens, policy.Stored, policy.Cancel, policy.InputItems,
		policy.Conversations, policy.Conversation, policy.ConversationItems, policy.ConversationItem} {
		t.API[e] = &kind{Endpoint: e, Routed: true, Answer: (*exchange).respond}
	}
	t.API[policy.Models] = &kind{Endpoint: policy.Models, Answer: (*exchange).listModels}
	t.API[policy.Model] = &kind{Endpoint: policy.Model, Answer: (*exchange).showModel}
	if m := g.cfg.Observability.Metrics; m.Enabled && !g.hasAdmin {
		t.Metrics = endpoint.Probe(m.Path, (*exchange).scrape)
	}
	return t
}

// readiness is about this server, not the upstream's present state: later
// outages, the issuer's too, are told to each request, and must not take all
// pods away at once.
func (g *generation) readiness() (status int, text string) {
	switch {
	case g.draining.Load():
		return http.StatusServiceUnavailable, "shutting down\n"
	case !g.dispatcher.Contacted():
		return http.StatusServiceUnavailable, "waiting for the first contact with the upstream\n"
	case !g.callers.Ready():
		return http.StatusServiceUnavailable, "waiting for the keys of the tokens' issuer\n"
	case g.store != nil && !g.store.Reached() && g.store.Ready(context.Background()) != nil:
		return http.StatusServiceUnavailable, "waiting for the store of responses\n"
	}
	return http.StatusOK, "ok\n"
}
