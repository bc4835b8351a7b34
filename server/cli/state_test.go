package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"antwort/server/state"
	"antwort/server/state/pgtest"
	"antwort/server/state/sqlite"
	"antwort/server/state/statetest"
	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stateFile writes a file with this section state.
func stateFile(t *testing.T, auth, section string) string {
	path := filepath.Join(t.TempDir(), "antwort.json")
	require.NoError(t, os.WriteFile(path, []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":`+auth+`,"state":`+section+`}`), 0o600))
	return path
}

const byKey = `{"type":"api_key","api_keys":[{"sha256":"50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c","subject":"alice","tenant":"team-a"}]}`

func TestWhatIsKeptIsLookedAtTakenOutAndRemoved(t *testing.T) {
	db := filepath.Join(t.TempDir(), "state.db")
	file := stateFile(t, byKey, `{"type":"sqlite","sqlite":{"path":"`+db+`"}}`)
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: db}) // a server's
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":` + byKey + `}`)})
	require.NoError(t, err)
	teamA, other := state.Owner(policy.Owner(cfg, &policy.Identity{Tenant: "team-a"})), state.Owner{7}
	first := statetest.Turn(teamA, "")
	first.Input, first.Output, first.Shell, first.Cut = []byte("[\n1]"), []byte(`["<&>"]`), []byte(`{"output":}`), 10
	second, his := statetest.Turn(teamA, first.ID), statetest.Turn(other, "")
	second.Shell, second.Cut = []byte(`{"output":}`), 10
	for _, r := range []*state.Record{first, second, his} {
		require.NoError(t, s.Commit(t.Context(), r))
	}
	conversation := statetest.Conversation(t, s, teamA, "one")

	code, out, stderr := run(t, "state", "stats", "--config", file)
	require.Equal(t, exitOK, code, stderr)
	assert.Regexp(t, `^store +sqlite\nowners +2\nresponses +3\nconversations +1\nbytes +\d+\nowner [0-9a-f]{32} +2 responses, 1 conversations, \d+ bytes\nowner 07000000000000000000000000000000 +1 responses, 0 conversations, \d+ bytes\n$`, out)

	code, out, stderr = run(t, "state", "export", "--config", file, "--tenant", "team-a")
	require.Equal(t, exitOK, code, stderr)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 3)
	assert.Equal(t, `{"input":[1],"response":{"output":["<&>"]}}`, lines[0])
	assert.True(t, json.Valid([]byte(lines[1])))
	assert.Equal(t, `{"conversation":"conv_`+conversation.ID+`","created_at":1800000000,"metadata":{"a":"b"},"items":[{"id":"one"}]}`, lines[2])

	code, out, stderr = run(t, "state", "purge", "--config", file, "--tenant", "team-a")
	require.Equal(t, exitOK, code, stderr)
	assert.Equal(t, "2 responses and 1 conversations removed\n", out)
	_, err = s.Get(t.Context(), teamA, first.ID)
	require.ErrorIs(t, err, state.ErrNotFound)
	_, err = s.Get(t.Context(), other, his.ID)
	require.NoError(t, err)
	assert.NoError(t, s.Commit(t.Context(), statetest.Turn(teamA, "")), "the server goes on")
}

func TestWhatIsSealedIsTakenOutWithItsKey(t *testing.T) {
	db := filepath.Join(t.TempDir(), "state.db")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: db, Texts: statetest.Sealed()})
	require.NoError(t, err)
	cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":` + byKey + `}`)})
	require.NoError(t, err)
	r := statetest.Turn(policy.Owner(cfg, &policy.Identity{Tenant: "team-a"}), "")
	r.Input, r.Output, r.Shell, r.Cut = []byte(`["my name"]`), []byte("[2]"), []byte(`{"output":}`), 10
	require.NoError(t, s.Commit(t.Context(), r))
	require.NoError(t, s.Close())
	t.Setenv("STATE_KEY", strings.Repeat("61", 32))
	t.Setenv("OTHER_KEY", strings.Repeat("62", 32))
	with := func(rest string) string {
		return stateFile(t, byKey, `{"type":"sqlite","sqlite":{"path":"`+db+`"}`+rest+`}`)
	}
	for name, c := range map[string]struct {
		file string
		code int
		says string
	}{
		"its key":             {with(`,"encrypt":true,"keys":[{"id":"a","key_env":"STATE_KEY"}]`), exitOK, `{"input":["my name"],"response":{"output":[2]}}`},
		"its key, an old one": {with(`,"keys":[{"id":"b","key_env":"OTHER_KEY"},{"id":"a","key_env":"STATE_KEY"}]`), exitOK, `{"input":["my name"],"response":{"output":[2]}}`},
		"another key":         {with(`,"keys":[{"id":"b","key_env":"OTHER_KEY"}]`), exitRun, "no key of state.keys opens it"},
		"no key":              {with(``), exitRun, "no key of state.keys opens it"},
	} {
		code, out, stderr := run(t, "state", "export", "--config", c.file, "--tenant", "team-a")
		assert.Equal(t, c.code, code, name)
		assert.Contains(t, out+stderr, c.says, name)
		assert.Equal(t, c.code == exitOK, strings.Contains(out, "my name"), name)
	}
	code, _, stderr := run(t, "check", "--config", with(`,"encrypt":true`))
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, "state.encrypt: needs state.keys")
}

func TestCommandsOfStateSayWhatIsMissing(t *testing.T) {
	db := filepath.Join(t.TempDir(), "state.db")
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: db})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	file := `{"type":"sqlite","sqlite":{"path":"` + db + `"}}`
	subject := `{"type":"sqlite","scope":"subject","sqlite":{"path":"` + db + `"}}`
	for name, c := range map[string]struct {
		auth, state string
		args        []string
		code        int
		says        string
	}{
		"memory":                    {`{}`, `{}`, []string{"stats"}, exitUsage, "state.type is memory: only the process that serves can see"},
		"nothing kept":              {`{}`, `{"type":"none"}`, []string{"stats"}, exitUsage, "state.type is none"},
		"no file":                   {`{}`, `{"type":"sqlite","sqlite":{"path":"/nowhere/state.db"}}`, []string{"stats"}, exitUsage, "no such file"},
		"nobody":                    {byKey, file, []string{"purge"}, exitUsage, "say whose"},
		"everybody of many":         {byKey, file, []string{"purge", "--all"}, exitUsage, "--all is for auth.type none"},
		"one of a tenant":           {byKey, file, []string{"purge", "--tenant", "a", "--subject", "b"}, exitUsage, "say --tenant alone"},
		"a tenant of subjects":      {byKey, subject, []string{"purge", "--tenant", "a"}, exitUsage, "state.scope is subject: say --subject"},
		"a tenant where none is":    {`{}`, file, []string{"export", "--tenant", "a"}, exitUsage, "say --all"},
		"everybody":                 {`{}`, file, []string{"purge", "--all"}, exitOK, ""},
		"a subject":                 {byKey, subject, []string{"purge", "--subject", "a"}, exitOK, ""},
		"a subject without tenant":  {byKey, file, []string{"purge", "--subject", "a"}, exitOK, ""},
		"tables that make themself": {`{}`, file, []string{"migrate"}, exitUsage, "state.type is sqlite"},
	} {
		code, out, stderr := run(t, append(append([]string{"state"}, c.args...), "--config", stateFile(t, c.auth, c.state))...)
		assert.Equal(t, c.code, code, name)
		assert.Contains(t, stderr, c.says, name)
		if code == exitOK {
			assert.Equal(t, "0 responses and 0 conversations removed\n", out, name)
		}
	}
}

func TestCheckLeavesTheStoreAlone(t *testing.T) {
	db := filepath.Join(t.TempDir(), "state.db")
	file := stateFile(t, `{}`, `{"type":"sqlite","sqlite":{"path":"`+db+`"}}`)
	code, out, stderr := run(t, "check", "--config", file)
	assert.Equal(t, exitOK, code, stderr)
	assert.Contains(t, out, "in the file "+db)
	assert.NoFileExists(t, db)
	s, err := sqlite.Open(t.Context(), sqlite.Options{Path: db})
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	code, _, stderr = run(t, "check", "--config", file)
	assert.Equal(t, exitOK, code, stderr)
	code, _, stderr = run(t, "check", "--config", stateFile(t, `{}`, `{"type":"postgres","postgres":{"dsn":"postgres://nowhere.invalid/x"}}`))
	assert.Equal(t, exitOK, code, stderr)
}

func TestTablesAreMadeByCommand(t *testing.T) {
	url := pgtest.Start(t).Schema(t)
	file := stateFile(t, `{}`, `{"type":"postgres","postgres":{"dsn":"`+url+`","migrate":"check"}}`)
	code, _, stderr := run(t, "state", "stats", "--config", file)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, stderr, `run "antwort state migrate"`)
	for range 2 {
		code, out, stderr := run(t, "state", "migrate", "--config", file)
		assert.Equal(t, exitOK, code, stderr)
		assert.Equal(t, "the tables have version 4\n", out)
	}
	code, out, stderr := run(t, "state", "stats", "--config", file)
	assert.Equal(t, exitOK, code, stderr)
	assert.Contains(t, out, "postgres")
}
