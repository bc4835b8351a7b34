package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func withState(provider, state string) []byte {
	return []byte(`{"engine":{"provider":"` + provider + `","backend_url":"http://llm"},"state":` + state + `}`)
}

func TestStateIsInMemoryWhereRequestsAreTranslated(t *testing.T) {
	for name, c := range map[string]struct {
		json []byte
		kind string
		ttl  time.Duration
	}{
		"translated":             {withState("vllm", `{}`), MemoryState, 24 * time.Hour},
		"forwarded":              {withState("vllm-responses", `{}`), NoState, 720 * time.Hour},
		"turned off":             {withState("vllm", `{"type":"none"}`), NoState, 720 * time.Hour},
		"kept where one passes":  {withState("vllm-responses", `{"type":"memory"}`), MemoryState, 24 * time.Hour},
		"turned off, forwarding": {withState("vllm-responses", `{"type":"none"}`), NoState, 720 * time.Hour},
		"a file":                 {withState("vllm", `{"type":"sqlite","sqlite":{"path":"/s.db"}}`), SQLiteState, 720 * time.Hour},
		"a time of its own":      {withState("vllm", `{"ttl":"1h"}`), MemoryState, time.Hour},
		"a route that translates": {[]byte(`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"},
			"routes":[{"name":"a","match":{"models":["a"]},"backends":[{"url":"http://a","provider":"vllm"}]}],"state":{"type":"memory"}}`), MemoryState, 24 * time.Hour},
	} {
		got, err := Load(Sources{JSON: c.json})
		require.NoError(t, err, name)
		assert.Equal(t, c.kind, got.StateType(), name)
		assert.Equal(t, c.ttl, got.StateTTL(), name)
	}
}

func TestStateIsRefusedWhereNothingIsKept(t *testing.T) {
	filter := func(json []byte) error { _, err := LoadFilter(Sources{JSON: json}); return err }
	server := func(json []byte) error { _, err := Load(Sources{JSON: json}); return err }
	for name, c := range map[string]struct {
		load    func([]byte) error
		json    []byte
		problem string
	}{
		"a store in the filter":        {filter, withState("vllm", `{"type":"memory"}`), "state: the filter keeps nothing"},
		"a limit in the filter":        {filter, withState("vllm", `{"max_depth":7}`), "state: the filter keeps nothing"},
		"keys where nothing is sealed": {server, withState("vllm-responses", `{"type":"memory","keys":[{"id":"a","key_env":"KEY"}]}`), "state.keys: nothing is sealed where requests are forwarded"},
		"a limit where one passes":     {server, withState("vllm-responses", `{"scope":"subject"}`), "state.scope: vllm-responses keeps nothing"},
		"sqlite without a file":        {server, withState("vllm", `{"type":"sqlite"}`), "state.sqlite.path: must be set"},
		"sealed without keys":          {server, withState("vllm", `{"type":"sqlite","sqlite":{"path":"/s.db"},"encrypt":true}`), "state.encrypt: needs state.keys"},
		"sealed in the filter":         {filter, withState("vllm", `{"encrypt":true}`), "state: the filter keeps nothing"},
		"postgres without database":    {server, withState("vllm", `{"type":"postgres"}`), "state.postgres.dsn: must be set"},
		"a database twice":             {server, withState("vllm", `{"type":"postgres","postgres":{"dsn":"postgres://x","dsn_env":"X"}}`), "state.postgres.dsn: set only one of"},
		"a database that is none":      {server, withState("vllm", `{"type":"postgres","postgres":{"dsn":"mysql://HUSH"}}`), "state.postgres.dsn: want a URL that begins with postgres://"},
	} {
		err := c.load(c.json)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.problem, name)
		assert.NotContains(t, err.Error(), "HUSH", name)
	}
	assert.NoError(t, filter(withState("vllm", `{"type":"none"}`)))
}

func TestStateOfAServerIsNotForTheFilter(t *testing.T) {
	c, err := Load(Sources{JSON: withState("vllm", `{"type":"postgres","postgres":{"dsn":"postgres://HUSH@db/x"}}`)})
	require.NoError(t, err)
	f, vars := c.ForFilter()
	assert.Empty(t, vars)
	assert.NotContains(t, string(f.AppendJSON(nil)), "HUSH")
	require.Error(t, f.ValidateFilter(), "what was asked for is refused, not left out")
}
