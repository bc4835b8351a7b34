package filter_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// begin sends a request's beginning; what it returns gives the answer.
func begin(t testing.TB, h *filtertest.Host, length int, beginning string, header ...string) (answer chan got, more *io.PipeWriter) {
	t.Helper()
	body, more := io.Pipe()
	t.Cleanup(func() { more.Close() })
	r, err := http.NewRequest("POST", h.URL+"/v1/responses", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if length > 0 {
		r.ContentLength = int64(length)
	}
	answer = make(chan got, 1)
	go func() { answer <- send(t, r) }()
	_, err = io.WriteString(more, beginning)
	require.NoError(t, err)
	return answer, more
}

func TestSlowBodiesAreEnded(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			h := start(t, config("vllm", profile, "server.read_timeout", `"200ms"`), newUpstream(gives(200, "application/json", chatHello)))
			answer, _ := begin(t, h, 1000, `{"model":`)
			got := <-answer
			require.Equal(t, 408, got.status)
			require.Equal(t, "request_timeout", errorOf(t, got.body).Code)
			require.Equal(t, 200, post(t, h, hello).status)
			wait(t, h)
			require.EqualValues(t, 1, h.Counter("antwort.failures_total.slow_body"))
			nothingIsHeld(t, h)
		})
	}
}

// Where Envoy counts requests it holds a chat request until the client's request has ended:
// so long it counts, and has the time of an upload.
func TestCountedRequestsCountUntilTheirEnd(t *testing.T) {
	for _, profile := range profiles {
		for ends, finish := range map[string]func(*http.Request, *io.PipeWriter){
			"its end":  func(_ *http.Request, in *io.PipeWriter) { _ = in.Close() },
			"trailers": func(r *http.Request, in *io.PipeWriter) { r.Trailer.Set("x-trailer", "a"); _ = in.Close() },
			"nothing":  nil,
		} {
			t.Run(profile+"/"+ends, func(t *testing.T) {
				answers := make(chan struct{})
				up := newUpstream(func(w http.ResponseWriter, r *http.Request) {
					if _, err := io.Copy(io.Discard, r.Body); err == nil {
						<-answers
						gives(200, "application/json", chatHello)(w, r)
					}
				})
				limit := `"1h"`
				if finish == nil {
					limit = `"300ms"`
				}
				h := start(t, config("vllm", profile, "filter.rate_limits", `"callers"`, "server.read_timeout", limit), up)
				body, in := io.Pipe()
				r, err := http.NewRequest("POST", h.URL+"/v1/responses", body)
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				r.Trailer = http.Header{"X-Trailer": nil}
				answer := make(chan got, 1)
				go func() { answer <- send(t, r) }()
				_, err = io.WriteString(in, textOf(100<<10))
				require.NoError(t, err)
				require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") > 100<<10 }, 30*time.Second, time.Millisecond)
				if finish == nil {
					require.Equal(t, 408, (<-answer).status)
				} else {
					finish(r, in)
					require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") < 100<<10 }, 30*time.Second, time.Millisecond)
					close(answers)
					require.Equal(t, 200, (<-answer).status)
				}
				wait(t, h)
				nothingIsHeld(t, h)
			})
		}
	}
}

// What a body announces is charged for as it comes.
func TestAnnouncedBytesAreNotCharged(t *testing.T) {
	for _, profile := range profiles {
		h := start(t, config("vllm", profile, "limits.in_flight_bytes", `"1MiB"`, "limits.request_body_bytes", `"1MiB"`), newUpstream(gives(200, "application/json", chatHello)))
		for range 20 {
			begin(t, h, 1<<20, `{`)
		}
		for range 3 {
			got := do(t, h, "POST", "/v1/responses", unsized(textOf(100<<10)))
			require.Equal(t, 200, got.status, got.body)
		}
	}
}

// A body that is wrong is refused before its end.
func TestWrongBodiesAreNotWaitedFor(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			h := start(t, config("vllm", profile, "limits.json_values", "100"), newUpstream(gives(200, "application/json", chatHello)))
			for begun, want := range map[string]string{
				`{"model":"m",]`: "invalid_json",
				`{"model":"m","input":[` + strings.Repeat("0,", 200): "limit_exceeded",
			} {
				answer, _ := begin(t, h, 1<<20, begun)
				got := <-answer
				require.Equal(t, 400, got.status)
				require.Equal(t, want, errorOf(t, got.body).Code)
			}
			wait(t, h)
			nothingIsHeld(t, h)
		})
	}
}

// The requests of one caller may take half of what there is, and all requests
// three quarters: the rest is for the answers of those who have been let in.
func TestRequestsTakeTheirShareOnly(t *testing.T) {
	const mib = 1 << 20
	h := start(t, config("vllm", "gated", "limits.in_flight_bytes", strconv.Itoa(8*mib), "limits.request_body_bytes", strconv.Itoa(8*mib),
		"auth.type", `"api_key"`, "auth.api_keys", twoCallers), newUpstream(gives(200, "application/json", chatHello)))
	held := textOf(3 * mib)
	begin(t, h, len(held)+1, held[:len(held)-1], "X-Api-Key", aliceKey)
	require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") > 3*mib }, 30*time.Second, time.Millisecond)
	ask := func(key string, n int) got {
		return do(t, h, "POST", "/v1/responses", unsized(textOf(n)), "X-Api-Key", key)
	}
	refused := ask(aliceKey, 2*mib)
	require.Equal(t, 503, refused.status, "alice has her share")
	require.Equal(t, "overloaded", errorOf(t, refused.body).Code)
	require.Equal(t, "1", refused.header.Get("Retry-After"))
	require.Equal(t, 200, ask(aliceKey, 20<<10).status, "small requests count for nobody")
	require.Equal(t, 200, ask(bobKey, 1*mib).status, "bob has his")
	require.Equal(t, 503, ask(bobKey, 5*mib).status, "there is no such room")
}

// twoCallers are alice and bob, who have a key each.
const twoCallers = `[{` + aliceDigest + `},{"sha256":"f6487756d211f51fd59c3365cef7e83e549e72ebda0b9abff1f4fcbc4e701460","subject":"bob"}]`

const bobKey = "bob-key-77c0e1d3"

// told is a model server whose streams say what the test tells them to, by who asks.
type told struct{ alice, bob chan int } // bytes to say; closed: the end

func (s told) answer(w http.ResponseWriter, r *http.Request) {
	say := s.alice
	if r.Header.Get("X-Who") == "bob" {
		say = s.bob
	}
	w.Header().Set("Content-Type", "text/event-stream")
	text := strings.Repeat("word ", 1<<10/5)
	for {
		select {
		case n, more := <-say:
			if !more {
				_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n")
				return
			}
			for ; n > 0; n -= len(text) {
				_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"`+text+`"}}]}`+"\n\n")
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func tell(t *testing.T, to chan int, n int) {
	t.Helper()
	select {
	case to <- n:
	case <-time.After(30 * time.Second):
		t.Fatal("no stream listens")
	}
}

// When all of the bound is taken, a stream of the caller who holds most ends, not that
// of another one which needs a little more.
func TestTheLargestEnds(t *testing.T) {
	const mib = 1 << 20
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			says := told{make(chan int), make(chan int)}
			h := start(t, config("vllm", profile, "limits.in_flight_bytes", strconv.Itoa(16*mib), "limits.request_body_bytes", strconv.Itoa(16*mib),
				"auth.type", `"api_key"`, "auth.api_keys", twoCallers), newUpstream(says.answer))
			ask := func(key string) chan got {
				answer := make(chan got, 1)
				go func() {
					answer <- do(t, h, "POST", "/v1/responses", strings.NewReader(helloStream), "X-Api-Key", key, "X-Who", key[:3])
				}()
				return answer
			}
			holds := func(least int64) {
				require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") >= least }, 30*time.Second, time.Millisecond)
			}
			bob := ask(bobKey)
			tell(t, says.bob, 100<<10)
			alice := []chan got{ask(aliceKey), ask(aliceKey)}
			for range alice {
				tell(t, says.alice, 100<<10)
			}
			holds(200 << 10)
			for range 22 { // 11 MiB: bob will need more than is left
				tell(t, says.alice, mib/2)
			}
			holds(11 * mib)
			require.Zero(t, h.Counter("antwort.failures_total.overloaded"))
			for range 24 {
				tell(t, says.bob, mib/4)
			}
			close(says.bob)
			got := <-bob
			require.False(t, got.cut)
			require.True(t, strings.Contains(got.body, "event: response.completed"), "bob's stream has ended")
			ended := 0
			close(says.alice)
			for _, a := range alice {
				got := <-a
				require.False(t, got.cut)
				require.True(t, strings.HasSuffix(got.body, "data: [DONE]\n\n"))
				if strings.Contains(got.body, "event: response.failed") {
					require.True(t, strings.Contains(got.body, `"code":"overloaded"`))
					ended++
				}
			}
			require.NotZero(t, ended)
			wait(t, h)
			nothingIsHeld(t, h)
		})
	}
}

// A stream that is over for its client holds nothing, however long its upstream goes on.
func TestAnEndedStreamHoldsNothing(t *testing.T) {
	const mib = 1 << 20
	says := told{make(chan int), nil}
	h := start(t, config("vllm", "gated", "limits.in_flight_bytes", strconv.Itoa(4*mib), "limits.request_body_bytes", strconv.Itoa(4*mib),
		"limits.response_body_bytes", strconv.Itoa(mib)), newUpstream(says.answer))
	answer := make(chan got, 1)
	go func() { answer <- post(t, h, helloStream) }()
	tell(t, says.alice, 100<<10)
	require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") > 100<<10 }, 30*time.Second, time.Millisecond)
	tell(t, says.alice, 2*mib)
	nothingIsHeld(t, h)
	tell(t, says.alice, 2*mib)
	close(says.alice)
	got := <-answer
	require.True(t, strings.Contains(got.body, "event: response.failed"))
	require.True(t, strings.HasSuffix(got.body, "data: [DONE]\n\n"))
	wait(t, h)
	nothingIsHeld(t, h)
}

// The memory in which the first long body of a VM is translated comes with the body, not at its end.
func TestMemoryComesWithTheFirstLongBody(t *testing.T) {
	const size = 16 << 20
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			h := start(t, config("vllm", profile), newUpstream(gives(200, "application/json", chatHello)))
			require.Equal(t, 200, post(t, h, hello).status)
			idle, body := h.Memory(), textOf(size)
			answer, more := begin(t, h, len(body), body[:len(body)-1])
			before := int64(0)
			require.Eventually(t, func() bool { // all of it has come
				last := before
				before = h.Memory()
				return before == last && before > idle+4*size
			}, time.Minute, 200*time.Millisecond)
			_, err := io.WriteString(more, body[len(body)-1:])
			require.NoError(t, err)
			require.Equal(t, 200, (<-answer).status)
			require.Less(t, h.Memory()-before, int64(size/4))
		})
	}
}

// At the limits that need all of the memory that a VM may need by them, it lives on.
func TestTheLargestLimitsFit(t *testing.T) {
	if testing.Short() {
		t.Skip("translates bodies of 32 MiB")
	}
	const mib = 1 << 20
	const values = 380_000
	whole := `{"choices":[{"index":0,"message":{"role":"assistant","content":%s},"finish_reason":"stop"}]}`
	tree := strings.Repeat(`{"type":"text","text":"a","x":0},`, values/4-10)
	up := newUpstream(gives(200, "application/json", chatHello))
	h := start(t, config("vllm", "gated", "limits.in_flight_bytes", strconv.Itoa(120*mib), "limits.response_body_bytes", strconv.Itoa(32*mib), "limits.json_values", strconv.Itoa(values), "limits.json_escapes", strconv.Itoa(16*mib)), up)
	held := textOf(30 * mib)
	upload, end := context.WithCancel(t.Context())
	defer end()
	r, err := http.NewRequestWithContext(upload, "POST", h.URL+"/v1/responses", io.MultiReader(strings.NewReader(held[:len(held)-1]), unended{upload}))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength = int64(len(held))
	go func() {
		if resp, err := http.DefaultTransport.RoundTrip(r); err == nil { // it may be refused for the others
			resp.Body.Close()
		}
	}()
	require.Eventually(t, func() bool { return h.Gauge("antwort.in_flight_bytes") > 28*mib }, 30*time.Second, time.Millisecond)
	for name, answer := range map[string]string{
		"small values":         fmt.Sprintf(whole, "["+strings.TrimSuffix(tree, ",")+"]"),
		"small values, spaced": fmt.Sprintf(whole, "["+strings.TrimSuffix(strings.ReplaceAll(tree, ",", strings.Repeat(" ", 20)+","), ",")+"]"),
		"a long text":          fmt.Sprintf(whole, `"`+strings.Repeat(`\n\"a`, 31*mib/5)+`"`),
	} {
		up.set(gives(200, "application/json", answer))
		for _, body := range []string{hello, helloStream} {
			got := post(t, h, body)
			require.Contains(t, []int{200, 502}, got.status, name)
		}
	}
	up.set(gives(200, "application/json", chatHello))
	for _, body := range []string{
		`{"model":"m","input":[` + strings.TrimSuffix(strings.Repeat(`{"role":"user","content":[{"type":"input_text","text":"a"}]},`, 9_000), ",") + `]}`,
		`{"model":"m","input":"a","x":[` + strings.TrimSuffix(strings.Repeat(`{"a":0},`, values/2-100), ",") + `]}`,
		`{"model":"m","input":"` + strings.Repeat(`\n\"a`, 25*mib/5) + `"}`,
	} {
		require.Contains(t, []int{200, 503}, post(t, h, body).status)
	}
	require.Equal(t, 200, post(t, h, hello).status)
	for _, l := range h.Logs() {
		require.NotEqual(t, "critical", l.Level, l.Message)
	}
}
