package cluster

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"antwort/shared/streamcheck"
)

const readme06 = "quickstarts/06-responses-proxy/README.md"

// The README's own code blocks, in the order of a user who follows it.
func TestQuickstart06(t *testing.T) {
	user := openShell(t)
	llmReadme := openReadme(t, "quickstarts/shared/llm-backend/README.md")
	user.run(llmReadme.blocks(t, "Deploy")[0].text)
	test := llmReadme.blocks(t, "Test")
	forwarded(t, user, test[0].text, "http://localhost:8082/v1/models")
	if got := user.run(test[1].text); got != strings.TrimSpace(test[2].text) {
		t.Errorf("expected %s, got %s", test[2].text, got)
	}

	doc := openReadme(t, readme06)
	start := time.Now()
	user.run(doc.blocks(t, "Deploy")[0].text)
	t.Logf("namespace, apply and both rollouts: %.1f s", time.Since(start).Seconds())
	chain(t, user, doc)

	direct := doc.blocks(t, "Direct Backend Test (optional)")
	forwarded(t, user, direct[0].text, "http://localhost:8081/healthz")
	same(t, user.run(direct[1].text), doc.blocks(t, "Basic Text Completion (through proxy)")[2].text)

	user.run(doc.blocks(t, "Cleanup")[0].text)
	nothingLeft(t, "antwort")
}

// chain runs the blocks that go through the frontend.
func chain(t *testing.T, user *shell, doc readme) {
	t.Helper()
	basic := doc.blocks(t, "Basic Text Completion (through proxy)")
	forwarded(t, user, basic[0].text, "http://localhost:8080/v1/models")
	same(t, user.run(basic[1].text), basic[2].text)

	stream := user.run(doc.blocks(t, "Streaming (through proxy chain)")[0].text)
	for _, problem := range streamcheck.Check(strings.NewReader(stream + "\n\n")) {
		t.Error(problem)
	}
	if !strings.Contains(stream, `"text":"1, 2, 3, 4, 5"`) || !strings.Contains(stream, "event: response.completed") {
		t.Errorf("expected a completed count from 1 to 5, got:\n%s", stream)
	}
}

// forwarded runs a block that starts a port-forward, and waits for it as the
// user does who reads on.
func forwarded(t *testing.T, user *shell, text, url string) {
	t.Helper()
	user.run(text)
	eventually(t, 20*time.Second, func() error {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
		}
		return err
	})
}

// same compares JSON texts.
func same(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("expected JSON, got %q", got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("expected %s, got %s", want, got)
	}
}

func TestQuickstart01(t *testing.T) {
	llm(t)
	doc := openReadme(t, "quickstarts/01-single-backend/README.md")
	user := openShell(t)
	t.Cleanup(func() { remove(t, "quickstarts/01-single-backend", "antwort") })
	user.run("kubectl get namespace antwort >/dev/null 2>&1 || " + doc.blocks(t, "Deploy")[0].text)
	if _, err := try("get", "deployment/antwort-backend", "-n", "antwort"); err != nil { // the namespace was there
		_, rest, _ := strings.Cut(doc.blocks(t, "Deploy")[0].text, "\n")
		user.run(rest)
	}
	test := doc.blocks(t, "Test")
	forwarded(t, user, test[0].text, "http://localhost:8080/healthz")
	if got := user.run(test[1].text); got != strings.TrimSpace(test[2].text) {
		t.Errorf("expected %s, got %s", test[2].text, got)
	}
	user.run(doc.blocks(t, "Cleanup")[0].text)
	nothingLeft(t, "antwort")
}
