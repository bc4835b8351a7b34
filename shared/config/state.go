package config

import (
	"strings"
	"time"
)

// StateType is where the server keeps responses: state.type, with what auto means.
func (c *Config) StateType() string {
	switch {
	case c.State.Type != AutoState:
		return c.State.Type
	case c.Translates():
		return MemoryState
	default:
		return NoState
	}
}

// StateTTL is how long a conversation is kept after its last turn.
func (c *Config) StateTTL() time.Duration {
	switch {
	case c.State.TTL > 0:
		return c.State.TTL
	case c.StateType() == MemoryState:
		return 24 * time.Hour
	default:
		return 720 * time.Hour
	}
}

// Translates reports whether the requests of any route are translated.
func (c *Config) Translates() bool {
	for _, r := range c.AllRoutes() {
		if r.Backends[0].Provider == VLLM {
			return true
		}
	}
	return false
}

// Compacts reports whether the server sums conversations up.
func (c *Config) Compacts() bool { return c.Compaction.Enabled && c.Translates() }

// FilterCompacts reports whether the filter does: it keeps no key of its own.
func (c *Config) FilterCompacts() bool {
	return c.Compaction.Enabled && c.Engine.Provider == VLLM && len(c.State.Keys) > 0
}

// StateKeys are the keys of state that differ from their default.
func (c *Config) StateKeys() (paths []string) {
	for _, k := range c.stateSet(Default()) {
		paths = append(paths, k.path)
	}
	return paths
}

// Keeps reports whether the server keeps the responses that it forwards: it was told
// where, and its backends keep none.
func (c *Config) Keeps() bool {
	return c.Engine.Provider == VLLMResponses && c.State.Type != AutoState && c.State.Type != NoState
}

// stateSet are the keys of state that say something, in the order of the reference.
func (c *Config) stateSet(defaults *Config) (set []*key) {
	for i := range table {
		if k := &table[i]; strings.HasPrefix(k.path, "state.") && !k.value.isDefault(c, defaults) {
			set = append(set, k)
		}
	}
	return set
}

// validateState refuses state in a server that keeps nothing, and a store that
// lacks its place.
func (c *Config) validateState(ps *Problems) {
	if c.Engine.Provider == VLLMResponses && !c.Translates() && !c.Keeps() {
		for _, k := range c.stateSet(Default()) {
			if k.path != "state.type" || c.State.Type != NoState {
				ps.add(k.path, "", "vllm-responses keeps nothing by itself, the backend does: set state.type to keep responses here in front of a backend that keeps none")
			}
		}
		return
	}
	if c.State.Encrypt && !c.SealsState() {
		ps.add("state.encrypt", "", "needs state.keys: what would be sealed must be sealed with a key")
	}
	if len(c.State.Keys) > 0 && !c.State.Encrypt && !c.Translates() {
		ps.add("state.keys", "", "nothing is sealed where requests are forwarded, but the store with state.encrypt: the keys belong to the tier that has engine.provider vllm")
	}
	switch pg := &c.State.Postgres; {
	case c.State.Type == SQLiteState && c.State.SQLite.Path == "":
		ps.add("state.sqlite.path", "", "must be set with state.type sqlite: the file that responses are kept in")
	case c.State.Type == PostgresState && !pg.DSN.IsSet() && pg.DSNFile == "" && pg.DSNEnv == "":
		ps.add("state.postgres.dsn", "", "must be set with state.type postgres, or dsn_file or dsn_env: the URL of the database")
	}
}

// stateless refuses state in the filter, but for the keys to seal with and whose a
// sealed thought is.
func (c *Config) stateless(ps *Problems) {
	sealing := len(c.State.Keys) > 0
	for _, k := range c.stateSet(Default()) {
		if k.path == "state.type" && c.State.Type == NoState || sealing && (k.path == "state.keys" || k.path == "state.scope") {
			continue
		}
		ps.add("state", "", "the filter keeps nothing: state belongs to an antwort serve with engine.provider vllm, to which engine.provider vllm-responses forwards")
		return
	}
}

// promptless refuses a file with words for the model where nobody can read it.
func (c *Config) promptless(ps *Problems) {
	if c.Compaction.PromptFile != "" && c.FilterCompacts() {
		ps.add("compaction.prompt_file", "", "the filter sees no files, and would ask in its own words: leave it out, or set compaction.enabled to false")
	}
}

// resolvedState refuses a database that is no URL.
func (c *Config) resolvedState(ps *Problems) {
	dsn := c.State.Postgres.DSN.Reveal()
	if dsn != "" && !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		ps.add("state.postgres.dsn", "", "want a URL that begins with postgres://")
	}
}

// withoutState is c without what only a server can have, for the filter: what it
// says of state stays, to be refused.
func (c *Config) withoutState() {
	pg := &c.State.Postgres
	pg.DSN, pg.DSNFile, pg.DSNEnv = Secret{}, "", ""
}
