// Package controlplane is the module of Kubernetes and Istio: the cluster's
// programs are built from it, and the manifests are shown to Istio's own code.
package controlplane

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"istio.io/istio/pkg/config/analysis/analyzers"
	"istio.io/istio/pkg/config/analysis/local"
	"istio.io/istio/pkg/config/resource"
	istiolog "istio.io/istio/pkg/log"
	"istio.io/istio/pkg/wasm"
)

const root = "../../.."

func TestMain(m *testing.M) {
	for _, scope := range istiolog.Scopes() {
		scope.SetOutputLevel(istiolog.ErrorLevel)
	}
	os.Exit(m.Run())
}

// analyze is istioctl analyze --use-kube=false.
func analyze(t *testing.T, manifests string) []string {
	t.Helper()
	sa := local.NewIstiodAnalyzer(analyzers.AllCombined(), resource.Namespace("antwort"), resource.Namespace("istio-system"), nil)
	if err := sa.AddDefaultResources(); err != nil {
		t.Fatal(err)
	}
	if err := sa.AddTestReaderKubeSource([]local.ReaderSource{{Name: "manifests", Reader: strings.NewReader(manifests)}}); err != nil {
		return []string{err.Error()}
	}
	result, err := sa.Analyze(make(chan struct{}))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range result.Messages {
		all = append(all, m.String())
	}
	return all
}

func kustomize(t *testing.T, folder string) string {
	t.Helper()
	out, err := exec.Command("kubectl", "kustomize", filepath.Join(root, folder)).Output()
	if err != nil {
		t.Fatalf("kubectl kustomize %s: %v", folder, err)
	}
	return string(out)
}

func TestIstioFindsNothing(t *testing.T) {
	for _, folder := range []string{
		"istio/inline", "istio/gated", "istio/classic", "istio/vllm", "istio/authentication", "istio/routes",
		"quickstarts/06-responses-proxy/istio", "quickstarts/06-responses-proxy/istio-gated", "quickstarts/06-responses-proxy/istio-classic",
		"quickstarts/07-istio-filter",
	} {
		t.Run(folder, func(t *testing.T) {
			for _, message := range analyze(t, kustomize(t, folder)) {
				if !expected(folder, message) {
					t.Error(message)
				}
			}
		})
	}
}

// expected are messages about what is not in the folder (the pieces name
// Services that are applied with something else), and the warning that every
// EnvoyFilter gets.
func expected(folder, message string) bool {
	return !strings.Contains(folder, "06-") && strings.Contains(message, "IST0101") ||
		strings.Contains(message, "EnvoyFilter exposes internal implementation details")
}

func TestIstioFindsMistakes(t *testing.T) {
	good := kustomize(t, "quickstarts/06-responses-proxy/istio-classic")
	for name, change := range map[string][2]string{
		"a gateway that is not there": {"gateways:\n  - antwort-frontend", "gateways:\n  - nobody"},
		"a Service that is not there": {"host: antwort-backend\n        port", "host: nobody\n        port"},
		"an unknown field":            {"failStrategy:", "failStrategie:"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, change[0], change[1], 1)
			if bad == good {
				t.Fatalf("there is no %q to change", change[0])
			}
			if found := analyze(t, bad); len(found) == 0 {
				t.Error("Istio found nothing wrong")
			}
		})
	}
}

// Istio's own fetcher takes the module out of both forms of the image, and
// refuses another digest.
func TestIstioFetchesTheFilter(t *testing.T) {
	filter, err := filepath.Abs(filepath.Join(root, "bin/filter.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filter)
	if err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	dir := t.TempDir()
	build := exec.Command("go", "run", ".", "filter", "-out", dir, "-filter", filter)
	build.Dir = filepath.Join(root, "e2e/images")
	build.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-trimpath -buildvcs=false") // as make test-manifests has it
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("images filter: %v: %s", err, out)
	}
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	for _, image := range []string{"antwort-filter", "antwort-filter-oci"} {
		t.Run(image, func(t *testing.T) {
			digest := pushLayout(t, filepath.Join(dir, image), host+"/team/"+image+":v1")
			for form, url := range map[string]string{"tag": ":v1", "digest": "@" + digest} {
				cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{PurgeInterval: time.Hour, ModuleExpiry: time.Hour, HTTPRequestMaxRetries: 1})
				defer cache.Cleanup()
				file, err := cache.Get("oci://"+host+"/team/"+image+url, wasm.GetOptions{RequestTimeout: 10 * time.Second, Checksum: strings.TrimPrefix(digest, "sha256:")})
				if err != nil {
					t.Fatalf("by %s: %v", form, err)
				}
				got, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Errorf("by %s: got %d bytes, want the %d of the filter", form, len(got), len(want))
				}
			}
			cache := wasm.NewLocalFileCache(t.TempDir(), wasm.Options{PurgeInterval: time.Hour, ModuleExpiry: time.Hour, HTTPRequestMaxRetries: 1})
			defer cache.Cleanup()
			if _, err := cache.Get("oci://"+host+"/team/"+image+":v1", wasm.GetOptions{RequestTimeout: 10 * time.Second, Checksum: strings.Repeat("0", 64)}); err == nil {
				t.Error("another digest was accepted")
			}
		})
	}
}

// pushLayout pushes the only image of a layout and returns its digest.
func pushLayout(t *testing.T, dir, to string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	digest := manifest.Manifests[0].Digest
	img, err := index.Image(digest)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(to)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, img); err != nil {
		t.Fatal(err)
	}
	return digest.String()
}
