package filter_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// Provider vllm-responses: what came in goes on, byte for byte.
func TestForwardedBodiesAreUntouched(t *testing.T) {
	stream := "event: response.created\ndata: {\"type\":\"response.created\",\"x\": 1 }\n\n: comment\r\n\r\n" +
		"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":6," +
		"\"input_tokens_details\":{\"cached_tokens\":2},\"output_tokens_details\":{\"reasoning_tokens\":4}}}}\n\nrest without an end"
	hosts := map[string]*splitHost{}
	for _, profile := range profiles {
		hosts[profile] = startSplit(t, config("vllm-responses", profile), func(o *filtertest.Options) {
			o.AllowOnHeadersStopIteration = false // it never holds headers
		})
	}
	for _, c := range []struct {
		name, method, path, body string
		answer                   http.HandlerFunc
		status                   int
		want                     string
	}{
		{"whole", "POST", "/v1/responses", `{ "anything" : [1,2] } `, gives(200, "application/json", `{ "usage": {"input_tokens":5,"output_tokens":6} }`), 200, `{ "usage": {"input_tokens":5,"output_tokens":6} }`},
		{"not JSON at all", "POST", "/v1/responses", "oops", gives(200, "application/json", "oops too"), 200, "oops too"},
		{"stream", "POST", "/v1/responses?a=b", hello, streams(stream), 200, stream},
		{"error of the backend", "POST", "/v1/responses", hello, gives(422, "application/json", `{"detail":"as it came"}`, "Retry-After", "2"), 422, `{"detail":"as it came"}`},
		{"retrieve", "GET", "/v1/responses/resp_1?include=x", "", gives(200, "application/json", `{"id":"resp_1"}`), 200, `{"id":"resp_1"}`},
		{"unknown", "POST", "/v1/responses/a/b/c", "x", gives(200, "text/plain", "y"), 200, "y"},
		{"compact", "POST", "/v1/responses/compact", "{}", gives(200, "application/json", `{"object":"x"}`), 200, `{"object":"x"}`},
	} {
		for _, profile := range profiles {
			for _, chunk := range []int{0, 1, 9} {
				t.Run(c.name+"/"+profile, func(t *testing.T) {
					h := hosts[profile]
					h.set(c.answer, chunk)
					got := do(t, h.Host, c.method, c.path, strings.NewReader(c.body), "Accept-Encoding", "br", "Content-Encoding", "zstd", "Authorization", "Bearer client")
					require.False(t, got.cut)
					require.Equal(t, c.status, got.status)
					require.Equal(t, c.want, got.body)
					r, body := h.up.last()
					require.Equal(t, c.body, body)
					require.Equal(t, c.path, r.RequestURI)
					require.Equal(t, "zstd", r.Header.Get("Content-Encoding"))
					require.Equal(t, "Bearer client", r.Header.Get("Authorization"), "the backend checks the client's credential")
					if strings.HasPrefix(c.path, "/v1/responses?") {
						require.Empty(t, r.Header.Get("Accept-Encoding"), "usage must be readable")
					}
					require.NotEmpty(t, got.header.Get("X-Request-Id"))
				})
			}
		}
	}
}

func TestForwardedUsageIsCounted(t *testing.T) {
	usage := `{"input_tokens":5,"output_tokens":6,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":4}}`
	for name, answer := range map[string]http.HandlerFunc{
		"whole":        gives(200, "application/json", `{"usage":`+usage+`}`),
		"whole, early": gives(200, "application/json", `{"output":[{"usage":{"input_tokens":9}}],"usage": `+usage+` ,"metadata":{"usage":"}{"}}`),
		"stream": streams("event: response.output_text.delta\ndata: {}\n\n",
			"event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":"+usage+"}}\n\n", "data: [DONE]\n\n"),
		"stream without names of events": streams("data: {\"type\":\"response.output_text.delta\"}\n\n",
			"data: {\"type\":\"response.completed\",\"response\":{\"usage\":"+usage+"}}\n\n", "data: [DONE]\n\n"),
		"stream without names, the type last": streams("data: {\"item\":{\"usage\":{\"input_tokens\":9}},\"type\":\"response.output_item.done\"}\n\n", "data: {\"type\":\"response.output_text.delta\"}\n\n",
			"data: {\"response\":{\"usage\":"+usage+"},\"item\":{\"usage\":{\"input_tokens\":9}},\"type\":\"response.completed\"}\n\n", "data: [DONE]\n\n"),
		"stream whose events have a name and another type": streams("data: {\"type\":\"response.output_text.delta\"}\n\n",
			"event: response.completed\ndata: {\"response\":{\"usage\":"+usage+"},\"type\":\"other\"}\n\n", "data: [DONE]\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t, config("vllm-responses", "inline"), newUpstream(answer))
			require.Equal(t, 200, post(t, h, hello).status)
			wait(t, h)
			require.Equal(t, []int64{5, 2, 6, 4}, tokens(h))
			require.Equal(t, strings.HasPrefix(name, "stream"), len(h.Histogram("antwort.time_to_first_token_ms")) == 1)
			require.Zero(t, h.Counter("antwort.failures_total.cut"))
			nothingIsHeld(t, h)
		})
	}
}

// Most chunks of a forwarded stream are not looked into.
func TestForwardedUsageIsCountedHoweverAStreamIsCut(t *testing.T) {
	h := startSplit(t, config("vllm-responses", "inline"))
	stream := "event: response.created\ndata: {\"response\":{\"usage\":null}}\n\n" +
		strings.Repeat("event: response.output_text.delta\ndata: {\"delta\":\"\\\"usage\\\":{}\"}\n\n", 3) + ": a comment\n\n" +
		"event: response.completed\ndata: {\"response\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":6},\"user\":null},\"type\":\"response.completed\"}\n\n" +
		"data: [DONE]\n\n"
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		text := strings.ReplaceAll(stream, "\n", eol)
		for chunk := 1; chunk <= len(text); chunk += 1 + chunk/16 {
			before := tokens(h.Host)
			h.set(streams(text), chunk)
			require.Equal(t, text, post(t, h.Host, hello).body)
			wait(t, h.Host)
			after := tokens(h.Host)
			require.Equal(t, []int64{5, 6}, []int64{after[0] - before[0], after[2] - before[2]}, "eol %q, in chunks of %d bytes", eol, chunk)
		}
	}
	require.Zero(t, h.Counter("antwort.failures_total.cut"))
	nothingIsHeld(t, h)
}

// A number of tokens that cannot be one is not counted.
func TestCountsOfABackendThatCannotBe(t *testing.T) {
	h := start(t, config("vllm-responses", "inline"), newUpstream(gives(200, "application/json",
		`{"usage":{"input_tokens":9223372036854775807,"output_tokens":-1000000,"total_tokens":7,"output_tokens_details":{"reasoning_tokens":9007199254740992}}}`)))
	post(t, h, hello)
	wait(t, h)
	require.Equal(t, []int64{0, 0, 0, 0}, tokens(h))
}

func tokens(h *filtertest.Host) (n []int64) {
	for _, kind := range []string{"input", "input_cached", "output", "output_reasoning"} {
		n = append(n, int64(h.Counter("antwort.tokens_total."+kind)))
	}
	return n
}

// A forwarded stream is not gathered: what is held is one event at most.
func TestForwardedStreamsAreNotHeld(t *testing.T) {
	event := "event: response.output_text.delta\ndata: {\"delta\":\"" + strings.Repeat("x", 1000) + "\"}\n\n"
	h := start(t, config("vllm-responses", "inline", "limits.in_flight_bytes", "2048", "limits.request_body_bytes", "2048"), newUpstream(streams(strings.Repeat(event, 500))))
	got := post(t, h, hello)
	require.Equal(t, strings.Repeat(event, 500), got.body)
	require.Zero(t, h.Counter("antwort.failures_total.overloaded"))
}

func TestForwardedWithOwnKey(t *testing.T) {
	up := newUpstream(gives(200, "application/json", "{}"))
	h := start(t, config("vllm-responses", "inline", "engine.api_key", `"sk-own"`), up)
	for _, path := range []string{"/v1/responses", "/v1/responses/resp_1"} {
		do(t, h, "POST", path, bytes.NewReader(nil), "Authorization", "Bearer client", "X-Api-Key", "client")
		r, _ := up.last()
		require.Equal(t, []string{"Bearer sk-own"}, r.Header["Authorization"])
		require.NotContains(t, r.Header, "X-Api-Key")
	}
}
