package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sort"
	"strings"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// A workload is one kind of request.
type workload struct {
	name   string
	text   string // of the question
	stream bool
	count  int
	atOnce int
}

// workloads: small and large questions with whole answers, and streams of 100
// deltas that come as fast as they can, or one by one.
func workloads(scale, atOnce int) []workload {
	const question = "What is the capital of France? Answer in one sentence."
	long := func(n int) string { return strings.Repeat("word ", n/5) + "\nmock: text=ok" }
	return []workload{
		{"small", question, false, 6000 * scale, atOnce},
		{"2 KB", long(2 << 10), false, 5000 * scale, atOnce},
		{"20 KB", long(20 << 10), false, 3000 * scale, atOnce},
		{"126 KB", long(126 << 10), false, 1000 * scale, atOnce},
		{"stream of 100 deltas", "mock: tokens=100 delay=0s", true, 1500 * scale, atOnce},
		{"paced stream of 100 deltas", "mock: tokens=100 delay=5ms", true, 300 * scale, atOnce},
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

// A result is what one target did under one workload, in all rounds together.
type result struct {
	target  target
	metrics vegeta.Metrics
	took    time.Duration // of the load
	cpu     time.Duration // of the target
	toFirst time.Duration // median time to the first event, of streams
}

// failures are the answers that were none, and what they were.
func (r *result) failures() (n int, what string) {
	for code, times := range r.metrics.StatusCodes {
		if code != "200" {
			n += times
			what = code + " " + strings.Join(r.metrics.Errors, "; ")
		}
	}
	return n, what
}

func (r *result) cpuPerRequest() time.Duration {
	return r.cpu / time.Duration(max(1, r.metrics.Requests)) //nolint:gosec // nobody sends that many
}

// attack drives a target with a closed loop by vegeta, and adds
// what it sees to the result.
func (r *result) attack(w workload, n int) {
	path, body := w.request(r.target)
	targeter := vegeta.NewStaticTargeter(vegeta.Target{Method: "POST", URL: r.target.url + path, Body: body, Header: r.target.header()})
	attacker := vegeta.NewAttacker(vegeta.Workers(uint64(w.atOnce)), vegeta.MaxWorkers(uint64(w.atOnce)), vegeta.Connections(w.atOnce), vegeta.KeepAlive(true), vegeta.Timeout(time.Minute)) //nolint:gosec // some tens
	before, began := cpu(r.target.pids), time.Now()
	for one := range attacker.Attack(targeter, endless{}, 0, w.name) {
		r.metrics.Add(one)
		if n--; n == 0 {
			attacker.Stop()
		}
	}
	r.took += time.Since(began)
	r.cpu += cpu(r.target.pids) - before
}

// measure drives the targets in turn, for as many rounds: what else the machine
// does meanwhile hits all of them alike.
func measure(targets []target, w workload, rounds int, cancelled func() error) ([]*result, error) {
	results := make([]*result, len(targets))
	for i, t := range targets {
		(&result{target: t}).attack(w, max(200, w.count/10)) // warm up
		results[i] = &result{target: t}
	}
	for range rounds {
		for _, r := range results {
			if err := cancelled(); err != nil {
				return nil, err
			}
			r.attack(w, max(1, w.count/rounds))
		}
	}
	for _, r := range results {
		r.metrics.Close()
		if w.stream {
			path, body := w.request(r.target)
			r.toFirst = firstEvents(r.target, path, body)
		}
	}
	return results, nil
}

// endless paces nothing: each worker sends its next request at once.
type endless struct{}

func (endless) Pace(time.Duration, uint64) (time.Duration, bool) { return 0, false }
func (endless) Rate(time.Duration) float64                       { return 0 }

// firstEvents returns the median time to the first bytes of 20 answers, one
// after the other.
func firstEvents(t target, path string, body []byte) time.Duration {
	var times []time.Duration
	for range 20 {
		began := time.Now()
		resp, err := t.post(http.DefaultClient, path, body)
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
