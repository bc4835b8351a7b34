package envoyrun

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// program makes a shell script.
func program(t *testing.T, name, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	return path
}

func TestFind(t *testing.T) {
	path := program(t, "envoy", "exit")
	t.Run("named", func(t *testing.T) {
		got, err := Find(path)
		require.NoError(t, err)
		assert.Equal(t, path, got)
	})
	t.Run("named but not there", func(t *testing.T) {
		_, err := Find(filepath.Join(t.TempDir(), "no-envoy"))
		require.ErrorContains(t, err, "--envoy or ENVOY")
		require.ErrorContains(t, err, "no-envoy")
	})
	t.Run("on the PATH", func(t *testing.T) {
		t.Setenv("PATH", filepath.Dir(path))
		got, err := Find("")
		require.NoError(t, err)
		assert.Equal(t, path, got)
	})
	t.Run("nowhere", func(t *testing.T) {
		t.Setenv("PATH", t.TempDir())
		_, err := Find("")
		require.ErrorContains(t, err, "make envoy")
		require.ErrorContains(t, err, "--envoy PATH")
	})
}

func TestCheck(t *testing.T) {
	version := func(v string) string { return "echo; echo 'envoy  version: 9e55/" + v + "/Clean/RELEASE/BoringSSL'" }
	for name, c := range map[string]struct {
		script, profile  string
		backends         int // of a route
		version, problem string
	}{
		"new":                      {version("1.40.0"), config.Gated, 2, "1.40.0", ""},
		"development":              {version("1.41.0-dev"), config.Gated, 2, "1.41.0-dev", ""},
		"old but inline":           {version("1.34.2"), config.Inline, 1, "1.34.2", ""},
		"old and gated":            {version("1.34.2"), config.Gated, 1, "", "filter.profile: "},
		"old and several backends": {version("1.35.3"), config.Gated, 2, "", "several backends of a route need 1.36 or later"},
		"too old":                  {version("1.31.0"), config.Inline, 1, "", "the filter needs 1.33 or later"},
		"next major":               {version("2.0.0"), config.Gated, 2, "2.0.0", ""},
		"another program":          {"echo hello", config.Inline, 1, "", `is no Envoy: its --version says "hello"`},
		"does not run":             {"echo broken; exit 3", config.Inline, 1, "", "does not run on this machine: exit status 3: broken"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Filter.Profile = c.profile
			cfg.Routes = []config.Route{{Name: "a", Backends: make([]config.Backend, c.backends)}}
			got, err := Check(t.Context(), program(t, "envoy", c.script), cfg)
			if c.problem != "" {
				require.ErrorContains(t, err, c.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.version, got)
			assert.Equal(t, !strings.HasPrefix(got, "1.34"), keeps(got))
		})
	}
}
