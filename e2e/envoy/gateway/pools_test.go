package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/envoy/gateway"
)

// member is a backend that can be killed, and comes back at the same address. It
// says who it is in every answer.
type member struct {
	name   string
	at     string
	server *http.Server
	served atomic.Int64
	think  time.Duration // before the first byte
	busy   atomic.Int64  // the status that it answers with; 0: it is not
}

func newMember(t *testing.T, name string, think time.Duration) *member {
	t.Helper()
	m := &member{name: name, at: "127.0.0.1:0", think: think}
	m.start(t)
	t.Cleanup(m.kill)
	return m
}

func (m *member) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", m.at)
	require.NoError(t, err)
	m.at, m.server = l.Addr().String(), &http.Server{Handler: m}
	go func() { _ = m.server.Serve(l) }() // it ends with kill
}

// kill cuts all connections, whatever is on them.
func (m *member) kill() { _ = m.server.Close() }

func (m *member) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // what did not come is not answered
	if r.Method != http.MethodPost {
		return
	}
	m.served.Add(1)
	if status := m.busy.Load(); status != 0 {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(int(status))
		return
	}
	think := time.NewTimer(m.think)
	defer think.Stop()
	select {
	case <-think.C:
	case <-r.Context().Done():
		return
	}
	w.Header().Set("X-Backend", m.name)
	if !strings.Contains(string(body), `"stream":true`) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 4 {
		_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%d\"}}]}\n\n", i)
		w.(http.Flusher).Flush()
		think.Reset(m.think / 4)
		select {
		case <-think.C:
		case <-r.Context().Done():
			return
		}
	}
	_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

func routeOf(name, more string, members ...*member) string {
	var backends []string
	for i, m := range members {
		weight := 1
		if name == "weighted" && i == 0 {
			weight = 3
		}
		backends = append(backends, fmt.Sprintf("{url: %q, weight: %d}", "http://"+m.at, weight))
	}
	return fmt.Sprintf("- {name: %s, match: {models: [%s]}%s, backends: [%s]}\n", name, name, more, strings.Join(backends, ", "))
}

// turn sends a request and returns who answered.
func turn(client *http.Client, url, model, input string) (backend string, err error) {
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(fmt.Sprintf(`{"model":%q,"input":%s}`, model, input)))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	return resp.Header.Get("X-Backend"), err
}

// atOnce runs do n times, so many at a time.
func atOnce(n, parallel int, do func(i int)) {
	var wait sync.WaitGroup
	var next atomic.Int64
	for range parallel {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wait.Wait()
}

func manyConnections(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func TestPools(t *testing.T) {
	var equal, weighted, four []*member
	for i := range 2 {
		equal = append(equal, newMember(t, fmt.Sprint("equal-", i), 20*time.Millisecond))
		weighted = append(weighted, newMember(t, fmt.Sprint("weighted-", i), 5*time.Millisecond))
	}
	for i := range 4 {
		four = append(four, newMember(t, fmt.Sprint("four-", i), time.Millisecond))
	}
	g := gateway.Start(t, "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm}\nfilter: {profile: gated}\nrouting: {eject_time: 1s}\n"+
		"routes:\n"+
		routeOf("equal", "", equal...)+routeOf("weighted", "", weighted...)+routeOf("four", ", balance: affinity", four...)).Ready()
	t.Run("weights are kept under load", func(t *testing.T) { keepsWeights(t, g.URL) })
	t.Run("conversations stay together", func(t *testing.T) { staysTogether(t, g.URL, four) })
	t.Run("a backend dies and comes back", func(t *testing.T) { failsOver(t, g.URL, equal) })
	t.Run("a backend of forwarded requests dies and comes back", func(t *testing.T) {
		g := gateway.Start(t, "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses}\nfilter: {profile: gated}\nrouting: {eject_time: 1s}\nroutes:\n"+
			routeOf("equal", "", equal...)).Ready()
		failsOver(t, g.URL, equal)
		takesTheOther(t, g.URL, equal)
	})
	t.Run("a backend is busy", func(t *testing.T) { takesTheOther(t, g.URL, equal) })
}

// takesTheOther: when a backend has no time, or none behind it, another one is
// asked, at once whatever Retry-After says.
func takesTheOther(t *testing.T, url string, equal []*member) {
	client := manyConnections(t)
	defer equal[0].busy.Store(0)
	for _, status := range []int64{429, 502, 503} {
		equal[0].busy.Store(status)
		served := equal[0].served.Load()
		atOnce(40, 4, func(int) {
			backend, err := turn(client, url, "equal", `"x"`)
			assert.NoError(t, err)
			assert.Equal(t, "equal-1", backend)
		})
		assert.Greater(t, equal[0].served.Load(), served, "it was not asked")
	}
}

func keepsWeights(t *testing.T, url string) {
	client := manyConnections(t)
	const all = 800
	var heavy atomic.Int64
	atOnce(all, 32, func(int) {
		backend, err := turn(client, url, "weighted", `"x"`)
		assert.NoError(t, err)
		if backend == "weighted-0" {
			heavy.Add(1)
		}
	})
	assert.InDelta(t, 0.75, float64(heavy.Load())/all, 0.03, "share of the backend with weight 3 of 4")
}

func staysTogether(t *testing.T, url string, four []*member) {
	client := manyConnections(t)
	const conversations, turns = 100, 10
	talk := func() (home []string, elsewhere int) {
		var mu sync.Mutex
		home = make([]string, conversations)
		atOnce(conversations, 8, func(i int) {
			items := fmt.Sprintf(`{"role":"user","content":"question %d"}`, i)
			met := map[string]int{}
			for range turns {
				backend, err := turn(client, url, "four", "["+items+"]")
				assert.NoError(t, err)
				met[backend]++
				items += `,{"role":"assistant","content":"Hi"},{"role":"user","content":"go on"}`
			}
			mu.Lock()
			defer mu.Unlock()
			most := 0
			for backend, n := range met {
				if n > most {
					home[i], most = backend, n
				}
			}
			elsewhere += turns - most
		})
		return home, elsewhere
	}
	before, elsewhere := talk()
	t.Logf("%d of %d turns met another backend", elsewhere, conversations*turns)
	assert.LessOrEqual(t, elsewhere, conversations*turns*5/100)
	shares := map[string]int{}
	for _, backend := range before {
		shares[backend]++
	}
	t.Log("conversations by backend: ", shares)
	require.Len(t, shares, 4)

	four[2].kill()
	after, _ := talk()
	moved := 0
	for i := range before {
		assert.NotEqual(t, "four-2", after[i])
		if before[i] != "four-2" && before[i] != after[i] {
			moved++
		}
	}
	t.Logf("%d of the %d conversations of the others moved", moved, conversations-shares["four-2"])
	assert.LessOrEqual(t, moved, (conversations-shares["four-2"])*5/100)
}

// failsOver: nobody notices who has not got a byte yet.
func failsOver(t *testing.T, url string, equal []*member) {
	client := manyConnections(t)
	const streams = 64
	done := make(chan struct{})
	var whole, cut atomic.Int64
	var clients sync.WaitGroup
	for range streams {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(`{"model":"equal","input":"x","stream":true}`))
				if !assert.NoError(t, err, "before its first byte") {
					return
				}
				body := bufio.NewReader(resp.Body) // it may read all at once
				first, err := body.ReadString('\n')
				if !assert.Equal(t, 200, resp.StatusCode, "before its first byte: %s", first) || !assert.NoError(t, err) {
					return
				}
				rest, err := io.ReadAll(body)
				_ = resp.Body.Close()
				if err != nil || !strings.HasSuffix(string(rest), "[DONE]\n\n") {
					cut.Add(1)
				} else {
					whole.Add(1)
				}
			}
		})
	}
	more := func(counter *atomic.Int64, n int64) {
		start := counter.Load()
		require.Eventually(t, func() bool { return counter.Load() >= start+n }, time.Minute, 10*time.Millisecond)
	}
	more(&equal[1].served, 2*streams)
	equal[1].kill()
	more(&whole, 4*streams)
	equal[1].start(t)
	more(&equal[1].served, 4*streams) // the traffic is back
	close(done)
	clients.Wait()
	assert.LessOrEqual(t, cut.Load(), int64(streams), "only what was under way there may be cut")
	t.Logf("%d streams were whole, %d were cut by the kill", whole.Load(), cut.Load())
}

// A route gets another name, and then the filter's VM a new environment, which
// takes seconds: each request finds the route that it was given.
func TestRoutesChangeUnderLoad(t *testing.T) {
	m := newMember(t, "only", time.Millisecond)
	configure := func(name, key string) string {
		return "server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm}\nfilter: {profile: gated}\nroutes:\n" +
			fmt.Sprintf("- {name: %s, match: {models: [m]}, backends: [{url: %q%s}]}\n", name, "http://"+m.at, key)
	}
	g := gateway.Start(t, configure("before", ""), "SOME_KEY=k").Ready()
	client := manyConnections(t)
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				backend, err := turn(client, g.URL, "m", `"x"`)
				if !assert.NoError(t, err) || !assert.Equal(t, "only", backend) {
					return
				}
			}
		})
	}
	g.Write(configure("after", ""))
	g.Logged(1, "the changed configuration is in force")
	g.Write(configure("last", ", api_key_env: SOME_KEY"))
	g.Logged(2, "the changed configuration is in force")
	served := m.served.Load()
	require.Eventually(t, func() bool { return m.served.Load() > served+50 }, time.Minute, 10*time.Millisecond)
	close(done)
	clients.Wait()
}
