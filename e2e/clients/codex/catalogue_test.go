package codex

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// catalogue writes Codex's own entry for one of OpenAI's models, under the name
// of the mock's model, and returns the line of the configuration that has Codex
// use it. Only the instructions are replaced, which are long.
func (s *session) catalogue(of string) string {
	s.t.Helper()
	var catalogue struct {
		Models []map[string]any `json:"models"`
	}
	require.NoError(s.t, json.Unmarshal(ownCatalogue(s.t), &catalogue))
	for _, model := range catalogue.Models {
		if model["slug"] == of {
			model["slug"], model["base_instructions"], model["model_messages"] = "/mnt/models", "You are a coding agent.", nil
			b, err := json.Marshal(map[string]any{"models": []any{model}})
			require.NoError(s.t, err)
			s.write("catalogue.json", string(b))
			return "model_catalog_json=" + s.path("catalogue.json")
		}
	}
	s.t.Fatalf("codex knows no model %s", of)
	return ""
}

func ownCatalogue(t *testing.T) []byte {
	t.Helper()
	cmd := exec.Command(filepath.Join("..", "node", "node_modules", ".bin", "codex"), "debug", "models")
	cmd.Env = append(cmd.Environ(), "CODEX_HOME="+t.TempDir())
	out, err := cmd.Output()
	require.NoError(t, err)
	return out
}
