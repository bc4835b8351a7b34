package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// gateways are the three forms of the quickstart's Istio folder.
var gateways = []string{"istio", "istio-classic", "istio-gated"}

// privileged lets Istio's own gateway pods in: they set no seccomp profile.
func privileged(t *testing.T, namespace string) {
	t.Helper()
	if _, err := try("get", "namespace", namespace); err != nil {
		kubectl(t, "create", "namespace", namespace)
	}
	kubectl(t, "label", "namespace", namespace, "--overwrite", "pod-security.kubernetes.io/enforce=baseline")
}

func TestIstio(t *testing.T) {
	llm(t)
	privileged(t, "antwort")
	doc := openReadme(t, readme06)
	for _, form := range gateways {
		t.Run(form, func(t *testing.T) {
			folder := "quickstarts/06-responses-proxy/" + form
			deploy(t, folder, "antwort", "antwort-backend", "antwort-frontend")
			url := service(t, "antwort", "antwort-frontend")
			t.Logf("first answer after another %.1f s", works(t, url).Seconds())
			chain(t, openShell(t), doc)
			if status, body, err := post(url+"/v1/elsewhere", capital); status != 404 {
				t.Errorf("an unknown path: %d %s %v", status, body, err)
			}
			overWebSocket(t, url)
			inPieces(t, url)
			metrics(t)
		})
	}
}

// overWebSocket takes two turns, the second of which continues the first, over one
// connection through the gateway: Istio lets its gateways upgrade by itself.
func overWebSocket(t *testing.T, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, answer, err := websocket.Dial(ctx, strings.Replace(url, "http", "ws", 1)+"/v1/responses", nil)
	if err != nil {
		t.Errorf("a WebSocket through the gateway: %v", err)
		return
	}
	if answer.Body != nil {
		defer answer.Body.Close()
	}
	defer c.CloseNow()
	c.SetReadLimit(1 << 20)
	var previous string
	for turn := range 2 {
		if err := c.Write(ctx, websocket.MessageText, []byte(`{"type":"response.create","model":"/mnt/models","store":false,"input":"What is the capital of France?"`+previous+`}`)); err != nil {
			t.Fatal(err)
		}
		for ended := false; !ended; {
			_, message, err := c.Read(ctx)
			if err != nil {
				t.Fatalf("turn %d over a WebSocket: %v", turn, err)
			}
			var event struct {
				Type     string
				Response struct{ ID string }
			}
			if err := json.Unmarshal(message, &event); err != nil {
				t.Fatalf("%v: %s", err, message)
			}
			switch event.Type {
			case "response.completed":
				ended, previous = true, `,"previous_response_id":"`+event.Response.ID+`"`
			case "error", "response.failed", "response.incomplete":
				t.Fatalf("turn %d over a WebSocket: %s", turn, message)
			}
		}
	}
	t.Log("two turns over a WebSocket")
}

// inPieces sees that the gateway reads as little of an answer at a time as the manifests
// say, since the filter holds its worker up with it, and that this holds up no request,
// however long.
func inPieces(t *testing.T, url string) {
	t.Helper()
	out := kubectl(t, "exec", "-n", "antwort", ofGateway(t, ".metadata.name"), "--", "pilot-agent", "request", "GET", "config_dump?resource=dynamic_active_clusters")
	var clusters struct {
		Configs []struct {
			Cluster struct {
				Name string `json:"name"`
				Most int    `json:"per_connection_buffer_limit_bytes"`
			}
		}
	}
	_, text, _ := strings.Cut(out, "\n{") // behind what the agent logs
	if err := json.Unmarshal([]byte("{"+text), &clusters); err != nil || len(clusters.Configs) == 0 {
		t.Fatalf("the gateway's clusters: %v: %.300s", err, out)
	}
	for _, c := range clusters.Configs {
		if c.Cluster.Most != 64<<10 {
			t.Errorf("cluster %s: want pieces of 64 KiB, got %d", c.Cluster.Name, c.Cluster.Most)
		}
	}
	long := `{"model":"/mnt/models","input":"` + strings.Repeat("word ", 4<<20) + `"}`
	if status, body, err := post(url, long); status != 400 || !strings.Contains(body, "context_length_exceeded") {
		t.Errorf("a request of 20 MiB: want the model's word that this is too long for it, got %d %.300s %v", status, body, err)
	}
}

// ofGateway is what its pod says at path.
func ofGateway(t *testing.T, path string) string {
	t.Helper()
	return kubectl(t, "get", "pods", "-n", "antwort", "-l", "gateway.networking.k8s.io/gateway-name=antwort-frontend", "-o", "jsonpath={.items[*]"+path+"}") +
		kubectl(t, "get", "pods", "-n", "antwort", "-l", "istio=antwort-frontend", "-o", "jsonpath={.items[*]"+path+"}")
}

// metrics are the filter's, where Prometheus finds them in a gateway.
func metrics(t *testing.T) {
	t.Helper()
	pod := ofGateway(t, ".status.podIP")
	eventually(t, 20*time.Second, func() error {
		out, err := exec.Command("curl", "-sS", "--max-time", "5", "http://"+pod+":15020/stats/prometheus").Output()
		if err == nil && !strings.Contains(string(out), "antwort_requests_total") {
			err = fmt.Errorf("no antwort_requests_total among %d bytes", len(out))
		}
		return err
	})
}

// The block of the README, and what happens to a running gateway.
func TestIstioPlugin(t *testing.T) {
	llm(t)
	privileged(t, "antwort")
	const folder = "quickstarts/06-responses-proxy/istio"
	user := openShell(t)
	t.Cleanup(func() { remove(t, folder, "antwort") })
	user.run(openReadme(t, readme06).blocks(t, "Istio")[0].text)
	url := service(t, "antwort", "antwort-frontend")
	works(t, url)
	patch := func(spec string) {
		t.Helper()
		kubectl(t, "patch", "wasmplugin", "-n", "antwort", "antwort-frontend", "--type=merge", "-p", `{"spec":`+spec+`}`)
	}
	image := kubectl(t, "get", "wasmplugin", "-n", "antwort", "antwort-frontend", "-o", "jsonpath={.spec.url}")
	repository, _, _ := strings.Cut(image, "@")

	t.Run("the other form of the image", func(t *testing.T) {
		patch(`{"url":"` + repository + `-oci:` + version(t) + `"}`)
		logs(t, "antwort", "antwort-frontend", "antwort-filter-oci")
		works(t, url)
	})
	t.Run("a changed configuration", func(t *testing.T) {
		start := time.Now()
		patch(`{"pluginConfig":{"limits":{"request_body_bytes":"1KiB"}}}`)
		big := `{"model":"/mnt/models","input":"` + strings.Repeat("x", 2048) + `"}`
		eventually(t, 30*time.Second, func() error {
			status, body, err := post(url, big)
			if status != 413 {
				return fmt.Errorf("want 413, got %d %s %v", status, body, err)
			}
			return nil
		})
		t.Logf("in force %.1f s after the change", time.Since(start).Seconds())
		patch(`{"pluginConfig":{"limits":null}}`)
		works(t, url)
	})
	t.Run("a wrong configuration", func(t *testing.T) {
		patch(`{"pluginConfig":{"engine":{"provdier":"vllm"}}}`)
		logs(t, "antwort", "antwort-frontend", "antwort: configuration", "provdier", "did you mean")
		status, body, err := post(url, capital)
		if err != nil || status != 200 {
			t.Errorf("the running gateway keeps the old one: want 200, got %d %s %v", status, body, err)
		}
		kubectl(t, "delete", "pod", "-n", "antwort", "-l", "gateway.networking.k8s.io/gateway-name=antwort-frontend")
		eventually(t, 90*time.Second, func() error { // a new one has no old one to keep
			if status, body, err = post(url, capital); err == nil && status != 500 {
				err = fmt.Errorf("a gateway that starts with a wrong configuration: want 500, got %d %s", status, body)
			}
			return err
		})
		patch(`{"pluginConfig":{"engine":{"provdier":null}}}`)
		works(t, url)
	})
	t.Run("a missing image", func(t *testing.T) {
		patch(`{"url":"` + repository + `:none"}`)
		fails(t, url, 403, "RBAC")
		logs(t, "antwort", "antwort-frontend", "cannot fetch Wasm module", "antwort-filter:none")
		patch(`{"url":"` + image + `"}`)
		works(t, url)
	})
	t.Run("a mistake in the manifest", func(t *testing.T) {
		out, err := try("patch", "wasmplugin", "-n", "antwort", "antwort-frontend", "--type=merge", "-p", `{"spec":{"failStrategy":"FAIL_NEVER"}}`)
		if err == nil || !strings.Contains(out, "Unsupported value") {
			t.Errorf("expected an unsupported value, got %v: %s", err, out)
		}
	})
}

// version is the tag that make push has used.
func version(t *testing.T) string {
	t.Helper()
	image := kubectl(t, "get", "deployment", "-n", "llm-serving", "llm-predictor", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
	out, err := exec.Command("curl", "-sS", "http://127.0.0.1:5000/v2/team/antwort-filter-oci/tags/list").Output()
	if err != nil {
		t.Fatal(image, err)
	}
	_, rest, _ := strings.Cut(string(out), `"tags":["`)
	tag, _, _ := strings.Cut(rest, `"`)
	return tag
}

// Without the setting that only an EnvoyFilter has, a gated filter answers
// instead of hanging.
func TestGatedWithoutItsSetting(t *testing.T) {
	llm(t)
	privileged(t, "llm-serving")
	const folder = "quickstarts/07-istio-filter"
	t.Cleanup(func() { kubectl(t, "delete", "-k", folder, "-n", "llm-serving", "--ignore-not-found") })
	kubectl(t, "apply", "-k", folder, "-n", "llm-serving")
	ready(t, "llm-serving", "antwort")
	url := service(t, "llm-serving", "antwort")
	works(t, url)
	kubectl(t, "patch", "wasmplugin", "-n", "llm-serving", "antwort", "--type=merge", "-p", `{"spec":{"pluginConfig":{"filter":{"profile":"gated"}}}}`)
	fails(t, url, 500, "allow_on_headers_stop_iteration")
	logs(t, "llm-serving", "antwort", "allow_on_headers_stop_iteration")
}

func TestQuickstart07(t *testing.T) {
	llm(t)
	privileged(t, "llm-serving")
	doc := openReadme(t, "quickstarts/07-istio-filter/README.md")
	user := openShell(t)
	t.Cleanup(func() {
		kubectl(t, "delete", "-k", "quickstarts/07-istio-filter", "-n", "llm-serving", "--ignore-not-found")
	})
	user.run(doc.blocks(t, "Deploy")[0].text)
	url := service(t, "llm-serving", "antwort")
	works(t, url)
	test := doc.blocks(t, "Test")
	forwarded(t, user, test[0].text, "http://localhost:8080/v1/models")
	if got := user.run(test[1].text); got != strings.TrimSpace(test[2].text) {
		t.Errorf("expected %s, got %s", test[2].text, got)
	}
	if err := stream(url, 20, 10*time.Millisecond, make(chan struct{})); err != nil {
		t.Error(err)
	}
	out, err := exec.Command("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url+"/v1/chat/completions", "-d", "{}").Output()
	if err != nil || string(out) != "403" {
		t.Errorf("chat completions from outside: want 403, got %s %v", out, err)
	}
	memoryHolds(t, "llm-serving", url, append(requests(url), answers(url)...))
	unread(t, url)
	user.run(doc.blocks(t, "Cleanup")[0].text)
}

// unread has many long answers made that are not read, 1.4 GB in all: the gateway, which may have
// 1 GiB, holds no more of them than its bootstrap says, refuses who comes then, and recovers.
func unread(t *testing.T, url string) {
	t.Helper()
	pod := kubectl(t, "get", "pods", "-n", "llm-serving", "-l", "gateway.networking.k8s.io/gateway-name=antwort", "-o", "jsonpath={.items[0].metadata.name}")
	const request = `{"model":"/mnt/models","input":"mock: tokens=12000 token-bytes=1200"}`
	statuses := map[int]int{}
	for range 100 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		fmt.Fprintf(c, "POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(request), request)
		answer, err := http.ReadResponse(bufio.NewReaderSize(c, 4<<10), nil)
		if err != nil {
			t.Fatalf("answer %v: %v", statuses, err)
		}
		if _, err := answer.Body.Read(make([]byte, 1)); err != nil {
			t.Fatalf("answer %v of status %d: %v", statuses, answer.StatusCode, err)
		}
		statuses[answer.StatusCode]++
	}
	t.Logf("answers that nobody reads, by status: %v; Envoy has %s", statuses, kubectl(t, "exec", "-n", "llm-serving", pod, "--", "pilot-agent", "request", "GET", "memory"))
	if statuses[200]+statuses[503] != 100 {
		t.Error("other statuses than 200 and 503")
	}
	t.Logf("works again after %.1f s", works(t, url).Seconds())
	if was := kubectl(t, "get", "pod", "-n", "llm-serving", pod, "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); was != "0" {
		t.Errorf("the gateway has restarted: %s", was)
	}
}
