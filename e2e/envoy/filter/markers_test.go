package filter_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAnswersAreNotMixedUp: 20,000 requests, 64 at once, each with a word of its
// own, which its answer repeats; one in ten leaves in the middle.
func TestAnswersAreNotMixedUp(t *testing.T) {
	const all, atOnce = 20_000, 64
	g := start(t, shipped(t), []plugin{
		{name: "inline", config: config("vllm", "inline")},
		{name: "gated", config: config("vllm", "gated"), gated: true},
	})
	marker := regexp.MustCompile(`marker-[0-9]+-`)
	g.up.set(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		said := marker.FindString(string(body))
		if !strings.Contains(string(body), `"stream":true`) {
			gives(200, "application/json", strings.Replace(chatHello, "Hi there", said, 1))(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, chatEvents[0])
		for _, piece := range strings.SplitAfter(said, "-") {
			_, _ = io.WriteString(w, strings.Replace(chatEvents[1], "Hi", piece, 1))
			w.(http.Flusher).Flush()
		}
		_, _ = io.WriteString(w, strings.Join(chatEvents[3:], ""))
	})
	urls := []string{g.url(t, "inline"), g.url(t, "gated")}
	client := &http.Transport{MaxIdleConnsPerHost: atOnce}
	defer client.CloseIdleConnections()
	var next, right, left atomic.Int64
	var wrong sync.Map
	one := func(n int64) {
		own := fmt.Sprintf("marker-%d-", n)
		body := fmt.Sprintf(`{"model":"m","input":%q,"stream":%v}`, own+strings.Repeat("x", int(n%40)*500), n%2 == 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if n%10 == 0 {
			time.AfterFunc(time.Duration(n%7)*300*time.Microsecond, cancel)
		}
		r := request(t, urls[n%2], strings.NewReader(body)).WithContext(ctx)
		resp, err := client.RoundTrip(r)
		var text []byte
		if err == nil {
			text, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err != nil {
			if left.Add(1); n%10 != 0 {
				wrong.Store(n, err.Error())
			}
			return
		}
		said := strings.Join(marker.FindAllString(string(text), -1), "")
		if !strings.Contains(said, own) || strings.ReplaceAll(said, own, "") != "" {
			wrong.Store(n, said)
			return
		}
		right.Add(1)
	}
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for n := next.Add(1); n <= all; n = next.Add(1) {
				one(n)
			}
		})
	}
	workers.Wait()
	wrong.Range(func(n, what any) bool {
		t.Errorf("request %v: %v", n, what)
		return true
	})
	t.Logf("%d answers were right, %d clients left", right.Load(), left.Load())
	require.Zero(t, g.stat(t, "panics_total"))
	g.becomes(t, "in_flight_bytes", 0)
}
