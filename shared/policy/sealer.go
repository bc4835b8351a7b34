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
	return seal.New(SealingKeys(c), random)
}

// SealingKeys are the keys of a configuration: the first one seals, all open.
func SealingKeys(c *config.Config) [][]byte {
	keys := make([][]byte, len(c.State.Keys))
	for i, k := range c.State.Keys {
		keys[i] = []byte(k.Key.Reveal())
	}
	return keys
}
