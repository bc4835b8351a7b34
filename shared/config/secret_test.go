package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSecretNeverPrintsItself(t *testing.T) {
	s := NewSecret("HUSH")
	assert.Equal(t, "[redacted]", s.String())
	assert.Equal(t, "HUSH", s.Reveal())

	c := Default()
	c.Engine.APIKey = s
	hidden := struct{ inside Config }{*c}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%p", "%t"} {
		for _, value := range []any{s, &s, *c, c, c.Engine, hidden, []Secret{s}, map[string]Secret{"a": s}} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
	}
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	out.Write(encoded)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", s, "config", c)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", s, "config", c)
	assert.NotContains(t, out.String(), "HUSH")
	assert.NotContains(t, out.String(), fmt.Sprintf("%x", "HUSH"))
	assert.Contains(t, out.String(), `"APIKey":"[redacted]"`)
}

func TestNoSecret(t *testing.T) {
	for _, s := range []Secret{{}, NewSecret("")} {
		assert.False(t, s.IsSet())
		assert.Empty(t, s.String())
		assert.Empty(t, s.Reveal())
	}
}
