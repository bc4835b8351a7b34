package filter_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/streamcheck"
)

// TestLoad: many streams at once, and many requests with memory that stays.
func TestLoad(t *testing.T) {
	g := start(t, shipped(t), []plugin{{name: "filter", config: config("vllm", "inline")}})
	url := g.url(t, "filter")
	t.Run("20,000 requests", func(t *testing.T) { flatMemory(t, g, url) })
	t.Run("1,000 streams at once", func(t *testing.T) { manyStreams(t, g, url) })
	g.becomes(t, "in_flight_bytes", 0)
	for _, kind := range []string{"cut", "upstream_stream", "overloaded", "panic"} {
		require.Zero(t, g.stat(t, "failures_total."+kind), kind)
	}
}

// manyStreams holds all streams open until each has its first delta, and then
// lets them end together.
func manyStreams(t *testing.T, g *gateway, url string) {
	const streams = 1000
	var open sync.WaitGroup
	open.Add(streams)
	release := make(chan struct{})
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chatEvents[0]+chatEvents[1])
		w.(http.Flusher).Flush()
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
		for range 20 {
			_, _ = io.WriteString(w, chatEvents[2])
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, strings.Join(chatEvents[3:], ""))
	})
	client := &http.Transport{MaxIdleConnsPerHost: streams}
	defer client.CloseIdleConnections()
	failures := make(chan string, streams)
	begin := time.Now()
	for range streams {
		go func() {
			r, _ := http.NewRequest("POST", url+"/v1/responses", strings.NewReader(helloStream))
			r.Header.Set("Content-Type", "application/json")
			failures <- oneStream(client, r, &open)
		}()
	}
	open.Wait()
	t.Logf("%d streams open after %v", streams, time.Since(begin))
	close(release)
	for range streams {
		if f := <-failures; f != "" {
			t.Error(f)
		}
	}
	t.Logf("and ended after %v", time.Since(begin))
}

// oneStream reads a stream and says what is wrong with it; open is told when
// its first delta has come.
func oneStream(client *http.Transport, r *http.Request, open *sync.WaitGroup) string {
	told := false
	defer func() {
		if !told {
			open.Done()
		}
	}()
	resp, err := client.RoundTrip(r)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	var text strings.Builder
	buf := make([]byte, 32<<10)
	for {
		n, err := resp.Body.Read(buf)
		text.Write(buf[:n])
		if !told && strings.Contains(text.String(), `"delta":"Hi"`) {
			told = true
			open.Done()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err.Error()
		}
	}
	if problems := streamcheck.Check(strings.NewReader(text.String())); len(problems) > 0 {
		return fmt.Sprint(problems)
	}
	if !strings.Contains(text.String(), "event: response.completed") {
		return "not completed: " + text.String()
	}
	return ""
}

// flatMemory sends bodies of 20 KB: what Envoy holds after 20,000 of them is at
// most 5 % more than after 2,000.
func flatMemory(t *testing.T, g *gateway, url string) {
	g.up.set(gives(200, "application/json", chatHello))
	body := `{"model":"m","input":"` + strings.Repeat("word ", 4000) + `"}`
	client := &http.Transport{MaxIdleConnsPerHost: 8}
	defer client.CloseIdleConnections()
	sent := 0
	to := func(n int) int {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range (n - sent) / 8 {
					if got := send(t, client, request(t, url, strings.NewReader(body))); got.status != 200 || got.cut {
						t.Errorf("status %d, cut %v", got.status, got.cut)
						return
					}
				}
			})
		}
		all.Wait()
		sent = n
		return resident(t, g.Pid())
	}
	warm := to(2000)
	end := to(20000)
	t.Logf("resident memory: %d MB after 2,000 requests, %d MB after 20,000", warm>>20, end>>20)
	require.LessOrEqual(t, float64(end), 1.05*float64(warm), "memory grows with the requests")
}

// resident is a process's memory in bytes.
func resident(t testing.TB, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	require.NoError(t, err)
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	require.NoError(t, err)
	return pages * os.Getpagesize()
}
