package cli

import (
	"antwort/server/configfile"
	"antwort/server/render/envoy"
)

type renderRatelimitCmd struct {
	configFlag
}

func (renderRatelimitCmd) Help() string {
	return `For the service that limits.service names: its file RUNTIME_ROOT/RUNTIME_SUBDIRECTORY/config/antwort.yaml. What it counts, and for whom, it has from limits.rules, as Envoy has from "antwort render envoy" with the same file.

Example:

    antwort render ratelimit --config antwort.yaml > /data/ratelimit/config/antwort.yaml
    REDIS_SOCKET_TYPE=tcp REDIS_URL=redis.example:6379 RUNTIME_ROOT=/data RUNTIME_SUBDIRECTORY=ratelimit USE_STATSD=false ratelimit`
}

func (cmd *renderRatelimitCmd) Run(io *streams) error {
	cfg, err := configfile.LoadUnresolved(cmd.Config)
	if err != nil {
		return usage(err)
	}
	doc, err := envoy.Service(cfg)
	if err != nil {
		return usage(err)
	}
	text, err := doc.YAML()
	if err != nil {
		return err
	}
	_, err = io.Out.Write(text)
	return err
}
