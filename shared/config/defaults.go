package config

// Default is the configuration of an empty file. It is not complete: provider
// and backend URL have no default.
func Default() *Config {
	c := new(Config)
	for _, k := range table {
		k.value.reset(c)
	}
	return c
}

// Equal reports whether both mean the same, resolved secrets included: a
// changed file or secret that makes an equal configuration needs no reload.
func (c *Config) Equal(other *Config) bool {
	for _, k := range table {
		if k.value.text(c) != k.value.text(other) {
			return false
		}
	}
	for _, s := range secrets {
		if s.value(c).Reveal() != s.value(other).Reveal() {
			return false
		}
	}
	for i, k := range c.State.Keys {
		if k.Key.Reveal() != other.State.Keys[i].Key.Reveal() {
			return false
		}
	}
	for i, k := range c.Auth.APIKeys { // there are as many, as the texts are equal
		if k.Digest != other.Auth.APIKeys[i].Digest {
			return false
		}
	}
	for i, route := range c.Routes {
		for j, b := range route.Backends {
			if b.APIKey.Reveal() != other.Routes[i].Backends[j].APIKey.Reveal() {
				return false
			}
		}
	}
	return true
}
