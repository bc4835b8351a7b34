package config

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// validateAuth refuses what would be open where it seems closed, or closed to
// everybody.
func (c *Config) validateAuth(ps *Problems, filter bool) {
	a := &c.Auth
	if a.Type == APIKeyAuth && len(a.APIKeys) == 0 {
		ps.add("auth.api_keys", "", "must be set with auth.type api_key: without a key nobody can call")
	}
	if a.Type != APIKeyAuth && len(a.APIKeys) > 0 {
		ps.add("auth.api_keys", "", "there are keys, but auth.type "+a.Type+" asks nobody for one: set auth.type to api_key, or leave the keys out")
	}
	c.validateJWT(ps, filter)
	if a.ForwardCredential {
		switch {
		case a.Type == NoAuth:
			ps.add("auth.forward_credential", "", "needs auth.type api_key or jwt")
		case c.Engine.Provider == VLLM:
			ps.add("auth.forward_credential", "", "needs engine.provider vllm-responses: clients' credentials are never sent to a model server, engine.api_key is")
		case c.Engine.APIKey.IsSet() || c.Engine.APIKeyFile != "" || c.Engine.APIKeyEnv != "":
			ps.add("auth.forward_credential", "", "and engine.api_key exclude each other: only one credential can be sent to the backend")
		}
	}
	if !filter {
		return
	}
	for i, k := range a.APIKeys {
		if k.KeyFile != "" {
			ps.add(entry(i)+".key_file", "", "the filter sees no files: use sha256, or key_env with a variable of vmConfig.env")
		}
		if c.NeedsGate() && len(k.Models) > 0 && c.Filter.Profile != Gated {
			ps.add(entry(i)+".models", "", "the filter reads the model of forwarded requests only in filter.profile gated: set that, or leave models out")
		}
	}
}

// StaysClosed refuses next as a live change of c when it would ask nobody for a
// credential any more: a file that is being written, or has lost its section
// auth, must not let everybody in.
func (c *Config) StaysClosed(next *Config) error {
	if c.Auth.Type == NoAuth || next.Auth.Type != NoAuth {
		return nil
	}
	return Problems{{Path: "auth.type", Text: "a change from " + c.Auth.Type + " to " + NoAuth + ", which lets everybody in, needs a restart"}}
}

// NeedsGate reports whether the filter can keep to the models of API keys in
// its profile gated only: with provider vllm-responses request bodies pass
// unread otherwise.
func (c *Config) NeedsGate() bool {
	if c.Engine.Provider != VLLMResponses {
		return false
	}
	for _, k := range c.Auth.APIKeys {
		if len(k.Models) > 0 {
			return true
		}
	}
	return false
}

func entry(i int) string { return entryAt("auth.api_keys", i) }

// resolveAPIKeys makes the digests of the keys that are given by reference.
func (c *Config) resolveAPIKeys(ps *Problems, lookup func(string) (string, bool), readFile func(string) ([]byte, error)) {
	keys := append([]APIKey(nil), c.Auth.APIKeys...) // the slice may be shared
	first := make(map[[sha256.Size]byte]int, len(keys))
	for i := range keys {
		k := &keys[i]
		path := entry(i) + ".sha256"
		if k.SHA256 == "" {
			var found, problem string
			path, found, problem = resolveSecret(entry(i)+".key", k.KeyFile, k.KeyEnv, lookup, readFile)
			if problem != "" {
				ps.add(path, "", problem)
				continue
			}
			k.Digest = sha256.Sum256([]byte(found))
		}
		if before, twice := first[k.Digest]; twice {
			ps.add(path, "", "the same key as "+entry(before))
		}
		first[k.Digest] = i
	}
	if keys != nil {
		c.Auth.APIKeys = keys
	}
}

// forFilter are the keys as the filter can read them: those that have been
// resolved by their digests. A file that was not read stays, and the filter
// refuses it. The variables that are still to be resolved are added to vars.
func (a *Auth) forFilter(vars []Variable) ([]APIKey, []Variable) {
	var keys []APIKey
	for _, k := range a.APIKeys {
		switch {
		case k.SHA256 != "":
		case k.Digest != [sha256.Size]byte{}:
			k.SHA256, k.KeyFile, k.KeyEnv = hex.EncodeToString(k.Digest[:]), "", ""
		case k.KeyEnv != "" && !slices.ContainsFunc(vars, func(v Variable) bool { return v.Name == k.KeyEnv }):
			vars = append(vars, Variable{Name: k.KeyEnv})
		}
		keys = append(keys, k)
	}
	return keys, vars
}
