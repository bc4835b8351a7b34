package cluster

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// What clients send, within the limits and beyond, takes neither tier over the
// memory that the quickstart gives it, and cuts no stream of others.
func TestMemoryLimitsHold(t *testing.T) {
	llm(t)
	deploy(t, "quickstarts/06-responses-proxy/base", "antwort", "antwort-backend", "antwort-frontend")
	url := service(t, "antwort", "antwort-frontend")
	backend := service(t, "antwort", "antwort-backend")
	works(t, url)

	t.Run("backend", func(t *testing.T) {
		memoryHolds(t, "antwort", url, []attack{
			packed(t, backend),
			{"24 gzip bodies of one text", backend, "gzip", zipped(t, longText+strings.Repeat(" ", 24<<20)), 24},
		})
	})
	t.Run("frontend that forwards", func(t *testing.T) { memoryHolds(t, "antwort", url, append(requests(url), packed(t, url))) })
	t.Run("frontend that translates", func(t *testing.T) {
		setConfig(t, "frontend", "engine:\n  provider: vllm\n  default_model: /mnt/models\n  backend_url: http://llm-predictor.llm-serving.svc.cluster.local:8080\n")
		logs(t, "antwort", "antwort-frontend", "started: provider vllm,")
		works(t, url)
		memoryHolds(t, "antwort", url, append(append(requests(url), packed(t, url)), answers(url)...))
	})
}

// Bodies of 30 MB.
var (
	smallObjects = `{"model":"/mnt/models","input":"a","x":[` + many(`{"a":0}`, 29<<17) + `]}`
	longText     = `{"model":"/mnt/models","input":"` + strings.Repeat("word ", 6<<20) + `"}`
)

func many(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }

// packed are requests that become much where they are unpacked.
func packed(t *testing.T, url string) attack {
	t.Helper()
	return attack{"ten gzip bodies of small objects", url, "gzip", zipped(t, smallObjects), 10}
}

// requests are those that take much of a filter.
func requests(url string) []attack {
	return []attack{
		{"seven large bodies", url, "", []byte(longText), 7},
		{"small objects in clear", url, "", []byte(smallObjects), 4},
		{"as many small messages as there may be", url, "", []byte(`{"model":"/mnt/models","input":[` + many(`{"role":"user","content":[{"type":"input_text","text":"a"}]}`, 8_000) + `]}`), 2}, // the stand-in for the model has 512 MiB
	}
}

// answers ask for what takes much to translate.
func answers(url string) []attack {
	return []attack{
		{"answers of 12,000 tokens with 20 logprobs each", url, "", []byte(`{"model":"/mnt/models","input":"mock: tokens=12000","top_logprobs":20}`), 2},
		{"streams that say 60 MB", url, "", []byte(`{"model":"/mnt/models","stream":true,"input":"mock: tokens=12000 token-bytes=5000"}`), 2},
	}
}

// An attack is requests at once.
type attack struct {
	name        string
	url, coding string
	body        []byte
	atOnce      int
}

// memoryHolds makes attacks beside a stream: it goes on, and no pod of the namespace dies.
func memoryHolds(t *testing.T, namespace, url string, attacks []attack) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			started, ended := make(chan struct{}), make(chan error, 1)
			go func() { ended <- stream(url, 100, 100*time.Millisecond, started) }()
			select {
			case <-started:
			case err := <-ended:
				t.Fatalf("the stream beside it did not begin: %v", err)
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			statuses := map[string]int{}
			for range a.atOnce {
				all.Go(func() {
					status := send(a.url, a.coding, a.body)
					mu.Lock()
					statuses[status]++
					mu.Unlock()
				})
			}
			all.Wait()
			if err := <-ended; err != nil {
				t.Errorf("the stream beside it: %v", err)
			}
			t.Logf("answers by status: %v", statuses)
			for status := range statuses {
				// Who is refused before all is sent may find the connection closed.
				if !slices.Contains([]string{"200", "400", "413", "503", "cut"}, status) {
					t.Errorf("status %s", status)
				}
			}
			restarts := kubectl(t, "get", "pods", "-n", namespace, "-o", `jsonpath={range .items[*]}{.metadata.name} restarts {.status.containerStatuses[0].restartCount}, last {.status.containerStatuses[0].lastState.terminated.reason}{"\n"}{end}`)
			for line := range strings.Lines(restarts) {
				if !strings.Contains(line, "restarts 0,") {
					t.Error(line)
				}
			}
			works(t, url)
		})
	}
}

// send posts a body and gives the answer's status in words.
func send(url, coding string, body []byte) string {
	req, err := http.NewRequest(http.MethodPost, url+"/v1/responses", bytes.NewReader(body))
	if err != nil {
		return err.Error()
	}
	req.Header.Set("Content-Type", "application/json")
	if coding != "" {
		req.Header.Set("Content-Encoding", coding)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "cut"
	}
	defer resp.Body.Close()
	return fmt.Sprint(resp.StatusCode)
}

func zipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
