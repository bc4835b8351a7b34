package cli

import "antwort/server/filterwasm"

type filterCmd struct{}

func (filterCmd) Help() string {
	return `The module is for Envoy 1.33 or later and for Istio's WasmPlugin; "antwort render" prints a configuration for it.

Example:

    antwort filter > filter.wasm`
}

func (filterCmd) Run(io *streams) error {
	module, err := filterwasm.Module()
	if err != nil {
		return err
	}
	_, err = io.Out.Write(module)
	return err
}
