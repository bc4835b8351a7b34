package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"antwort/e2e/checkout"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Where responses are kept, what is kept there is reached by all pods that have
// to, and outlives what it has to.
func TestState(t *testing.T) {
	each(t, func(t *testing.T, folder string, all []Object) {
		for _, o := range all {
			pod := Object{}
			if m, ok := o.at("spec", "template", "spec").(map[string]any); ok {
				pod = m
			}
			list, _ := pod["containers"].([]any)
			if len(list) == 0 || !strings.HasPrefix(strings.Join(texts(Object(list[0].(map[string]any))["args"]), " "), "serve --config=") {
				continue
			}
			cfg := configOf(t, all, pod)
			require.True(t, cfg.translates, o)
			want := map[string]string{"two-backends": "none", "sqlite": "sqlite", "postgres": "postgres"}[filepath.Base(folder)]
			if want == "" {
				want = "memory"
			}
			assert.Equal(t, want, cfg.state, o)
			switch cfg.state {
			case "memory":
				assert.Equal(t, 1, o.at("spec", "replicas"), "%s: another one would not know what this one keeps", o)
				assert.Empty(t, claims(pod), o)
			case "sqlite":
				assert.Equal(t, 1, o.at("spec", "replicas"), o)
				require.Len(t, claims(pod), 1, o)
				claim := named(t, all, "PersistentVolumeClaim/"+claims(pod)[0])
				assert.Equal(t, []any{"ReadWriteOnce"}, claim.at("spec", "accessModes"))
				assert.Equal(t, "antwort", claim.text("metadata", "labels", "app.kubernetes.io/part-of"))
				volume := mounted(t, pod, cfg.folder)
				assert.Equal(t, claims(pod)[0], volume.text("persistentVolumeClaim", "claimName"))
			case "postgres":
				assert.Equal(t, "antwort-postgres", mounted(t, pod, filepath.Dir(cfg.dsn)).text("secret", "secretName"))
			}
		}
	})
}

// mounted is the volume that a pod's container has at this path.
func mounted(t *testing.T, pod Object, path string) Object {
	t.Helper()
	for _, m := range Object(pod["containers"].([]any)[0].(map[string]any))["volumeMounts"].([]any) {
		m := Object(m.(map[string]any))
		if m.text("mountPath") != path {
			continue
		}
		for _, v := range pod["volumes"].([]any) {
			if v := Object(v.(map[string]any)); v.text("name") == m.text("name") {
				return v
			}
		}
	}
	t.Fatalf("nothing is mounted at %s", path)
	return nil
}

// The components go together: owners with each of the stores, in either order.
func TestComponentsGoTogether(t *testing.T) {
	for _, components := range [][]string{{"owners", "sqlite"}, {"sqlite", "owners"}, {"owners", "postgres"}, {"postgres", "owners"}} {
		dir, err := os.MkdirTemp(filepath.Join(checkout.Root(), "quickstarts", "06-responses-proxy"), ".together")
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
		text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../base]\ncomponents: [../components/" + strings.Join(components, ", ../components/") + "]\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o600))
		rel, err := filepath.Rel(checkout.Root(), dir)
		require.NoError(t, err)
		all, err := Build(rel)
		require.NoError(t, err)
		checkOwners(t, all)
		store := strings.Replace(strings.Join(components, ""), "owners", "", 1)
		cfg := configOf(t, all, Object(named(t, all, "Deployment/antwort-backend").at("spec", "template", "spec").(map[string]any)))
		assert.Equal(t, store, cfg.state)
	}
}

func TestOwners(t *testing.T) {
	all, err := Build("quickstarts/06-responses-proxy/owners")
	require.NoError(t, err)
	checkOwners(t, all)
}

// checkOwners finds that the frontend asks for keys, that the backend believes
// its key and no other, and that each has the keys it needs and no more.
func checkOwners(t *testing.T, all []Object) {
	t.Helper()
	const folder = "/etc/antwort-keys"
	pod := func(tier string) Object {
		return Object(named(t, all, "Deployment/antwort-"+tier).at("spec", "template", "spec").(map[string]any))
	}
	frontend, backend := configOf(t, all, pod("frontend")), configOf(t, all, pod("backend"))
	assert.Equal(t, folder+"/frontend", frontend.key)
	require.Len(t, frontend.auth, 2)
	owners := map[string]bool{}
	for _, k := range frontend.auth {
		assert.Equal(t, folder, filepath.Dir(k.KeyFile))
		assert.NotEqual(t, frontend.key, k.KeyFile, "a caller would speak for everybody")
		assert.False(t, k.Delegate)
		owners[k.Tenant] = true
	}
	assert.Len(t, owners, 2)
	require.Len(t, backend.auth, 1)
	assert.Equal(t, frontend.key, backend.auth[0].KeyFile)
	assert.True(t, backend.auth[0].Delegate)

	secret := mounted(t, pod("frontend"), folder)
	assert.Equal(t, "antwort-keys", secret.text("secret", "secretName"))
	secret = mounted(t, pod("backend"), folder)
	assert.Equal(t, "antwort-keys", secret.text("secret", "secretName"))
	assert.Equal(t, []any{map[string]any{"key": "frontend", "path": "frontend"}}, secret.at("secret", "items"), "the callers' keys are not the backend's business")
}
