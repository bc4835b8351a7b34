package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func setConfig(t *testing.T, tier, text string) {
	t.Helper()
	patch := fmt.Sprintf(`{"data":{"config.yaml":%q}}`, text)
	kubectl(t, "patch", "configmap", "-n", "antwort", "antwort-"+tier+"-config", "--type=merge", "-p", patch)
}

func uids(t *testing.T, name string) string {
	t.Helper()
	return kubectl(t, "get", "pods", "-n", "antwort", "-l", "app.kubernetes.io/name="+name, "-o", "jsonpath={.items[*].metadata.uid}/{.items[*].status.containerStatuses[*].restartCount}")
}

// A changed ConfigMap reaches the running pod; a wrong one changes nothing and
// is told in the log.
func TestConfigurationChangesLive(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/base", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	for tier, config := range map[string]string{
		"frontend": "engine:\n  provider: vllm-responses\n  backend_url: http://%s:8080\n",
		"backend":  "engine:\n  provider: vllm\n  default_model: /mnt/models\n  backend_url: http://%s:8080\n",
	} {
		t.Run(tier, func(t *testing.T) {
			good := map[string]string{"frontend": "antwort-backend", "backend": "llm-predictor.llm-serving.svc.cluster.local"}[tier]
			before := uids(t, "antwort-"+tier)

			setConfig(t, tier, "engine:\n  provdier: vllm\n")
			logs(t, "antwort", "antwort-"+tier, "provdier", "did you mean")
			works(t, url)

			start := time.Now()
			setConfig(t, tier, fmt.Sprintf(config, "nowhere"))
			fails(t, url, 503, "upstream_unavailable")
			t.Logf("in force %.1f s after the change", time.Since(start).Seconds())

			setConfig(t, tier, fmt.Sprintf(config, good))
			works(t, url)
			if after := uids(t, "antwort-"+tier); after != before {
				t.Errorf("expected the same pod without a restart, had %s, have %s", before, after)
			}
		})
	}
}

// What the README's table says is what a user sees.
func TestTrouble(t *testing.T) {
	llm(t)
	const base = "quickstarts/06-responses-proxy/base"
	const image = `{"spec":{"template":{"spec":{"containers":[{"name":"antwort","image":"registry.test/team/none:v1"}]}}}}`
	deploy(t, base, "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	mend := func(t *testing.T) {
		kubectl(t, "apply", "-k", base, "-n", "antwort")
		ready(t, "antwort", "antwort-backend", "antwort-frontend")
		works(t, url)
	}

	t.Run("wrong image", func(t *testing.T) {
		forget(t)
		kubectl(t, "patch", "deployment", "-n", "antwort", "antwort-backend", "-p", image)
		event(t, "antwort", "Failed to pull image", "registry.test/team/none:v1", "not found")
		works(t, url) // the old pod stays
		mend(t)
	})
	t.Run("missing ConfigMap", func(t *testing.T) {
		forget(t)
		kubectl(t, "delete", "configmap", "-n", "antwort", "antwort-backend-config")
		kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/antwort-backend")
		event(t, "antwort", "FailedMount", `configmap "antwort-backend-config" not found`)
		works(t, url)
		mend(t)
	})
	t.Run("wrong configuration", func(t *testing.T) {
		forget(t)
		setConfig(t, "backend", "engine:\n  provdier: vllm\n")
		kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/antwort-backend")
		event(t, "antwort", "Back-off restarting failed container antwort", "antwort-backend")
		logs(t, "antwort", "antwort-backend", "]   /etc/antwort/config.yaml:2:3: engine.provdier", "did you mean engine.provider?")
		works(t, url)
		mend(t)
	})
	t.Run("wrong namespace", func(t *testing.T) {
		out, err := try("apply", "-k", base, "-n", "nobody")
		if err == nil || !strings.Contains(out, `namespaces "nobody" not found`) {
			t.Errorf("expected namespaces \"nobody\" not found, got %v: %s", err, out)
		}
	})
	t.Run("no LLM", func(t *testing.T) {
		forget(t)
		kubectl(t, "delete", "-k", "quickstarts/shared/llm-backend/mock")
		fails(t, url, 503, "upstream_unavailable")
		kubectl(t, "rollout", "restart", "-n", "antwort", "deployment/antwort-backend")
		logs(t, "antwort", "antwort-backend", "no contact with the upstream yet", "llm-predictor")
		event(t, "antwort", "Readiness probe failed", "503", "antwort-backend")
		llm(t)
		ready(t, "antwort", "antwort-backend", "antwort-frontend")
		works(t, url)
	})
	t.Run("no backend", func(t *testing.T) {
		kubectl(t, "scale", "deployment", "-n", "antwort", "antwort-backend", "--replicas=0")
		fails(t, url, 503, "upstream_unavailable")
		kubectl(t, "scale", "deployment", "-n", "antwort", "antwort-backend", "--replicas=1")
		works(t, url)
	})
}
