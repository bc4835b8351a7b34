package gateway_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy"
)

// emptyFilter is a module that only is one: it takes every configuration, and
// compiles at once.
func emptyFilter() []byte {
	section := func(id byte, content ...byte) []byte { return append([]byte{id, byte(len(content))}, content...) }
	export := func(name string, kind, index byte) []byte {
		return append(append([]byte{byte(len(name))}, name...), kind, index)
	}
	exports := []byte{3}
	exports = append(exports, export("memory", 2, 0)...)
	exports = append(exports, export("proxy_abi_version_0_2_1", 0, 0)...)
	exports = append(exports, export("proxy_on_memory_allocate", 0, 1)...)
	var module []byte
	for _, part := range [][]byte{
		[]byte("\x00asm\x01\x00\x00\x00"),
		section(1, 2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f), // types: func(), func(i32) i32
		section(3, 2, 0, 1),                               // functions of these types
		section(5, 1, 0, 1),                               // a page of memory
		section(7, exports...),
		section(10, 2, 2, 0, 0x0b, 5, 0, 0x41, 0x80, 0x08, 0x0b), // { }, { return 1024 }
	} {
		module = append(module, part...)
	}
	return module
}

// Real Envoy takes every configuration that the golden files hold.
func TestRenderedConfigurations(t *testing.T) {
	binary := envoy.Find(t)
	const golden = "../../../server/render/envoy/testdata"
	alone, err := filepath.Glob(golden + "/*/envoy.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, alone)
	for _, file := range alone {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { validate(t, binary, file) })
	}
}

// validate has Envoy check a configuration that finds filter.wasm beside it.
func validate(t *testing.T, binary, file string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	dir := t.TempDir()
	// The authorities' file is another one, or none, on other systems.
	roots, key := filepath.Join(dir, "roots.pem"), filepath.Join(dir, "key.pem")
	cert := certificate(t, "localhost")
	require.NoError(t, os.WriteFile(roots, cert.pem, 0o600))
	require.NoError(t, os.WriteFile(key, cert.key(t), 0o600))
	config := strings.NewReplacer("/etc/ssl/certs/ca-certificates.crt", roots, "/etc/antwort/tls.crt", roots, "/etc/antwort/tls.key", key,
		"/etc/antwort/backend/ca.crt", roots, "/etc/antwort/other/ca.crt", roots, "/etc/antwort/backend/tls.crt", roots, "/etc/antwort/backend/tls.key", key).
		Replace(string(text))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "envoy.yaml"), []byte(config), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "filter.wasm"), emptyFilter(), 0o600))
	cmd := exec.Command(binary, "--mode", "validate", "-c", "envoy.yaml", "--disable-hot-restart", "--log-level", "warning")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LLM_API_KEY=x", "BOBS_KEY=y", "REST_KEY=z", "BIG_KEY=z")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", file, out)
}
