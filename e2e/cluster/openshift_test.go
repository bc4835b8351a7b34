package cluster

import (
	"strings"
	"testing"
)

// OpenShift gives every pod of a namespace a user id of its own, with the root
// group, and knows Routes. There is no router here.
func TestOpenShift(t *testing.T) {
	llm(t)
	kubectl(t, "apply", "-f", "routes.crd.yaml")
	const folder = "quickstarts/06-responses-proxy/openshift"
	deploy(t, folder, "antwort", "antwort-backend", "antwort-frontend")
	if got := kubectl(t, "get", "route", "antwort-frontend", "-n", "antwort", "-o", "jsonpath={.spec.tls.termination} {.spec.to.name}"); got != "edge antwort-frontend" {
		t.Errorf("expected an edge route to antwort-frontend, got %s", got)
	}
	for _, d := range []string{"antwort-backend", "antwort-frontend"} {
		kubectl(t, "patch", "deployment", "-n", "antwort", d, "-p",
			`{"spec":{"template":{"spec":{"securityContext":{"runAsUser":1000680000,"runAsGroup":0,"fsGroup":1000680000}}}}}`)
	}
	ready(t, "antwort", "antwort-backend", "antwort-frontend")
	works(t, service(t, "antwort", "antwort-frontend"))
	users := kubectl(t, "get", "pods", "-n", "antwort", "-o", "jsonpath={.items[*].spec.securityContext.runAsUser}")
	if !strings.Contains(users, "1000680000") {
		t.Errorf("expected pods of user 1000680000, got %s", users)
	}
}
