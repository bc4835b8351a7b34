package envoyrun

import (
	"slices"
	"strings"
)

// environment is what Envoy gets of this process's: what a program needs to run.
// Everything else may be a secret (any variable can be named by a *_env key), and
// Envoy would keep it for as long as it runs, where its memory and
// /proc/PID/environ show it.
func environment(all []string) []string {
	var kept []string
	for _, pair := range all {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(passedNames, name) || slices.ContainsFunc(passedPrefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			kept = append(kept, pair)
		}
	}
	return kept
}

var (
	passedNames = []string{
		"PATH", "HOME", "USER", "TMPDIR", "TZ", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD",
		"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", // an Envoy from PyPI may be a script
	}
	// The language, the C library's settings, those of Envoy's allocator.
	passedPrefixes = []string{"LC_", "GLIBC_", "MALLOC_", "TCMALLOC_"}
)
