package filter_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/corpus"
)

// mutated is a copy of b with some of its bytes changed, left out, doubled or moved.
func mutated(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	for range 1 + r.IntN(4) {
		if len(b) == 0 {
			return b
		}
		at := r.IntN(len(b))
		to := min(len(b), at+1+r.IntN(32))
		switch r.IntN(6) {
		case 0:
			b[at] = byte(r.IntN(256))
		case 1:
			b[at] = `{}[]":,\0 en`[r.IntN(12)]
		case 2:
			b = append(b[:at], b[to:]...)
		case 3:
			b = append(b[:to], bytes.Clone(b[at:])...)
		case 4:
			other := r.IntN(len(b))
			b = append(b[:other], append(bytes.Clone(b[at:to]), b[other:]...)...)
		default:
			b = append(b[:at], append(bytes.Repeat([]byte(`[{"`[r.IntN(3):]), r.IntN(400)), b[at:]...)...)
		}
	}
	return b
}

// TestMutations sends requests and answers of the golden corpus with mistakes in
// them: nothing of it panics or ends a VM.
func TestMutations(t *testing.T) {
	each := 5000
	if testing.Short() {
		each = 500
	}
	cases, err := corpus.Load()
	require.NoError(t, err)
	var requests [][]byte
	answers := map[string][][]byte{} // by provider and content type
	for _, c := range cases {
		requests = append(requests, c.Request)
		for kind, answer := range map[string][]byte{
			"vllm text/event-stream": c.Stream, "vllm application/json": c.Answer,
			"vllm-responses text/event-stream": c.Expected.Events, "vllm-responses application/json": c.Expected.Response,
		} {
			if answer != nil {
				answers[kind] = append(answers[kind], answer)
			}
		}
	}
	var plugins []plugin
	for _, profile := range profiles {
		for _, provider := range []string{"vllm", "vllm-responses"} {
			plugins = append(plugins, plugin{name: provider + "/" + profile, config: config(provider, profile), gated: profile == "gated", reloads: true})
		}
	}
	g := start(t, shipped(t), plugins)
	vms := g.vms(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	run := func(t *testing.T, n int, plugins []plugin, ask func(r *rand.Rand, url string)) {
		var all sync.WaitGroup
		const workers = 8
		for w := range workers {
			all.Go(func() {
				r := rand.New(rand.NewPCG(seed, uint64(w)))
				for i := range n / workers {
					ask(r, g.url(t, plugins[i%len(plugins)].name))
				}
			})
		}
		all.Wait()
		require.Zero(t, g.stat(t, "panics_total"))
		require.Equal(t, vms, g.vms(t), "a VM has died")
	}
	client := &http.Transport{MaxIdleConnsPerHost: 64}
	defer client.CloseIdleConnections()
	warm := 0
	t.Run("requests", func(t *testing.T) {
		g.up.set(gives(200, "application/json", chatHello))
		run(t, each/10, plugins, func(r *rand.Rand, url string) { send(t, client, request(t, url, strings.NewReader(hello))) })
		warm = resident(t, g.Pid())
		run(t, each, plugins, func(r *rand.Rand, url string) {
			send(t, client, request(t, url, bytes.NewReader(mutated(r, requests[r.IntN(len(requests))]))))
		})
	})
	for _, c := range []struct {
		provider, contentType, body string
		n                           int
	}{
		{"vllm", "text/event-stream", helloStream, each}, {"vllm", "application/json", hello, each / 5},
		{"vllm-responses", "text/event-stream", helloStream, each}, {"vllm-responses", "application/json", hello, each / 5},
	} {
		t.Run(c.provider+" "+c.contentType, func(t *testing.T) {
			of := answers[c.provider+" "+c.contentType]
			require.NotEmpty(t, of)
			var mu sync.Mutex
			random := rand.New(rand.NewPCG(seed, 99))
			g.up.set(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				mu.Lock()
				answer := mutated(random, of[random.IntN(len(of))])
				pieces := 1 + random.IntN(4)
				mu.Unlock()
				w.Header().Set("Content-Type", c.contentType)
				for ; pieces > 0; pieces-- {
					n := len(answer) / pieces
					_, _ = w.Write(answer[:n])
					w.(http.Flusher).Flush()
					answer = answer[n:]
				}
			})
			var those []plugin
			for _, p := range plugins {
				if strings.HasPrefix(p.name, c.provider+"/") {
					those = append(those, p)
				}
			}
			run(t, c.n, those, func(_ *rand.Rand, url string) { send(t, client, request(t, url, strings.NewReader(c.body))) })
		})
	}
	end := resident(t, g.Pid())
	t.Logf("memory: %d MB before, %d MB after", warm>>20, end>>20)
	require.Less(t, end-warm, 64<<20, "memory grows")
	g.becomes(t, "in_flight_bytes", 0)
}
