package cli

import (
	"strings"

	"antwort/shared/config"
)

// kept says what is kept of responses, where and how long.
func kept(c *config.Config) string {
	text := c.Text
	var where string
	switch c.StateType() {
	case config.NoState:
		if !c.Translates() {
			return "nothing here; the backend may keep responses, and continues them"
		}
		return "nothing: store is answered false, and no response can be continued"
	case config.MemoryState:
		where = "in memory, " + text("state.memory.max_bytes") + " at most, then the conversations used longest ago go; all are forgotten when the process ends, and other replicas do not know them"
	case config.SQLiteState:
		where = "in the file " + c.State.SQLite.Path + ", for this process alone"
		if c.State.SQLite.Sync == config.NormalSync {
			where += "; the last ones may be lost when the machine fails"
		}
	case config.PostgresState:
		where = "in Postgres, for all replicas with the same state.postgres.dsn, " + text("state.postgres.max_connections") + " connections each"
	}
	which := "input and answer of responses, but of those with store: false, "
	if !c.State.DefaultStore {
		which = "input and answer of responses with store: true, "
	}
	whose := "; seen by the tenant"
	if c.State.Scope == config.SubjectScope {
		whose = "; seen by the subject"
	}
	if c.Auth.Type == config.NoAuth {
		whose = "; seen by everybody who has the id"
	}
	quota := ""
	if c.State.MaxOwnerBytes > 0 {
		quota = ", " + text("state.max_owner_bytes") + " each"
	}
	front := ""
	if c.Keeps() {
		front = "; the backends keep nothing: they get whole conversations, with store: false"
	}
	background := "; " + text("state.background.workers") + " with background: true at a time, " + text("state.background.queue") + " of an owner may wait"
	conversations := ", those of /v1/conversations until they are deleted"
	if c.State.ConversationTTL > 0 {
		conversations = ", those of /v1/conversations until " + config.FormatDuration(c.State.ConversationTTL) + " after their last items"
	}
	if c.EncryptsState() {
		where += "; sealed there with the key " + c.State.Keys[0].ID + " of state.keys"
	}
	return which + where + "; until " + config.FormatDuration(c.StateTTL()) + " after the conversation's last turn" + conversations + whose + quota + background + front
}

// compacted says who sums long conversations up.
func compacted(c *config.Config) string {
	switch {
	case !c.Translates():
		return "by the backend, if it does"
	case !c.Compaction.Enabled:
		return "none"
	}
	text := "by the model, in " + c.Text("compaction.max_output_tokens") + " tokens at most; "
	if c.SealsState() {
		return text + "opened by whoever has the key " + c.State.Keys[0].ID + " of state.keys"
	}
	if kind := c.StateType(); kind == config.NoState || kind == config.MemoryState {
		return text + "opened by this process only, not by other replicas, nor after a restart"
	}
	return text + "opened by whoever has the store, which keeps the key"
}

// sealed says what is sealed that clients keep, and with which keys.
func sealed(c *config.Config) string {
	if !c.Translates() {
		return "nothing here"
	}
	if !c.SealsState() {
		return "no thoughts: the encrypted_content of reasoning items is coded, so whoever has it can read it; state.keys would seal it"
	}
	var others []string
	for _, k := range c.State.Keys[1:] {
		others = append(others, k.ID)
	}
	text := "thoughts in the encrypted_content of reasoning items, for the caller's " + c.State.Scope + " alone, with the key " + c.State.Keys[0].ID
	if others != nil {
		text += "; what was sealed with " + strings.Join(others, ", ") + " is opened too"
	}
	return text
}

// stateWarnings are what of state is allowed but probably not meant.
func stateWarnings(c *config.Config) (w []string) {
	kind := c.StateType()
	if kind == config.MemoryState && c.State.Encrypt {
		w = append(w, "state.encrypt: no effect, state.type is "+kind+": nothing leaves the process")
	}
	for _, path := range c.StateKeys() {
		_, name, _ := strings.Cut(path, ".")
		store, _, ofOne := strings.Cut(name, ".")
		if path != "state.type" && !(c.SealsState() && (path == "state.keys" || path == "state.scope")) && (kind == config.NoState || ofOne && store != kind && store != "background") {
			w = append(w, path+": no effect, state.type is "+kind)
		}
	}
	return w
}

// unguarded are the warnings of a server that keeps what everybody can ask for. One
// that only this machine reaches is as safe as its user, unless a store was asked for.
func unguarded(c *config.Config) []string {
	if c.StateType() == config.NoState || c.Auth.Type != config.NoAuth || c.State.Type == config.AutoState && c.Server.IsLoopback() {
		return nil
	}
	return []string{"state: auth.type is none, so whoever has the id of a response can read, continue and delete it; all callers are one owner"}
}

// forOneProcess are the warnings of a store that no replica shares. How many there are
// is in no configuration: only a server that others reach can be one of them.
func forOneProcess(c *config.Config) []string {
	if c.StateType() != config.MemoryState || c.Server.IsLoopback() {
		return nil
	}
	return []string{"state.type: memory is for a single replica; of several none can continue or read what another one answered: for those use postgres, or none"}
}
