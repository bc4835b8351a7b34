package cli

import (
	"antwort/server/configfile"
	"antwort/server/render/istio"
)

type renderIstioCmd struct {
	configFlag
	API        string `name:"api" enum:"gateway-api,classic" default:"gateway-api" help:"gateway-api: Gateway and HTTPRoute of Kubernetes. classic: Istio's Gateway and VirtualService, with a Deployment."`
	Name       string `default:"antwort-frontend" help:"Name of the gateway and of what belongs to it."`
	Image      string `default:"antwort-filter" placeholder:"REF" help:"The filter's image: REGISTRY/antwort-filter:TAG, or …@sha256:DIGEST, which the gateway verifies."`
	HeapMiB    int64  `name:"heap-mib" default:"512" placeholder:"N" help:"What the gateway's Envoy may have allocated for all of its clients, beside the filter, where it translates (engine.provider vllm), in MiB: half of what its container may have, more where the mesh is large; 0: no bound (default: 512)."`
	PullSecret string `placeholder:"NAME" help:"Secret with the registry's credentials, in the gateway's namespace."`
}

func (renderIstioCmd) Help() string {
	return `Prints a gateway that runs the filter in front of the Service that engine.backend_url names: gateway, route, time-outs, and the filter as a WasmPlugin (filter.profile inline) or an EnvoyFilter (gated). Needs Istio 1.27 or later. Secrets are never printed: the filter takes them from the gateway's environment.

Example:

    antwort render istio --config antwort.yaml --image registry.example/antwort-filter:v1 | kubectl apply -n antwort -f -`
}

func (cmd *renderIstioCmd) Run(io *streams) error {
	cfg, err := configfile.LoadUnresolved(cmd.Config)
	if err != nil {
		return usage(err)
	}
	filter, _ := cfg.ForFilter()
	if err := filter.ValidateFilter(); err != nil {
		return usage(err)
	}
	text, err := istio.Render(cfg, istio.Options{API: istio.API(cmd.API), Name: cmd.Name, Image: cmd.Image, PullSecret: cmd.PullSecret, HeapBytes: max(0, cmd.HeapMiB) << 20})
	if err != nil {
		return usage(err)
	}
	_, err = io.Out.Write(text)
	return err
}
