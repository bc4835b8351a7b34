package cli

import (
	"fmt"
	"net/netip"
	"slices"

	"antwort/server/configfile"
	"antwort/server/render/envoy"
	"antwort/shared/config"
)

type renderCmd struct {
	Envoy     renderEnvoyCmd     `cmd:"" help:"Print a complete configuration of Envoy."`
	Istio     renderIstioCmd     `cmd:"" help:"Print the manifests of a gateway of Istio with the filter."`
	Ratelimit renderRatelimitCmd `cmd:"" help:"Print the configuration of the envoyproxy/ratelimit that counts for several Envoys."`
}

func (renderCmd) Help() string {
	return `What is printed depends on the configuration file, the environment and the flags alone. Secrets are never printed.

Example:

    antwort render envoy --config antwort.yaml > envoy.yaml`
}

type renderEnvoyCmd struct {
	configFlag
	Format      string `enum:"yaml,json" default:"yaml" help:"yaml or json."`
	Filter      string `default:"filter.wasm" placeholder:"FILE" help:"Where Envoy finds the filter (default: filter.wasm in its working directory)."`
	Admin       string `default:"127.0.0.1:9901" placeholder:"HOST:PORT" help:"Where Envoy's admin interface listens; a loopback address (default: 127.0.0.1:9901)."`
	Concurrency int    `placeholder:"N" help:"Worker threads that Envoy will have (its --concurrency), by which its memory is bounded (default: 4)."`
	CAFile      string `name:"ca-file" default:"/etc/ssl/certs/ca-certificates.crt" placeholder:"FILE" help:"Authorities that Envoy trusts for an https backend (default: Debian's)."`
}

func (renderEnvoyCmd) Help() string {
	return `For an Envoy that you run yourself; "antwort envoy" runs one for you. Needs Envoy 1.33 or later, with filter.profile gated 1.35, with several backends of a route 1.36. Envoy takes secrets from its own environment: a comment names the variables.

Example:

    antwort filter > filter.wasm
    antwort render envoy --config antwort.yaml > envoy.yaml
    envoy -c envoy.yaml`
}

func (cmd *renderEnvoyCmd) Run(io *streams) error {
	at, err := netip.ParseAddrPort(cmd.Admin)
	if err != nil || !at.Addr().IsLoopback() {
		return usage(fmt.Errorf("--admin: want a loopback address with a port, such as 127.0.0.1:9901, got %q: whoever reaches it can stop Envoy and read its configuration", cmd.Admin))
	}
	cfg, err := configfile.LoadUnresolved(cmd.Config)
	if err != nil {
		return usage(err)
	}
	filter, variables := cfg.ForFilter()
	if err := filter.ValidateFilter(); err != nil {
		return usage(err)
	}
	doc, err := envoy.Bootstrap(cfg, envoy.Options{Module: cmd.Filter, Admin: cmd.Admin, Roots: cmd.CAFile, Workers: max(0, cmd.Concurrency)})
	if err != nil {
		return usage(err)
	}
	if cmd.Format == "json" {
		text, err := doc.JSON()
		if err != nil {
			return err
		}
		_, err = io.Out.Write(text)
		return err
	}
	text, err := doc.YAML()
	if err != nil {
		return err
	}
	for _, v := range variables {
		whose := "a key for a backend"
		if slices.ContainsFunc(filter.Auth.APIKeys, func(k config.APIKey) bool { return k.KeyEnv == v.Name }) {
			whose = "a client's key"
		}
		if slices.ContainsFunc(filter.State.Keys, func(k config.SealingKey) bool { return k.KeyEnv == v.Name }) {
			whose = "a key to seal with"
		}
		fmt.Fprintf(io.Out, "# Envoy's environment must have %s, %s.\n", v.Name, whose)
	}
	_, err = io.Out.Write(text)
	return err
}
