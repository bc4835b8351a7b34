package cluster

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// evict asks for a pod to go, as kubectl drain does.
func evict(pod string) error {
	cmd := exec.Command("kubectl", "create", "--raw", "/api/v1/namespaces/antwort/pods/"+pod+"/eviction", "-f", "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":"antwort"}}`, pod))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// One of two backends is drained away while the other serves; both at once may
// not go.
func TestOneOfTwoBackendsIsDrained(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/two-backends", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	pods := strings.Fields(kubectl(t, "get", "pods", "-n", "antwort", "-l", "app.kubernetes.io/name=antwort-backend", "-o", "jsonpath={.items[*].metadata.name}"))
	if len(pods) != 2 {
		t.Fatalf("expected two backends, got %v", pods)
	}
	if err := evict(pods[0]); err != nil {
		t.Fatal(err)
	}
	if err := evict(pods[1]); err == nil || !strings.Contains(err.Error(), "disruption budget") {
		t.Errorf("expected the budget to keep the second backend, got %v", err)
	}
	for i := range 50 {
		if status, body, err := post(url, capital); err != nil || status != 200 {
			t.Errorf("request %d while a backend goes: status %d, %v: %s", i, status, err, body)
		}
	}
	ready(t, "antwort", "antwort-backend")
}
