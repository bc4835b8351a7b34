package cluster

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// tree is a copy of the repository's folders that users apply, told by make
// push where the images are.
var tree, kubeconfig = os.Getenv("ANTWORT_CLUSTER_TREE"), os.Getenv("KUBECONFIG")

func TestMain(m *testing.M) {
	if tree == "" {
		fmt.Println("these tests want a cluster: make e2e-cluster")
		return
	}
	os.Exit(m.Run())
}

// kubectl runs it and fails the test when it fails.
func kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func try(args ...string) (string, error) {
	cmd := exec.Command("kubectl", args...)
	cmd.Dir = tree
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return text, fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, text)
	}
	return text, nil
}

// eventually calls check until it returns nil.
func eventually(t *testing.T, limit time.Duration, check func() error) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := check()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > limit {
			t.Fatalf("not within %s: %v", limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// deploy applies a folder and waits for its Deployments; the end of the test
// deletes it and finds nothing left.
func deploy(t *testing.T, folder, namespace string, deployments ...string) {
	t.Helper()
	start := time.Now()
	if _, err := try("get", "namespace", namespace); err != nil {
		kubectl(t, "create", "namespace", namespace)
	}
	t.Cleanup(func() { remove(t, folder, namespace) })
	kubectl(t, "apply", "-k", folder, "-n", namespace)
	ready(t, namespace, deployments...)
	t.Logf("%s: all ready %.1f s after apply", folder, time.Since(start).Seconds())
}

func ready(t *testing.T, namespace string, deployments ...string) {
	t.Helper()
	for _, d := range deployments {
		// A gateway's Deployment is made by istiod.
		eventually(t, 30*time.Second, func() error { _, err := try("get", "-n", namespace, "deployment/"+d); return err })
		if out, err := try("rollout", "status", "-n", namespace, "deployment/"+d, "--timeout=60s"); err != nil {
			t.Fatalf("%s\n%s", out, describe(namespace))
		}
	}
}

func describe(namespace string) string {
	pods, _ := try("get", "pods", "-n", namespace, "-o", "wide")
	events, _ := try("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")
	lines := strings.Split(events, "\n")
	return pods + "\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func remove(t *testing.T, folder, namespace string) {
	t.Helper()
	kubectl(t, "delete", "-k", folder, "-n", namespace, "--ignore-not-found")
	nothingLeft(t, namespace)
}

// nothingLeft waits until the namespace holds only what every one has.
func nothingLeft(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		out, err := try("get", "all,configmap,persistentvolumeclaim,networkpolicy,poddisruptionbudget,serviceaccount,endpointslices", "-n", namespace, "-o", "name", "--ignore-not-found")
		if err != nil {
			return err
		}
		var left []string
		for _, name := range strings.Fields(out) {
			if name != "configmap/kube-root-ca.crt" && name != "configmap/istio-ca-root-cert" && name != "configmap/istio-ca-crl" && name != "serviceaccount/default" {
				left = append(left, name)
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("left in %s: %v", namespace, left)
		}
		return nil
	})
}

// llm makes sure that the stand-in for a model runs.
func llm(t *testing.T) {
	t.Helper()
	kubectl(t, "apply", "-k", "quickstarts/shared/llm-backend/mock")
	ready(t, "llm-serving", "llm-predictor")
}

// service is the URL of a Service at its ClusterIP.
func service(t *testing.T, namespace, name string) string {
	t.Helper()
	return "http://" + kubectl(t, "get", "service", "-n", namespace, name, "-o", "jsonpath={.spec.clusterIP}:{.spec.ports[?(@.port==8080)].port}")
}

// post sends a request and returns status and body.
func post(url, body string) (int, string, error) {
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

const capital = `{"model":"/mnt/models","input":"What is the capital of France? Answer in one sentence."}`

// works waits until the capital of France is known.
func works(t *testing.T, url string) time.Duration {
	t.Helper()
	return eventually(t, 60*time.Second, func() error {
		status, body, err := post(url, capital)
		if err != nil {
			return err
		}
		if status != 200 || !strings.Contains(body, "The capital of France is Paris.") {
			return fmt.Errorf("status %d: %s", status, body)
		}
		return nil
	})
}

// fails waits until requests are answered with this status and text.
func fails(t *testing.T, url string, status int, text string) string {
	t.Helper()
	var last string
	eventually(t, 60*time.Second, func() error {
		got, body, err := post(url, capital)
		if err != nil {
			return err
		}
		if last = body; got != status || !strings.Contains(body, text) {
			return fmt.Errorf("want %d with %q, got %d: %s", status, text, got, body)
		}
		return nil
	})
	t.Logf("%d %s", status, strings.TrimSpace(last))
	return last
}

// logs waits until a Deployment has logged all of these in one line.
func logs(t *testing.T, namespace, deployment string, words ...string) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		out, err := try("logs", "-n", namespace, "deployment/"+deployment, "--all-pods=true", "--tail=200", "--ignore-errors")
		if err != nil {
			return err
		}
		for _, line := range strings.Split(out, "\n") {
			if containsAll(line, words) {
				t.Log(line)
				return nil
			}
		}
		return fmt.Errorf("no line with %q in:\n%s", words, out)
	})
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// forget removes the events of earlier tests.
func forget(t *testing.T) {
	t.Helper()
	kubectl(t, "delete", "events", "--all", "-n", "antwort")
}

// event waits for an event with all of these words.
func event(t *testing.T, namespace string, words ...string) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		out, err := try("get", "events", "-n", namespace)
		if err != nil {
			return err
		}
		for _, line := range strings.Split(out, "\n") {
			if containsAll(line, words) {
				t.Log(line)
				return nil
			}
		}
		return fmt.Errorf("no event with %q:\n%s", words, out)
	})
}
