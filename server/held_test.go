package server

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// inFlight sets limits.in_flight_bytes.
func inFlight(bytes int64) func(*config.Config) {
	return func(c *config.Config) { c.Limits.InFlightBytes = bytes }
}

// nothingHeld waits until no exchange holds anything.
func nothingHeld(t *testing.T, r *running) {
	t.Helper()
	require.Eventually(t, func() bool { return r.held.Held() == 0 }, guard, time.Millisecond, "it has not been given back")
}

// Who needs more than is left is told to come back, in either provider; those that
// were let in and small ones are answered; then there is room again.
func TestMemoryIsBounded(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(provider), func(t *testing.T) {
			begun, goOn := make(chan struct{}, 1), make(chan struct{})
			backend := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				if n, _ := io.Copy(io.Discard, r.Body); n > 1<<20 {
					begun <- struct{}{}
					<-goOn
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, chatWhole)
			}))
			r := start(t, provider, backend, inFlight(12<<20), func(c *config.Config) {
				c.State.Type = config.NoState         // what is stored of a request is held, too
				if provider == config.VLLMResponses { // whose bodies are held, as their models decide
					c.Routes = []config.Route{{Name: "m", Match: config.Match{Models: []string{"m"}}, Backends: []config.Backend{{URL: backend, Weight: 1}}}}
				}
			})
			large := `{"model":"m","input":"` + strings.Repeat("x", 3<<20) + `"}`
			var first sync.WaitGroup
			var got answer
			first.Go(func() { got = r.post(large) })
			wait(t, begun, "the first one is let in")
			refused := r.post(strings.Replace(large, "xxx", strings.Repeat("x", 2<<20), 1))
			_, _, code := refused.errorCode(t)
			require.Equal(t, []any{503, "overloaded", "1"}, []any{refused.status, code, refused.header.Get("Retry-After")})
			r.log.waitFor(t, `"failure":"overloaded"`)
			require.Equal(t, 200, r.post(ask).status, "a small one")
			close(goOn)
			first.Wait()
			require.Equal(t, 200, got.status)
			nothingHeld(t, r)
			goOn = make(chan struct{})
			close(goOn)
			require.Equal(t, 200, r.post(large).status)
			never := r.post(`{"model":"m","input":"` + strings.Repeat("x", 13<<20) + `"}`)
			_, _, code = never.errorCode(t)
			require.Equal(t, []any{413, "request_too_large"}, []any{never.status, code})
			require.Contains(t, never.body, "limits.in_flight_bytes")
			nothingHeld(t, r)
			require.EqualValues(t, 1, metric(t, r, "antwort_failures_total", `kind="overloaded"`))
		})
	}
}

// What a text becomes when it is parsed counts before it is.
func TestMemoryOfManyValues(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, chats(answeringAll)), inFlight(8<<20))
	few := `{"model":"m","input":"hi","metadata":{},"tools":[` + strings.TrimSuffix(strings.Repeat(`{"type":"function","name":"f","parameters":{"enum":[`+strings.TrimSuffix(strings.Repeat("1,", 60), ",")+`]}},`, 400), ",") + `]}`
	require.Less(t, len(few), 100<<10)
	require.Equal(t, 413, r.post(few).status, "24,000 values take 6 MiB, which is all that requests may have")
	nothingHeld(t, r)
}

// An answer for which there is no memory ends as one that failed.
func TestMemoryOfAnswers(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, strings.Replace(chatWhole, "hello", strings.Repeat("x", 2<<20), 1))
			return
		}
		send := sending(w)
		send(chatRole)
		for range 200 {
			send(chatText(strings.Repeat("x", 16<<10)))
		}
		send(chatFinish + chatUsage + chatDone)
	})), inFlight(2<<20))
	whole := r.post(ask)
	require.Equal(t, 503, whole.status)
	stream := r.post(askStream)
	require.Equal(t, 200, stream.status)
	checkStream(t, stream.body)
	require.Equal(t, "response.failed", lastEvent(t, stream.body))
	require.Contains(t, stream.body, "overloaded")
	r.log.waitFor(t, `"stream":true`, `"failure":"overloaded"`)
	nothingHeld(t, r)
}

func answeringAll(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, chatWhole)
}
