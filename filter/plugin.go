package filter

import (
	"errors"
	"os"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/translate"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

// plugin is one configured plugin.
type plugin struct {
	types.DefaultPluginContext
	*vm
	cfg        *config.Config
	translator *translate.Translator // nil when requests are forwarded
	access     *policy.Access        // nil: everybody may call
	router     *policy.Router        // nil: there are no routes, and one target
	targets    []target
	metrics    metrics
	gate       gate
}

// OnPluginStart reads the configuration, JSON of the schema of shared/config.
// A bad one fails the start, with a line in the log for each mistake.
func (p *plugin) OnPluginStart(size int) (status types.OnPluginStartStatus) {
	defer func() {
		if r := recover(); r != nil {
			logPanic("plugin start", r)
			status = types.OnPluginStartStatusFailed
		}
	}()
	if err := p.configure(size); err != nil {
		var problems config.Problems
		if !errors.As(err, &problems) {
			proxywasm.LogCritical("antwort: " + err.Error())
			return types.OnPluginStartStatusFailed
		}
		for _, problem := range problems {
			proxywasm.LogCritical("antwort: configuration: " + problem.Error())
		}
		return types.OnPluginStartStatusFailed
	}
	proxywasm.LogInfo("antwort: started: provider " + string(p.cfg.Engine.Provider) + ", profile " + p.cfg.Filter.Profile)
	return types.OnPluginStartStatusOK
}

func (p *plugin) configure(size int) error {
	var json []byte
	if size > 0 {
		var err error
		if json, err = proxywasm.GetPluginConfiguration(); err != nil {
			return err
		}
	}
	cfg, err := config.Load(config.Sources{JSON: json, LookupEnv: os.LookupEnv, Filter: true})
	if err != nil {
		return err
	}
	p.cfg = cfg
	p.access = policy.NewAccess(cfg)
	if routes := cfg.AllRoutes(); len(cfg.Routes) > 0 {
		p.router, p.targets = policy.NewRouter(routes), targets(routes)
	} else {
		p.targets = []target{{auth: bearer(cfg.Engine.APIKey)}}
	}
	if cfg.Engine.Provider == config.VLLM {
		p.translator = translate.New(translate.OptionsOf(cfg))
	}
	p.metrics.define()
	return nil
}

// NewHttpContext makes the context of one request.
func (p *plugin) NewHttpContext(id uint32) types.HttpContext {
	s := p.takeStream()
	s.plugin, s.id = p, id
	return s
}

// OnTick looks after requests that wait for a body callback.
func (p *plugin) OnTick() {
	defer func() {
		if r := recover(); r != nil {
			p.metrics.panics.Increment(1)
			logPanic("tick", r)
		}
	}()
	p.gate.check()
}
