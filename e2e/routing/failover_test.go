package routing

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"antwort/shared/streamcheck"

	"github.com/stretchr/testify/require"
)

// load keeps streams open at a gateway, each followed by another one.
type load struct {
	t       *testing.T
	results chan result
	stop    chan struct{}
	all     sync.WaitGroup
	got     []result
}

type result struct {
	status int
	body   string
	err    error
}

const stream = `{"model":"/mnt/models","stream":true,"input":"hello"}`

func streams(t *testing.T, url string, n int) *load {
	l := &load{t: t, results: make(chan result, n), stop: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	for range n {
		l.all.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				l.results <- post(client, url, stream)
			}
		})
	}
	return l
}

func post(client *http.Client, url, body string) (r result) {
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(body))
	if err != nil {
		return result{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return result{resp.StatusCode, string(text), err}
}

// until takes results until enough says so.
func (l *load) until(enough func() bool) {
	l.t.Helper()
	for !enough() {
		l.got = append(l.got, <-l.results)
	}
}

func (l *load) more(n int) func() bool {
	want := len(l.got) + n
	return func() bool { return len(l.got) >= want }
}

func (l *load) end() []result {
	close(l.stop)
	go func() {
		l.all.Wait()
		close(l.results)
	}()
	for r := range l.results {
		l.got = append(l.got, r)
	}
	return l.got
}

// One of two backends is killed and comes back under load: whoever had heard
// nothing yet hears the other one, what was being heard ends as a failed
// response, and the backend gets its share again.
func TestBackendKilledUnderLoad(t *testing.T) {
	const routing = "routing: {eject_time: 200ms, max_eject_time: 500ms}\n"
	slow := []string{"--tokens", "20", "--delay", "10ms"}
	for name, model := range map[string]bool{"antwort serve before models": false, "a model behind antwort serve": true} {
		t.Run(name, func(t *testing.T) { behindServe(t, routing, slow, model) })
	}
	t.Run("models", func(t *testing.T) {
		one, two := model(t, "model-1", slow...), model(t, "model-2", slow...)
		gateway, _ := serve(t, "gateway", routing+"engine: {provider: vllm}\n"+
			"routes: [{name: r, backends: [{url: '"+one.url+"'}, {url: '"+two.url+"'}]}]\n")
		killed(t, gateway, one, one, two)
	})
}

// behindServe kills one of two backends that are antwort serve, or its model.
func behindServe(t *testing.T, routing string, slow []string, killModel bool) {
	one, two := model(t, "model-1", slow...), model(t, "model-2", slow...)
	a, _ := serve(t, "backend-1", "engine: {provider: vllm, backend_url: '"+one.url+"'}\n")
	b, _ := serve(t, "backend-2", "engine: {provider: vllm, backend_url: '"+two.url+"'}\n")
	gateway, _ := serve(t, "gateway", routing+"engine: {provider: vllm-responses}\n"+
		"routes: [{name: r, backends: [{url: '"+a.url+"'}, {url: '"+b.url+"'}]}]\n")
	victim := a
	if killModel {
		victim = one
	}
	killed(t, gateway, victim, one, two)
}

// killed kills a backend of the gateway, whose requests show at the model one.
func killed(t *testing.T, gateway, backend, one, two *program) {
	const n = 64
	l := streams(t, gateway.url, n)
	l.until(l.more(3 * n))
	require.InDelta(t, two.requests(), one.requests(), n, "both take part")
	healthy := len(l.got)

	backend.kill()
	l.until(l.more(4 * n))
	backend.begin()
	before := one.requests()
	l.until(func() bool { return len(l.got)%16 == 0 && one.requests() > before+n || len(l.got) > 100*n })
	require.Greater(t, one.requests(), before+n, "it gets its share again")
	l.until(l.more(n))

	failed := 0
	for i, r := range l.end() {
		require.NoError(t, r.err)
		require.Equal(t, http.StatusOK, r.status, "a request failed that had not heard anything: %s", r.body)
		var c streamcheck.Checker
		_, _ = c.Write([]byte(r.body))
		require.Empty(t, c.Close(), "%s", r.body)
		if strings.Contains(r.body, "\nevent: response.failed\n") {
			failed++
			require.GreaterOrEqual(t, i, healthy-n, "it failed before the kill")
			continue
		}
		require.Contains(t, r.body, "\nevent: response.completed\n")
	}
	require.Positive(t, failed, "no stream was in flight at the backend")
	require.LessOrEqual(t, failed, n, "more failed than were in flight")
	t.Logf("%d streams, %d of them in flight on the killed backend", len(l.got), failed)
}
