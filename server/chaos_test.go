package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// moody is a backend that answers, refuses, breaks off or hangs up, by chance.
func moody(t *testing.T, seed uint64, good string) string {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 1))
	return rawUpstream(t, func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		mu.Lock()
		mood, part := random.IntN(6), random.Float64()
		mu.Unlock()
		switch mood {
		case 0:
			return
		case 1:
			_, _ = io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\n\r\n{\"error\":{}}")
			return
		}
		up, err := http.Post(good+req.URL.Path, "application/json", strings.NewReader(string(body)))
		if err != nil {
			return
		}
		defer up.Body.Close()
		answer, _ := io.ReadAll(up.Body)
		head := fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", up.StatusCode, up.Header.Get("Content-Type"), len(answer))
		if mood == 2 {
			answer = answer[:int(part*float64(len(answer)))]
		}
		_, _ = io.WriteString(conn, head+string(answer))
	})
}

// Whatever backends do: every client gets one whole answer, a stream that ends as
// it should, or an error; and no place at a backend is left taken.
func TestMoodyBackends(t *testing.T) {
	t.Parallel()
	asks := 40
	if raceDetector {
		asks = 10
	}
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		for _, balance := range []string{config.LeastRequest, config.Affinity} {
			t.Run(string(provider)+"/"+balance, func(t *testing.T) {
				good := goodFor(t, provider)
				var backends []string
				for i := range 3 {
					backends = append(backends, fmt.Sprintf(`{"url":%q,"priority":%d}`, moody(t, uint64(i), good), i/2))
				}
				r := start(t, provider, "", withRoutes(t, `[{"name":"r","balance":"`+balance+`","backends":[`+strings.Join(backends, ",")+`]}]`), func(c *config.Config) {
					c.Routing.EjectAfter, c.Routing.EjectTime, c.Routing.MaxEjectTime = 2, time.Millisecond, 5*time.Millisecond
					c.Server.KeepAliveInterval = time.Millisecond
					c.Engine.Retry.MaxDelay = 2 * time.Millisecond
				})
				ready(t, r)
				var all sync.WaitGroup
				var mu sync.Mutex
				got := map[string]int{}
				for n := range 8 {
					all.Go(func() {
						for i := range asks {
							stream := (n+i)%2 == 0
							body := fmt.Sprintf(`{"model":"/mnt/models","input":"question %d","stream":%t}`, i, stream)
							resp, err := http.Post(r.url+"/v1/responses", "application/json", strings.NewReader(body))
							if err != nil {
								t.Error(err)
								return
							}
							text, err := io.ReadAll(resp.Body)
							resp.Body.Close()
							if err != nil {
								t.Errorf("%v after %s", err, text)
							}
							what := judge(t, answer{resp.StatusCode, resp.Header, string(text)}, stream)
							mu.Lock()
							got[what]++
							mu.Unlock()
						}
					})
				}
				all.Wait()
				t.Log(got)
				require.Positive(t, got["completed"])
				require.Eventually(t, func() bool {
					active := 0
					for _, s := range r.first.pools.Route(0).Status() {
						active += s.Active
					}
					return active == 0
				}, guard, time.Millisecond, "places are left taken")
			})
		}
	}
}

// judge says how a request ended.
func judge(t *testing.T, a answer, stream bool) string {
	if a.status != http.StatusOK {
		if !strings.HasPrefix(a.body, `{"error":{`) {
			t.Errorf("no error: %s", a.body)
		}
		return fmt.Sprint(a.status)
	}
	if !stream {
		var response struct{ Object, Status string }
		if err := json.Unmarshal([]byte(a.body), &response); err != nil || response.Object != "response" {
			t.Errorf("no response: %s", a.body)
		}
		return response.Status
	}
	if !strings.HasSuffix(a.body, "data: [DONE]\n\n") {
		t.Errorf("the stream has no end: %s", a.body)
	}
	if strings.Contains(a.body, "event: response.completed\n") {
		return "completed"
	}
	if !strings.Contains(a.body, "event: error\n") {
		t.Errorf("the stream ended without a reason: %s", a.body)
	}
	return "failed"
}
