package filter

import (
	"os"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/summary"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// plugin is one configured plugin.
type plugin struct {
	*vm
	cfg        *config.Config
	translator *translate.Translator // nil when requests are forwarded
	summarizer *summary.Summarizer   // nil: nothing is summed up
	access     *policy.Access        // nil: everybody may call
	decider    *policy.Decider
	passed     *policy.Passed
	router     *policy.Router // nil: there are no routes, and one pool
	pools      []pool
	metrics    metrics
	gate       gate
	uploads    uploads
	departures departures
	ticker     ticker
}

// configure takes the configuration that the host has for the plugin.
func (p *plugin) configure(size int) error {
	var json []byte
	if size > 0 {
		var err error
		if json, err = proxywasm.GetPluginConfiguration(); err != nil {
			return err
		}
	}
	cfg, err := config.LoadFilter(config.Sources{JSON: json, LookupEnv: os.LookupEnv})
	if err != nil {
		return err
	}
	p.cfg = cfg
	p.access = policy.NewAccess(cfg)
	p.passed = policy.NewPassed(cfg.Engine.Pass)
	sealer := policy.Sealer(cfg, nonce)
	sums := cfg.FilterCompacts() && sealer != nil
	p.decider = policy.NewDecider(cfg, policy.Tier{Blind: !p.gated(), Hosts: true, Counts: cfg.Engine.CountTokens != config.Off, Compacts: sums})
	if len(cfg.Routes) > 0 {
		p.router, p.pools = p.decider.Router(), pools(cfg.AllRoutes())
	} else {
		p.pools = []pool{{auth: bearer(cfg.Engine.APIKey)}}
	}
	if cfg.Engine.Provider == config.VLLM {
		options := translate.OptionsOf(cfg)
		options.ShortFailure, options.TextBytes = true, int(cfg.Limits.FilterText())
		options.Sealer, options.ContinuousUsage = sealer, cfg.Filter.TellTokens
		p.translator = translate.New(options)
		if sums {
			p.summarizer = &summary.Summarizer{Translator: p.translator, Sealer: sealer, Limits: options.Limits, MaxTokens: cfg.Compaction.MaxOutputTokens, TextBytes: options.TextBytes}
		}
	}
	p.memory.limit(cfg.Limits)
	p.metrics.define()
	p.ticker.every = min(ledgerEach, cfg.Filter.GateWait/4, cfg.Server.ReadTimeout/4)
	p.ledger.begin(p.clock.now())
	p.wake()
	return nil
}

// jsonLimits are those that a request's text is held to.
func (p *plugin) jsonLimits() responses.Limits { return policy.LimitsOf(p.cfg) }

func (p *plugin) gated() bool { return p.cfg.Filter.Profile == config.Gated }

// wake makes the plugin look, from time to time, after what waits in it.
func (p *plugin) wake() { p.ticker.start() }

// tick looks after what waits.
func (p *plugin) tick() {
	p.turns.anew()
	p.ticker.calm()
	now := p.clock.now()
	p.gate.check()
	p.uploads.check(now, p.cfg.Server.ReadTimeout)
	p.departures.check(now)
	if p.ledger.settle(p.metrics.inFlight, p.memory.held, now) && len(p.gate.waiting)+len(p.uploads)+len(p.departures) == 0 {
		p.ticker.stop()
	}
}

// endpoint is what a path, escaped and without its query, leads to; nil: nothing.
func (p *plugin) endpoint(path string) *policy.Endpoint {
	if e := policy.Find(path); e != nil {
		return e
	}
	return p.passed.Find(path)
}
