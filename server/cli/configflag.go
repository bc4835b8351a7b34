package cli

import (
	"antwort/server/configfile"
	"antwort/shared/config"
)

// configFlag is the --config of every subcommand that has a configuration.
type configFlag struct {
	Config string `env:"ANTWORT_CONFIG" placeholder:"FILE" help:"Configuration file, YAML or JSON. Without one the environment has to say everything."`
}

// load makes the configuration of file, environment and secrets. Its error
// means exit code 2.
func (f *configFlag) load() (*config.Config, error) {
	c, err := configfile.Load(f.Config)
	if err != nil {
		return nil, usage(err)
	}
	return c, nil
}
