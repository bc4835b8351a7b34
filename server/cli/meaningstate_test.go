package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

func TestWhoCompacts(t *testing.T) {
	for json, says := range map[string]string{
		`{"engine":{"provider":"vllm","backend_url":"http://llm"}}`:                                                               "by the model, in 2048 tokens at most; opened by this process only, not by other replicas, nor after a restart",
		`{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"sqlite","sqlite":{"path":"/s.db"}}}`:           "by the model, in 2048 tokens at most; opened by whoever has the store, which keeps the key",
		`{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"none","keys":[{"id":"one","key_env":"ONE"}]}}`: "by the model, in 2048 tokens at most; opened by whoever has the key one of state.keys",
		`{"engine":{"provider":"vllm","backend_url":"http://llm"},"compaction":{"enabled":false}}`:                                "none",
		`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"}}`:                                                     "by the backend, if it does",
	} {
		cfg, err := config.Load(config.Sources{JSON: []byte(json), LookupEnv: func(string) (string, bool) { return "", false }, Unresolved: true})
		require.NoError(t, err)
		assert.Equal(t, says, compacted(cfg))
	}
}

func TestWhatIsKept(t *testing.T) {
	const key = `"auth":{"type":"api_key","api_keys":[{"key_env":"K","subject":"a"}]},`
	for name, c := range map[string]struct {
		json string
		says string
		warn []string
	}{
		"the default": {`{"engine":{"provider":"vllm","backend_url":"http://llm"}}`,
			"input and answer of responses, but of those with store: false, in memory, 64MiB at most, then the conversations used longest ago go; all are forgotten when the process ends, and other replicas do not know them; until 24h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by everybody who has the id; 8 with background: true at a time, 1000 of an owner may wait", nil},
		"a file of nobody": {`{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"sqlite","sqlite":{"path":"/s.db"}}}`,
			"input and answer of responses, but of those with store: false, in the file /s.db, for this process alone; until 720h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by everybody who has the id; 8 with background: true at a time, 1000 of an owner may wait", nil},
		"a file of tenants": {`{` + key + `"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"sqlite","sqlite":{"path":"/s.db","sync":"normal"},"max_owner_bytes":"1GiB","memory":{"max_bytes":"1MiB"}}}`,
			"input and answer of responses, but of those with store: false, in the file /s.db, for this process alone; the last ones may be lost when the machine fails; until 720h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by the tenant, 1GiB each; 8 with background: true at a time, 1000 of an owner may wait",
			[]string{"state.memory.max_bytes: no effect, state.type is sqlite"}},
		"a sealed file": {`{` + key + `"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"sqlite","sqlite":{"path":"/s.db"},"encrypt":true,"keys":[{"id":"one","key_env":"ONE"}]}}`,
			"input and answer of responses, but of those with store: false, in the file /s.db, for this process alone; sealed there with the key one of state.keys; until 720h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by the tenant; 8 with background: true at a time, 1000 of an owner may wait", nil},
		"sealed in memory": {`{` + key + `"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"encrypt":true,"keys":[{"id":"one","key_env":"ONE"}]}}`,
			"input and answer of responses, but of those with store: false, in memory, 64MiB at most, then the conversations used longest ago go; all are forgotten when the process ends, and other replicas do not know them; until 24h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by the tenant; 8 with background: true at a time, 1000 of an owner may wait",
			[]string{"state.encrypt: no effect, state.type is memory: nothing leaves the process"}},
		"a database of subjects": {`{` + key + `"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"postgres","scope":"subject","default_store":false,"ttl":"1h","postgres":{"dsn":"postgres://HUSH@db/x"}}}`,
			"input and answer of responses with store: true, in Postgres, for all replicas with the same state.postgres.dsn, 10 connections each; until 1h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by the subject; 8 with background: true at a time, 1000 of an owner may wait", nil},
		"nothing": {`{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":{"type":"none","max_depth":3}}`,
			"nothing: store is answered false, and no response can be continued", []string{"state.max_depth: no effect, state.type is none"}},
		"in front": {`{` + key + `"engine":{"provider":"vllm-responses","backend_url":"http://llm"},"state":{"type":"memory"}}`,
			"input and answer of responses, but of those with store: false, in memory, 64MiB at most, then the conversations used longest ago go; all are forgotten when the process ends, and other replicas do not know them; until 24h after the conversation's last turn, those of /v1/conversations until they are deleted; seen by the tenant; 8 with background: true at a time, 1000 of an owner may wait; the backends keep nothing: they get whole conversations, with store: false", nil},
		"nothing here": {`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"}}`,
			"nothing here; the backend may keep responses, and continues them", nil},
	} {
		cfg, err := config.Load(config.Sources{JSON: []byte(c.json), LookupEnv: func(string) (string, bool) { return "", false }, Unresolved: true})
		require.NoError(t, err, name)
		assert.Equal(t, c.says, kept(cfg), name)
		assert.Equal(t, c.warn, stateWarnings(cfg), name)
	}
}

func TestWhatIsSealed(t *testing.T) {
	const engine = `{"engine":{"provider":"vllm","backend_url":"http://llm"},"state":`
	for name, c := range map[string]struct{ json, says string }{
		"no keys":    {engine + `{}}`, "no thoughts: the encrypted_content of reasoning items is coded, so whoever has it can read it; state.keys would seal it"},
		"a key":      {engine + `{"keys":[{"id":"one","key_env":"ONE"}]}}`, "thoughts in the encrypted_content of reasoning items, for the caller's tenant alone, with the key one"},
		"three keys": {engine + `{"type":"none","scope":"subject","keys":[{"id":"one","key_env":"ONE"},{"id":"two","key_env":"TWO"},{"id":"three","key_file":"/3"}]}}`, "thoughts in the encrypted_content of reasoning items, for the caller's subject alone, with the key one; what was sealed with two, three is opened too"},
		"forwarded":  {`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"}}`, "nothing here"},
	} {
		cfg, err := config.Load(config.Sources{JSON: []byte(c.json), Unresolved: true})
		require.NoError(t, err, name)
		assert.Equal(t, c.says, sealed(cfg), name)
		assert.Empty(t, stateWarnings(cfg), name)
	}
}

func TestWhoseStoreIsWarnedOf(t *testing.T) {
	const (
		vllm, forward = `"engine":{"provider":"vllm","backend_url":"http://llm"}`, `"engine":{"provider":"vllm-responses","backend_url":"http://llm"}`
		here          = `,"server":{"host":"127.0.0.1"}`
		keys          = `,"auth":{"type":"api_key","api_keys":[{"key_env":"K","subject":"a"}]}`
		file          = `,"state":{"type":"sqlite","sqlite":{"path":"/s.db"}}`
		memory, none  = `,"state":{"type":"memory"}`, `,"state":{"type":"none"}`
		open          = "state: auth.type is none, so whoever has the id of a response can read, continue and delete it; all callers are one owner"
		alone         = "state.type: memory is for a single replica; of several none can continue or read what another one answered: for those use postgres, or none"
	)
	for json, want := range map[string][]string{
		vllm:                                    {open, alone},
		vllm + keys:                             {alone},
		vllm + here:                             nil, // as in make run
		vllm + here + memory:                    {open},
		vllm + here + memory + keys:             nil,
		vllm + memory:                           {open, alone},
		vllm + file:                             {open},
		vllm + file + here:                      {open},
		vllm + file + keys:                      nil,
		vllm + none:                             nil,
		forward:                                 nil,
		forward + memory:                        {open, alone},
		vllm + `,"server":{"host":"::1"}`:       nil,
		vllm + `,"server":{"host":"localhost"}`: nil,
		vllm + `,"server":{"host":"10.0.0.1"}`:  {open, alone},
		vllm + `,"server":{"host":"127.example"}`: {open, alone},
		vllm + `,"server":{"host":"fe80::1"}`:     {open, alone},
	} {
		cfg, err := config.Load(config.Sources{JSON: []byte("{" + json + "}"), LookupEnv: func(string) (string, bool) { return "", false }, Unresolved: true})
		require.NoError(t, err, json)
		assert.Equal(t, want, append(unguarded(cfg), forOneProcess(cfg)...), json)
	}
}
