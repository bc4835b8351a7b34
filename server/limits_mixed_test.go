package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// mixed is an upstream whose turns have so many tokens as their number says, and end as it
// says: every sixth is cut, and every sixth waits for its client to leave.
func mixed(t *testing.T) string {
	return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := string(body)
		var turn int
		if _, err := fmt.Sscanf(text[max(0, strings.Index(text, "turn ")):], "turn %d", &turn); err != nil {
			panic(err)
		}
		prompt, tokens := mixedTokens(turn)
		usage := func(n int) string {
			return fmt.Sprintf(`"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`, prompt, n, prompt+n)
		}
		if !strings.Contains(text, `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],`+usage(tokens)+`}`)
			return
		}
		send := sending(w)
		for n := range tokens {
			send(strings.Replace(chatText("x"), "}]}", `}],`+usage(n+1)+`}`, 1))
		}
		switch turn % 6 {
		case 2:
			panic(http.ErrAbortHandler)
		case 3:
			<-r.Context().Done()
		default:
			send(chatFinish + `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],` + usage(tokens) + "}\n\n" + chatDone)
		}
	}))
}

func mixedTokens(turn int) (prompt, tokens int) { return turn%50 + 1, turn%7 + 1 }

// A budget is settled to the token, whole, streamed, cut, left, in the background and over
// WebSockets.
func TestBudgetsSettleToTheToken(t *testing.T) {
	turns, workers := 10_000, 64
	if testing.Short() || raceDetector {
		turns, workers = 600, 16
	}
	r := start(t, config.VLLM, mixed(t), limitsOf(t, `{"default_output_tokens":500,"rules":[{"name":"all","requests_per_minute":100000000,"tokens_per_day":100000000}]}`))
	ready(t, r)
	want, next := 0, make(chan int)
	var all sync.WaitGroup
	for range workers {
		c := r.dial()
		all.Go(func() {
			for turn := range next {
				r.mixedTurn(c, turn)
			}
		})
	}
	for turn := range turns {
		prompt, tokens := mixedTokens(turn)
		want += prompt + tokens
		next <- turn
	}
	close(next)
	all.Wait()
	spent := func() (n int) {
		a := r.post(`{"model":"m","input":"hi","max_output_tokens":2147483647}`)
		require.Equal(t, 429, a.status, a.body)
		_, err := fmt.Sscanf(a.body[strings.Index(a.body, "per day, "):], "per day, %d used", &n)
		require.NoError(t, err)
		return n
	}
	require.Eventually(t, func() bool { return spent() == want }, guard, 20*time.Millisecond, "%d are spent of %d", spent(), want)
	require.EqualValues(t, want, metric(t, r, "antwort_tokens_total", `kind="input"`)+metric(t, r, "antwort_tokens_total", `kind="output"`))
}

// mixedTurn asks in one of the ways that there are.
func (r *running) mixedTurn(c *wsClient, turn int) {
	input := fmt.Sprintf(`"model":"m","input":"turn %d"`, turn)
	_, tokens := mixedTokens(turn)
	switch turn % 6 {
	case 0:
		require.Equal(r.t, 200, r.post(`{`+input+`}`).status)
	case 1:
		require.Contains(r.t, r.post(`{`+input+`,"stream":true}`).body, "response.completed")
	case 2:
		require.Contains(r.t, r.post(`{`+input+`,"stream":true}`).body, "response.failed")
	case 3:
		resp := r.open("POST", "/v1/responses", strings.NewReader(`{`+input+`,"stream":true}`))
		for events, seen := readEvents(r.t, resp.Body), 0; seen < tokens; {
			if strings.Contains(events.next(), "output_text.delta") {
				seen++
			}
		}
		resp.Body.Close()
	case 4:
		a := r.post(`{` + input + `,"background":true}`)
		require.Equal(r.t, 200, a.status, a.body)
	case 5:
		c.say(`{"type":"response.create",` + input + `}`)
		require.Equal(r.t, "response.completed", c.end().Type)
	}
}

// A tenant that floods is refused, and costs another one nothing that is counted: while its
// places are all taken, by requests that do not end, and others of it are refused all the time,
// each request of the other tenant passes and finds what that one has left alone. How long it
// takes is measured by make bench (-workload flood).
func TestATenantThatFloodsCostsAnotherNothing(t *testing.T) {
	slow(t)
	const places = 4
	asks := 200
	if raceDetector {
		asks = 50
	}
	var flooding, most atomic.Int64
	arrived, released := make(chan struct{}, places), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "flood") {
			now := flooding.Add(1)
			for most.Load() < now && !most.CompareAndSwap(most.Load(), now) {
			}
			defer flooding.Add(-1)
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-released
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatWhole)
	}))
	r := startWith(t, newStopped().options(), config.VLLM, llm, limitsFor(t, twoTenants,
		fmt.Sprintf(`{"rules":[{"name":"tenants","per":["tenant"],"requests_at_once":%d,"requests_per_minute":600,"tokens_per_day":100000}]}`, places)))
	ready(t, r)
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer release()
	defer stop()
	for range 2 * places {
		all.Go(func() {
			for ctx.Err() == nil {
				r.as("alice-key", "POST", "/v1/responses", `{"model":"m","input":"flood"}`)
			}
		})
	}
	for range places {
		wait(t, arrived, "the flood")
	}
	refusals := func() float64 { return metric(t, r, "antwort_limit_refusals_total") }
	for i := range asks {
		before := refusals()
		a := r.as("bob-key", "POST", "/v1/responses", ask)
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, strconv.Itoa(600-1-i), a.header.Get("x-ratelimit-remaining-requests"))
		if i%50 == 0 { // it goes on
			require.Eventually(t, func() bool { return refusals() > before }, guard, time.Millisecond)
		}
	}
	require.EqualValues(t, places, flooding.Load(), "those that were let in are still there")
	require.EqualValues(t, places, most.Load(), "and no others were")
	stop()
	release()
}
