package server

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// soakRequests is how many requests TestSoak makes; TEST_SOAK changes it.
const soakRequests = 300

// Requests of all kinds, with faults and clients that leave, leave nothing
// behind: no goroutine, no connection, no gauge above zero, and no word of a
// body or a credential in a log.
func TestSoak(t *testing.T) {
	slow(t)
	requests := soak(soakRequests)
	_, llm := mock(t, mockllm.Options{})
	quick := func(c *config.Config) { c.Server.KeepAliveInterval = 20 * time.Millisecond }
	back := start(t, config.VLLM, llm, quick)
	front := back.front(quick)
	ready(t, front)
	const secret = "sk-never-to-be-logged"
	says := func(line string, stream bool) string {
		return `{"model":"/mnt/models","stream":` + strconv.FormatBool(stream) + `,"input":"the private matter\nmock: ` + line + `"}`
	}
	lines := []string{"tokens=5", "tokens=20 delay=1ms", "cut-after=3", "drop", "status=500", "status=429", "status=400",
		"end-after=2", "error-after=0", "error-after=2", "garbage-after=1", "header-delay=30ms", "first-delay=60ms", "chunk=bytes"}
	bad := []string{`{`, `{"model":1}`, says("unknown=1", true), strings.Repeat("[", 100), strings.Repeat("x", 200<<10)}
	burst := func(n int) {
		var wg sync.WaitGroup
		slots := make(chan struct{}, 24)
		for range n {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				on := []*running{back, front}[rand.N(2)]
				body := says(lines[rand.N(len(lines))], rand.N(3) > 0)
				if rand.N(8) == 0 {
					body = bad[rand.N(len(bad))]
				}
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				if rand.N(3) == 0 {
					time.AfterFunc(time.Duration(rand.N(40))*time.Millisecond, cancel)
				}
				resp, err := on.do(ctx, "POST", "/v1/responses", strings.NewReader(body), "Authorization", "Bearer "+secret)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			})
		}
		wg.Wait()
	}
	settled := func() (goroutines, files int) {
		http1.CloseIdleConnections()
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) {
			goroutines, files = runtime.NumGoroutine(), openFiles()
			time.Sleep(200 * time.Millisecond)
			if runtime.NumGoroutine() == goroutines && openFiles() == files && back.door.Taken()+front.door.Taken() == 0 {
				break
			}
		}
		return goroutines, files
	}
	burst(requests / 6)
	goroutines, files := settled()
	burst(requests)
	// Kept upstream connections come and go, with a goroutine of net/http each.
	require.Eventually(t, func() bool {
		g, f := settled()
		t.Logf("goroutines %d, before %d; files %d, before %d", g, goroutines, f, files)
		return g <= goroutines+10 && f <= files+10
	}, guard, time.Millisecond)
	for _, r := range []*running{back, front} {
		require.EqualValues(t, 0, metric(t, r, "antwort_streams_in_flight"))
		require.EqualValues(t, 1, metric(t, r, "antwort_requests_in_flight"), "but for the scrape")
		require.EqualValues(t, 0, metric(t, r, "antwort_panics_total"))
		require.NotContains(t, r.log.String(), secret)
		require.NotContains(t, r.log.String(), "private matter")
	}
}

// soak is TEST_SOAK, usual when it is not set.
func soak(usual int) int {
	if n, err := strconv.Atoi(os.Getenv("TEST_SOAK")); err == nil {
		return n
	}
	return usual
}

// openFiles returns how many file descriptors are open, 0 where nobody tells.
func openFiles() int {
	names, _ := os.ReadDir("/proc/self/fd")
	return len(names)
}

// Logs tell how an upstream failed, not what it said: that may be a body.
func TestLogsHoldNoBytesOfTheUpstream(t *testing.T) {
	const private = "private matter"
	for name, said := range map[string]string{
		"no HTTP":         private + "\r\n\r\n",
		"a broken header": "HTTP/1.1 200 OK\r\n" + private + "\r\n\r\n",
		"a broken status": "HTTP/1.1 " + private + "\r\n\r\n",
		"a broken length": "HTTP/1.1 200 OK\r\nContent-Length: " + private + "\r\n\r\n",
		"a broken coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: " + private + "\r\n\r\n",
		"a broken chunk":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n" + private,
		"an error event":  rawStreamHead + `data: {"error":{"message":"` + private + `","type":"x","param":null,"code":400}}` + "\n\n",
		"no JSON":         rawStreamHead + "data: " + private + "\n\n",
		"a later error":   rawStreamHead + chatRole + `data: {"error":{"message":"` + private + `","type":"x","param":null,"code":500}}` + "\n\n",
		"an error":        "HTTP/1.1 400 No\r\nConnection: close\r\n\r\n" + `{"error":{"message":"` + private + `","type":"x","param":null,"code":400}}`,
	} {
		t.Run(name, func(t *testing.T) {
			llm := rawUpstream(t, func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
				_, _ = io.Copy(io.Discard, req.Body)
				_, _ = io.WriteString(conn, said)
			})
			back := start(t, config.VLLM, llm)
			for _, r := range []*running{back, start(t, config.VLLMResponses, llm)} {
				for _, body := range []string{ask, askStream} {
					r.post(body, "X-Request-Id", "quiet")
				}
				r.log.waitFor(t, "quiet")
				require.NotContains(t, r.log.String(), private)
			}
		})
	}
}

// Whatever a client writes into its header, errors that quote it are JSON.
func TestErrorsQuoteAnyBytes(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm)
	for _, field := range []string{"Content-Type: \xff\xfe\"", "Content-Encoding: \xff\"\\", "Content-Type: " + strings.Repeat("é", 40), "Content-Encoding: x" + strings.Repeat("é", 40)} {
		c := dial(t, r)
		req := strings.Replace(request(ask), "Content-Type: application/json", field, 1)
		if strings.HasPrefix(field, "Content-Encoding") {
			req = strings.Replace(request(ask), "Host: x", "Host: x\r\n"+field, 1)
		}
		c.send(req)
		got := c.answer()
		require.Equal(t, 415, got.status, got.body)
		got.errorCode(t)
		require.True(t, utf8.ValidString(got.body), "%q", got.body)
	}
}
