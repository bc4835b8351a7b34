package filter_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"antwort/shared/streamcheck"

	"github.com/stretchr/testify/require"
)

// checked reads a stream and holds it against the protocol.
func checked(t testing.TB, events string) {
	t.Helper()
	for _, p := range streamcheck.Check(strings.NewReader(events)) {
		t.Errorf("streamcheck: %v\nin %s", p, events)
	}
}

// Each chunk goes on as soon as it has come: the upstream sends the next one
// only after the client has got the last one's event.
func TestEventsPassAsTheyCome(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, profile := range profiles {
			t.Run(provider+"/"+profile, func(t *testing.T) {
				next := make(chan struct{})
				answer := func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Content-Type", "text/event-stream")
					for _, word := range []string{"one", "two", "three"} {
						event := `data: {"choices":[{"delta":{"content":"` + word + `"}}]}` + "\n\n"
						if provider == "vllm-responses" {
							event = "event: response.output_text.delta\ndata: {\"delta\":\"" + word + "\"}\n\n"
						}
						_, _ = io.WriteString(w, event)
						w.(http.Flusher).Flush()
						select {
						case <-next:
						case <-r.Context().Done():
							return
						}
					}
				}
				h := start(t, config(provider, profile), newUpstream(answer))
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/responses", strings.NewReader(helloStream))
				require.NoError(t, err)
				r.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultTransport.RoundTrip(r)
				require.NoError(t, err)
				defer resp.Body.Close()
				lines := bufio.NewScanner(resp.Body)
				for _, word := range []string{"one", "two", "three"} {
					for lines.Scan() && !strings.Contains(lines.Text(), `"delta":"`+word+`"`) {
					}
					require.NoError(t, lines.Err(), "waiting for the delta %q", word)
					next <- struct{}{}
				}
			})
		}
	}
}

// The upstream going away leaves the filter nothing to say: the stream is cut.
func TestResetInAStreamCutsIt(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			h := start(t, config("vllm", profile), newUpstream(func(w http.ResponseWriter, r *http.Request) {
				streams(chatEvents[:3]...)(w, r)
				panic(http.ErrAbortHandler)
			}))
			got := post(t, h, helloStream)
			require.True(t, got.cut)
			require.NotContains(t, got.body, "response.completed")
			require.Contains(t, got.body, `"delta":" there"`)
			wait(t, h)
			require.EqualValues(t, 1, h.Counter("antwort.failures_total.cut"))
			nothingIsHeld(t, h)
		})
	}
}

// A stream that the upstream ends too early in good order ends as failed.
func TestStreamThatEndsTooEarlyFails(t *testing.T) {
	for _, profile := range profiles {
		got := post(t, start(t, config("vllm", profile), newUpstream(streams(chatEvents[:3]...))), helloStream)
		require.False(t, got.cut)
		checked(t, got.body)
		require.Contains(t, got.body, "event: response.failed")
		require.True(t, strings.HasSuffix(got.body, "data: [DONE]\n\n"))
	}
}

// The client going away ends the upstream's work.
func TestClientGoneEndsTheUpstream(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			ended := make(chan struct{})
			h := start(t, config("vllm", profile), newUpstream(func(w http.ResponseWriter, r *http.Request) {
				streams(chatEvents[:2]...)(w, r)
				<-r.Context().Done()
				close(ended)
			}))
			ctx, cancel := context.WithCancel(context.Background())
			r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/responses", strings.NewReader(helloStream))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultTransport.RoundTrip(r)
			require.NoError(t, err)
			_, err = resp.Body.Read(make([]byte, 1))
			require.NoError(t, err)
			cancel()
			resp.Body.Close()
			select {
			case <-ended:
			case <-time.After(30 * time.Second):
				t.Fatal("the upstream still works 30 s after the client has gone")
			}
			wait(t, h)
			nothingIsHeld(t, h)
		})
	}
}

// What an answer is that no header calls an event stream, its first byte tells: with a
// real status while headers are held.
func TestAnswersOfAnyTypeForStreams(t *testing.T) {
	for _, profile := range profiles {
		h := startSplit(t, config("vllm", profile))
		for _, mediaType := range []string{"application/problem+json", "text/plain", "text/html", ""} {
			for _, c := range []struct {
				text, end string
				status    int
			}{
				{chatHello, "response.completed", 200},
				{"\ufeff" + chatHello, "response.completed", 200},
				{strings.Join(chatEvents, ""), "response.completed", 200},
				{`{"error":{"message":"quota gone","code":429}}`, "quota gone", 429},
				{"<html>", "did not stream", 502},
			} {
				for _, chunk := range []int{0, 1} {
					h.set(gives(200, mediaType, c.text), chunk)
					got := post(t, h.Host, helloStream)
					status := c.status
					if profile == "inline" {
						status = 200 // it has gone
						if c.status != 200 {
							require.Contains(t, got.body, "response.failed")
						}
					}
					require.Equal(t, status, got.status, "%s, %s: %s", mediaType, c.text, got.body)
					require.Contains(t, got.body, c.end)
				}
			}
		}
		nothingIsHeld(t, h.Host)
	}
}

// With trailers the end of the stream comes after the last bytes, in a callback
// that takes no body.
func TestTrailers(t *testing.T) {
	whole := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		gives(200, "application/json", chatHello)(w, r)
		w.Header().Set("X-End", "yes")
	}
	stream := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		streams(chatEvents...)(w, r)
		w.Header().Set("X-End", "yes")
	}
	refused := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		gives(429, "application/json", `{"error":{"message":"slow down"}}`)(w, r)
		w.Header().Set("X-End", "yes")
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	hosts := map[string]*splitHost{}
	for _, profile := range profiles {
		hosts[profile] = startSplit(t, config("vllm", profile))
	}
	for _, c := range []struct {
		name, body string
		answer     http.HandlerFunc
		status     int
		contains   string
	}{
		{"whole", hello, whole, 200, `"text":"Hi there"`},
		{"streamed", helloStream, stream, 200, "data: [DONE]\n\n"},
		{"refused", hello, refused, 429, `"message":"slow down"`},
		{"incomplete request", hello[:len(hello)-1], whole, 400, `"code":"invalid_json"`},
		{"no request", " ", whole, 400, `"code":"invalid_json"`},
		{"no object", `"a"`, whole, 400, `"code":"invalid_json"`},
	} {
		for _, profile := range profiles {
			for _, chunk := range []int{0, 1, 7} {
				t.Run(c.name+"/"+profile, func(t *testing.T) {
					h := hosts[profile]
					h.set(c.answer, chunk)
					r, err := http.NewRequest("POST", h.URL+"/v1/responses", unsized(c.body))
					require.NoError(t, err)
					r.Header.Set("Content-Type", "application/json")
					r.Trailer = http.Header{"X-Sent": {"1"}}
					resp, err := transport.RoundTrip(r)
					require.NoError(t, err)
					defer resp.Body.Close()
					b, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Equal(t, c.status, resp.StatusCode, string(b))
					require.Contains(t, string(b), c.contains)
					if c.status != 400 {
						require.Equal(t, "yes", resp.Trailer.Get("X-End"))
						require.Len(t, h.up.finished(), 1)
					} else if profile == "gated" {
						require.Zero(t, h.up.count())
					}
				})
			}
		}
	}
}

// An answer whose end came with its trailers, but that is not complete, cannot
// be mended: a real status while headers are held, else a cut.
func TestIncompleteAnswersWithTrailers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		answer     http.HandlerFunc
	}{
		{"whole", hello, gives(200, "application/json", chatHello[:90])},
		{"streamed", helloStream, streams(": comment\n\n")},
	} {
		answer := func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-End")
			c.answer(w, r)
			w.Header().Set("X-End", "yes")
		}
		got := post(t, start(t, config("vllm", "gated"), newUpstream(answer)), c.body)
		require.Equal(t, 502, got.status, c.name)
		errorOf(t, got.body)
		got = post(t, start(t, config("vllm", "inline"), newUpstream(answer)), c.body)
		require.True(t, got.cut, c.name)
	}
}

// The end of a long answer says its text four times, and a callback gives it to the host in
// pieces, in their order.
func TestTheEndOfALongStreamComesInPieces(t *testing.T) {
	text, thought := strings.Repeat("word and ", 30_000), strings.Repeat("hm, ", 40_000)
	arguments := `{\"a\":\"` + strings.Repeat("x", 150_000) + `\"}`
	message := `"role":"assistant","reasoning":"` + thought + `","content":"` + text + `","tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"` + arguments + `"}}]`
	event := func(what string) string { return "data: {\"choices\":[{\"index\":0," + what + "}]}\n\n" }
	var deltas strings.Builder
	for said := thought; said != ""; said = said[800:] {
		deltas.WriteString(event(`"delta":{"reasoning":"` + said[:800] + `"}`))
	}
	for said := text; said != ""; said = said[900:] {
		deltas.WriteString(event(`"delta":{"content":"` + said[:900] + `"},"logprobs":{"content":[{"token":"w","logprob":-0.5,"bytes":[119],"top_logprobs":[]}]}`))
	}
	deltas.WriteString(event(`"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\""}}]}`))
	for range 150 {
		deltas.WriteString(event(`"delta":{"tool_calls":[{"index":0,"function":{"arguments":"` + strings.Repeat("x", 1000) + `"}}]}`))
	}
	deltas.WriteString(event(`"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}`) + event(`"delta":{},"finish_reason":"tool_calls"`) + "data: [DONE]\n\n")
	for name, c := range map[string]struct{ kind, answer string }{
		"in deltas":      {"text/event-stream", deltas.String()},
		"in one event":   {"text/event-stream", event(`"delta":{`+message+`},"finish_reason":"tool_calls"`) + "data: [DONE]\n\n"},
		"in no stream":   {"application/json", `{"choices":[{"index":0,"message":{` + message + `},"finish_reason":"tool_calls"}]}`},
		"and breaks off": {"text/event-stream", deltas.String()[:deltas.Len()-200]},
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+profile, func(t *testing.T) {
				h := start(t, config("vllm", profile), newUpstream(gives(200, c.kind, c.answer)))
				got := post(t, h, `{"model":"m","input":"hello","stream":true,"include":["message.output_text.logprobs"]}`)
				require.Equal(t, 200, got.status)
				checked(t, got.body)
				require.True(t, strings.HasSuffix(got.body, "data: [DONE]\n\n"))
				times := map[string]int{thought: 4, text: 4, arguments: 3}
				switch name {
				case "in deltas":
				case "and breaks off":
					times[arguments] = 0
				default: // they are one delta, too
					times = map[string]int{thought: 5, text: 5, arguments: 4}
				}
				for said, n := range times {
					require.Equal(t, n, strings.Count(got.body, said), "%.10s", said)
				}
				ends := "event: response.completed"
				if name == "and breaks off" {
					ends = "event: response.failed"
				}
				require.Equal(t, 1, strings.Count(got.body, ends))
				wait(t, h)
				nothingIsHeld(t, h)
			})
		}
	}
}
