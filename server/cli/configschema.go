package cli

import (
	"bytes"
	"encoding/json"

	"antwort/shared/config"
)

type configSchemaCmd struct{}

func (configSchemaCmd) Help() string {
	return `Editors check and complete a configuration with it.

Example:

    antwort config-schema > antwort.schema.json
    # and as the first line of antwort.yaml:
    # yaml-language-server: $schema=antwort.schema.json`
}

func (configSchemaCmd) Run(io *streams) error {
	var b bytes.Buffer
	if err := json.Indent(&b, config.Schema(), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(io.Out)
	return err
}
