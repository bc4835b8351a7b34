package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// A workload is one kind of request.
type workload struct {
	name   string
	text   string // of the question
	stream bool
	count  int
}

// workloads: small and large questions with whole answers, and streams of 100
// deltas that come as fast as they can, or one by one.
func workloads(scale int) []workload {
	const question = "What is the capital of France? Answer in one sentence."
	long := func(n int) string { return strings.Repeat("word ", n/5) + "\nmock: text=ok" }
	return []workload{
		{"small", question, false, 6000 * scale},
		{"20 KB", long(20 << 10), false, 3000 * scale},
		{"126 KB", long(126 << 10), false, 1000 * scale},
		{"stream of 100 deltas", "mock: tokens=100 delay=0s", true, 1500 * scale},
		{"paced stream of 100 deltas", "mock: tokens=100 delay=5ms", true, 300 * scale},
	}
}

// request is the workload's request as the target speaks.
func (w workload) request(t target) (path string, body []byte) {
	var doc any
	if t.chat {
		path = "/v1/chat/completions"
		chat := map[string]any{"model": "/mnt/models", "messages": []any{map[string]any{"role": "user", "content": w.text}}}
		if w.stream {
			chat["stream"], chat["stream_options"] = true, map[string]any{"include_usage": true}
		}
		doc = chat
	} else {
		path = "/v1/responses"
		doc = map[string]any{"model": "/mnt/models", "stream": w.stream, "input": []any{map[string]any{
			"type": "message", "role": "user", "content": []any{map[string]any{"type": "input_text", "text": w.text}}}}}
	}
	body, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return path, body
}

// A result is what one target did under one workload.
type result struct {
	rate           float64 // requests per second
	p50, p99       time.Duration
	cpu            time.Duration // of the target, per request
	toFirst        time.Duration // median time to the first event, of streams
	failed         int
	firstFailed    string
	rssAfter, held int64
}

const workers = 32

// measure drives a target with a closed loop of workers by vegeta.
func measure(t target, w workload) result {
	path, body := w.request(t)
	targeter := vegeta.NewStaticTargeter(vegeta.Target{Method: "POST", URL: t.url + path, Body: body, Header: http.Header{"Content-Type": {"application/json"}}})
	attack := func(n int) (m vegeta.Metrics) {
		attacker := vegeta.NewAttacker(vegeta.Workers(workers), vegeta.MaxWorkers(workers), vegeta.Connections(workers), vegeta.KeepAlive(true), vegeta.Timeout(time.Minute))
		left := n
		for r := range attacker.Attack(func(tgt *vegeta.Target) error {
			return targeter(tgt)
		}, endless{}, 0, w.name) {
			m.Add(r)
			if left--; left == 0 {
				attacker.Stop()
			}
		}
		m.Close()
		return m
	}
	attack(max(200, w.count/10)) // warm up
	before := cpu(t.pids)
	m := attack(w.count)
	used := cpu(t.pids) - before
	res := result{
		rate: m.Rate, p50: m.Latencies.P50, p99: m.Latencies.P99,
		cpu:      used / time.Duration(m.Requests),
		rssAfter: rss(t.pids),
	}
	for code, n := range m.StatusCodes {
		if code != "200" {
			res.failed += n
			res.firstFailed = code + " " + strings.Join(m.Errors, "; ")
		}
	}
	if w.stream {
		res.toFirst = firstEvents(t.url+path, body)
	}
	return res
}

// endless paces nothing: each worker sends its next request at once.
type endless struct{}

func (endless) Pace(time.Duration, uint64) (time.Duration, bool) { return 0, false }
func (endless) Rate(time.Duration) float64                       { return 0 }

// firstEvents returns the median time to the first bytes of 20 answers, one
// after the other.
func firstEvents(url string, body []byte) time.Duration {
	var times []time.Duration
	for range 20 {
		began := time.Now()
		resp, err := http.Post(url, "application/json", bytes.NewReader(body))
		if err != nil {
			continue
		}
		var one [1]byte
		if _, err := io.ReadFull(resp.Body, one[:]); err == nil {
			times = append(times, time.Since(began))
		}
		_, _ = io.Copy(io.Discard, resp.Body) // only the first byte counts here
		resp.Body.Close()
	}
	if len(times) == 0 {
		return 0
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return times[len(times)/2]
}

// hold opens n streams that say one word and then nothing, and returns the
// memory that each costs the target, in bytes.
func hold(t target, n int) (int64, error) {
	w := workload{text: "mock: tokens=2 delay=30s", stream: true}
	path, body := w.request(t)
	transport := &http.Transport{MaxConnsPerHost: 0}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	before := rss(t.pids)
	var wg sync.WaitGroup
	open := make([]io.Closer, n)
	errs := make(chan error, n)
	limit := make(chan struct{}, 64)
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			limit <- struct{}{}
			defer func() { <-limit }()
			resp, err := client.Post(t.url+path, "application/json", bytes.NewReader(body))
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("status %s", resp.Status)
			}
			if err == nil {
				var some [16]byte
				_, err = io.ReadFull(resp.Body, some[:])
			}
			if err != nil {
				errs <- err
				return
			}
			open[i] = resp.Body
		}()
	}
	wg.Wait()
	time.Sleep(2 * time.Second) // let the garbage of opening settle
	cost := (rss(t.pids) - before) / int64(n)
	for _, c := range open {
		if c != nil {
			c.Close()
		}
	}
	select {
	case err := <-errs:
		return 0, err
	default:
		return cost, nil
	}
}
