package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"antwort/server/configfile"
	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// each runs check on what every folder makes.
func each(t *testing.T, check func(t *testing.T, folder string, all []Object)) {
	if _, err := exec.LookPath("kubectl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("kubectl is missing")
		}
		t.Skip("kubectl is missing")
	}
	folders, err := Folders()
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, folder := range folders {
		t.Run(folder, func(t *testing.T) {
			all, err := Build(folder)
			require.NoError(t, err)
			check(t, folder, all)
		})
	}
}

func TestSchemas(t *testing.T) {
	schemas, err := LoadSchemas()
	require.NoError(t, err)
	each(t, func(t *testing.T, _ string, all []Object) {
		for _, o := range all {
			assert.NoError(t, schemas.Check(o), o)
		}
	})

	t.Run("find mistakes", func(t *testing.T) {
		for name, o := range map[string]Object{
			"unknown kind":           {"apiVersion": "v1", "kind": "Pot"},
			"unknown field":          {"apiVersion": "v1", "kind": "Service", "spec": map[string]any{"port": 1}},
			"unknown field of a CRD": {"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": map[string]any{"uri": "oci://x"}},
			"wrong enum of a CRD":    {"apiVersion": "extensions.istio.io/v1alpha1", "kind": "WasmPlugin", "spec": map[string]any{"url": "oci://x", "phase": "NOPE"}},
			"wrong type":             {"apiVersion": "apps/v1", "kind": "Deployment", "spec": map[string]any{"replicas": "one"}},
		} {
			assert.Error(t, schemas.Check(o), name)
		}
	})
}

// antwort's own pods run under the restricted pod security standard, and
// OpenShift's restricted-v2, which chooses user and group itself.
func TestPods(t *testing.T) {
	each(t, func(t *testing.T, folder string, all []Object) {
		for _, o := range all {
			pod, _ := o.at("spec", "template", "spec").(map[string]any)
			if kind := o.text("kind"); kind != "Deployment" && kind != "StatefulSet" || pod == nil {
				continue
			}
			containers := pod["containers"].([]any)
			c := Object(containers[0].(map[string]any))
			image := c.text("image")
			if image == "auto" { // istiod fills it in
				continue
			}
			p := Object(pod)
			assert.Equal(t, "RuntimeDefault", p.text("securityContext", "seccompProfile", "type"), o)
			assert.Equal(t, false, c.at("securityContext", "allowPrivilegeEscalation"), o)
			assert.Equal(t, []any{"ALL"}, c.at("securityContext", "capabilities", "drop"), o)
			assert.Equal(t, false, p["enableServiceLinks"], o)
			assert.Equal(t, false, p["automountServiceAccountToken"], o)
			assert.NotNil(t, c.at("resources", "requests", "memory"), o)
			assert.NotNil(t, c.at("resources", "limits", "memory"), o)
			assert.NotNil(t, c["readinessProbe"], o)
			assert.NotNil(t, c["livenessProbe"], o)
			if o.text("kind") == "StatefulSet" { // the database for a try
				assert.Equal(t, true, p.at("securityContext", "runAsNonRoot"), o)
				assert.Equal(t, true, c.at("securityContext", "readOnlyRootFilesystem"), o)
				assert.Regexp(t, `^docker\.io/library/postgres:\d+\.\d+-\w+$`, image, "%s: one version", o)
				continue
			}
			fields := []string{"runAsUser", "runAsGroup", "fsGroup"}
			if len(claims(p)) > 0 && o.String() == "Deployment/antwort-backend" {
				fields = fields[:2] // whose group a volume is, the README says
			}
			for _, at := range []Object{p, c} {
				for _, field := range fields {
					assert.Nil(t, at.at("securityContext", field), "%s: %s would be refused by restricted-v2", o, field)
				}
			}
			if image != "vllm" && !strings.Contains(image, "vllm/") {
				assert.Equal(t, true, p.at("securityContext", "runAsNonRoot"), o)
				assert.Equal(t, true, c.at("securityContext", "readOnlyRootFilesystem"), o)
				assert.Regexp(t, `(^|/)antwort[:@]`, image, o)
			}
		}
	})
}

// A pod that leaves has time for its running answers.
func TestGracePeriod(t *testing.T) {
	each(t, func(t *testing.T, _ string, all []Object) {
		for _, o := range all {
			args := ""
			if list, ok := o.at("spec", "template", "spec", "containers").([]any); ok {
				args = strings.Join(texts(Object(list[0].(map[string]any))["args"]), " ")
			}
			if !strings.Contains(args, "--config=") {
				continue
			}
			pod := Object(o.at("spec", "template", "spec").(map[string]any))
			container := Object(pod["containers"].([]any)[0].(map[string]any))
			cfg := configOf(t, all, pod)
			sleep, _ := container.at("lifecycle", "preStop", "sleep", "seconds").(int)
			grace, _ := pod["terminationGracePeriodSeconds"].(int)
			assert.Positive(t, sleep, "%s: a pod must go on accepting until all nodes know that it leaves", o)
			assert.Greater(t, time.Duration(grace-sleep)*time.Second, cfg.drain, o)
			if len(claims(pod)) > 0 {
				assert.Equal(t, map[string]any{"type": "Recreate"}, o.at("spec", "strategy"), "%s: one pod has the volume", o)
				continue
			}
			assert.Equal(t, 0, o.at("spec", "strategy", "rollingUpdate", "maxUnavailable"), o)
		}
	})
}

// claims are the names of the claims that a pod mounts.
func claims(pod Object) (names []string) {
	volumes, _ := pod["volumes"].([]any)
	for _, v := range volumes {
		if name := Object(v.(map[string]any)).text("persistentVolumeClaim", "claimName"); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// configured is what the tests look at in a configuration.
type configured struct {
	drain         time.Duration
	state, folder string // where responses are kept, and in which folder, if it is one
	dsn           string // file with the database's URL
	translates    bool
	auth          []config.APIKey
	key           string // file with the key for the backend
}

// configOf is the configuration that a pod of this list mounts, with what its
// environment says.
func configOf(t *testing.T, all []Object, pod Object) configured {
	t.Helper()
	for _, v := range os.Environ() { // of the pod before
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "ANTWORT_") {
			t.Setenv(name, "")
		}
	}
	container := Object(pod["containers"].([]any)[0].(map[string]any))
	variables, _ := container["env"].([]any)
	for _, v := range variables {
		if v := Object(v.(map[string]any)); strings.HasPrefix(v.text("name"), "ANTWORT_") {
			t.Setenv(v.text("name"), v.text("value"))
		}
	}
	for _, v := range pod["volumes"].([]any) {
		name := Object(v.(map[string]any)).text("configMap", "name")
		for _, o := range all {
			if name != "" && o.text("kind") == "ConfigMap" && o.text("metadata", "name") == name {
				file := filepath.Join(t.TempDir(), "config.yaml")
				require.NoError(t, os.WriteFile(file, []byte(o.text("data", "config.yaml")), 0o600))
				c, err := configfile.LoadUnresolved(file)
				require.NoError(t, err, name)
				return configured{c.Server.DrainTimeout, c.StateType(), filepath.Dir(c.State.SQLite.Path), c.State.Postgres.DSNFile, c.Translates(), c.Auth.APIKeys, c.Engine.APIKeyFile}
			}
		}
	}
	t.Fatal("the pod mounts no configuration of these")
	return configured{}
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i := range list {
		out[i], _ = list[i].(string)
	}
	return out
}

// Names, labels and connections are those of the quickstart.
func TestQuickstart06(t *testing.T) {
	all, err := Build("quickstarts/06-responses-proxy/base")
	require.NoError(t, err)
	var got []string
	for _, o := range all {
		got = append(got, o.String())
		assert.Empty(t, o.text("metadata", "namespace"), "%s: the user chooses the namespace", o)
		assert.Equal(t, "antwort", o.text("metadata", "labels", "app.kubernetes.io/part-of"), o)
		switch o.text("kind") {
		case "Deployment":
			assert.Equal(t, 1, o.at("spec", "replicas"), o)
		case "Service":
			port := Object(o.at("spec", "ports").([]any)[0].(map[string]any))
			assert.Equal(t, 8080, port["port"], o)
			assert.Contains(t, []any{nil, "ClusterIP"}, o.at("spec", "type"), o)
		}
	}
	assert.ElementsMatch(t, []string{
		"ConfigMap/antwort-backend-config", "ConfigMap/antwort-frontend-config",
		"Deployment/antwort-backend", "Deployment/antwort-frontend",
		"Service/antwort-backend", "Service/antwort-frontend", "NetworkPolicy/antwort-backend", "NetworkPolicy/antwort-frontend",
		"PodDisruptionBudget/antwort-backend", "PodDisruptionBudget/antwort-frontend",
	}, got)
	for name, want := range map[string][2]string{
		"antwort-backend-config":  {"vllm", "http://llm-predictor.llm-serving.svc.cluster.local:8080"},
		"antwort-frontend-config": {"vllm-responses", "http://antwort-backend:8080"},
	} {
		for _, o := range all {
			if o.text("metadata", "name") == name {
				text := o.text("data", "config.yaml")
				assert.Regexp(t, `(?m)^  provider: `+want[0]+`$`, text, name)
				assert.Regexp(t, `(?m)^  backend_url: `+regexp.QuoteMeta(want[1])+`$`, text, name)
			}
		}
	}
}

func TestBackendIsForItsCallers(t *testing.T) {
	for folder, caller := range map[string]map[string]any{
		"base":          {"app.kubernetes.io/name": "antwort-frontend"},
		"two-backends":  {"app.kubernetes.io/name": "antwort-frontend"},
		"sqlite":        {"app.kubernetes.io/name": "antwort-frontend"},
		"postgres":      {"app.kubernetes.io/name": "antwort-frontend"},
		"owners":        {"app.kubernetes.io/name": "antwort-frontend"},
		"openshift":     {"app.kubernetes.io/name": "antwort-frontend"},
		"istio":         {"gateway.networking.k8s.io/gateway-name": "antwort-frontend"},
		"istio-owners":  {"gateway.networking.k8s.io/gateway-name": "antwort-frontend"},
		"istio-gated":   {"gateway.networking.k8s.io/gateway-name": "antwort-frontend"},
		"istio-classic": {"istio": "antwort-frontend"},
	} {
		t.Run(folder, func(t *testing.T) {
			all, err := Build("quickstarts/06-responses-proxy/" + folder)
			require.NoError(t, err)
			found := false
			for _, o := range all {
				if o.String() == "NetworkPolicy/antwort-backend" {
					found = true
					first := o.at("spec", "ingress").([]any)[0].(map[string]any)["from"].([]any)[0].(map[string]any)
					assert.Equal(t, caller, Object(first).at("podSelector", "matchLabels"))
				}
			}
			assert.True(t, found, "there is no NetworkPolicy")
		})
	}
}
