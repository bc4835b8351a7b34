package policy

import (
	"antwort/shared/config"
	"antwort/shared/seal"
)

// Sealer seals with the keys of a configuration; nil when it has none. random is as
// for [seal.New].
func Sealer(c *config.Config, random func([]byte)) *seal.Sealer {
	if !c.SealsState() {
		return nil
	}
	keys := make([][]byte, len(c.State.Keys))
	for i, k := range c.State.Keys {
		keys[i] = []byte(k.Key.Reveal())
	}
	return seal.New(keys, random)
}
