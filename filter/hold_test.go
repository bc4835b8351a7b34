package filter_test

import (
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
	keys := `[{` + aliceDigest + `},{"sha256":"f6487756d211f51fd59c3365cef7e83e549e72ebda0b9abff1f4fcbc4e701460","subject":"bob"}]`
	const bobKey = "bob-key-77c0e1d3"
	h := start(t, config("vllm", "gated", "limits.in_flight_bytes", strconv.Itoa(8*mib), "limits.request_body_bytes", strconv.Itoa(8*mib),
		"auth.type", `"api_key"`, "auth.api_keys", keys), newUpstream(gives(200, "application/json", chatHello)))
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
