package filter_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

// A panic in any callback fails that request only; the VM and its other
// streams live on.
func TestPanics(t *testing.T) {
	for _, profile := range profiles {
		up := newUpstream(nil)
		cfg := config("vllm", profile)
		h := filtertest.New(t, panicking, filtertest.Options{Configuration: cfg, Upstream: up, AllowOnHeadersStopIteration: profile == "gated"})
		panics := 0
		for _, c := range []struct {
			place, body string
			cut         bool // headers have left
		}{
			{"request_headers", hello, false},
			{"request_body", hello, false},
			{"response_headers", hello, false},
			{"response_headers", helloStream, false},
			{"response_body", hello, profile == "inline"},
			{"response_body", helloStream, profile == "inline"},
		} {
			t.Run(profile+"/"+c.place, func(t *testing.T) {
				answer := gives(200, "application/json", chatHello)
				if c.body == helloStream {
					answer = streams(chatEvents...)
				}
				up.set(answer)
				got := post(t, h, c.body, "X-Panic-In", c.place, "X-Request-Id", "id-2")
				panics++
				require.Equal(t, c.cut, got.cut, got.body)
				if !c.cut {
					require.Equal(t, 500, got.status)
					require.Equal(t, "internal_error", errorOf(t, got.body).Code)
					require.Equal(t, "id-2", got.header.Get("X-Request-Id"))
				}
				wait(t, h)
				require.False(t, h.Failed())
				require.EqualValues(t, panics, h.Counter("antwort.panics_total"))
				require.EqualValues(t, panics, h.Counter("antwort.failures_total.panic"))
				nothingIsHeld(t, h)
				up.set(gives(200, "application/json", chatHello))
				require.Equal(t, 200, post(t, h, hello).status, "the VM does not live on")
			})
		}
	}
	// The header means nothing to the filter that is shipped.
	h := start(t, config("vllm", "inline"), newUpstream(gives(200, "application/json", chatHello)))
	require.Equal(t, 200, post(t, h, hello, "X-Panic-In", "request_body").status)
}

// What a request held when it panicked is let go, wherever that was: the VM counts
// it no longer, and the next requests have the whole of in_flight_bytes.
func TestPanicsLetGoOfWhatWasHeld(t *testing.T) {
	const held = 1500
	request, whole := textOf(held), `{"object":"response","output":[],"text":"`+strings.Repeat("b", held)+`"}`
	event := `data: {"type":"response.output_text.delta","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n" + `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("b", held)
	chat := `{"choices":[{"message":{"content":"` + strings.Repeat("b", held)
	part := func(contentType, body string) http.HandlerFunc { // and no more
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true) // or there are no trailers
	defer transport.CloseIdleConnections()
	const eventStream, json = "text/event-stream", "application/json"
	keys := []string{"auth.type", `"api_key"`, "auth.api_keys", carolKeys}
	for _, c := range []struct {
		name, provider, place, body string
		answer                      http.HandlerFunc
		config                      []string
	}{
		{"a request", "vllm", "request_body 2", request, nil, nil},
		{"a request that is forwarded", "vllm-responses", "request_body 2", request, nil, keys},
		{"a request at its trailers", "vllm", "request_trailers", request[:len(request)-1], nil, nil},
		{"a whole answer", "vllm", "response_body 2", hello, gives(200, json, chat), nil},
		{"a whole answer that is forwarded", "vllm-responses", "response_body 2", hello, gives(200, json, whole), nil},
		{"a whole answer that is cut", "vllm", "done", hello, part(json, chat), nil},
		{"a whole answer that is forwarded and cut", "vllm-responses", "done", hello, part(json, whole[:held]), nil},
		{"an event", "vllm", "response_body 2", helloStream, streams(event, "x"), nil},
		{"an event that is forwarded", "vllm-responses", "response_body 2", helloStream, streams(event, "x"), nil},
		{"an event that is cut", "vllm", "done", helloStream, part(eventStream, event), nil},
		{"an error", "vllm", "response_body 2", hello, gives(400, json, whole), nil},
	} {
		for _, profile := range profiles {
			if c.config != nil && profile == "inline" {
				continue // reads no body that is forwarded
			}
			t.Run(c.name+"/"+profile, func(t *testing.T) {
				up := newUpstream(nil)
				h := filtertest.New(t, panicking, filtertest.Options{
					Configuration: config(c.provider, profile, append(c.config, "limits.in_flight_bytes", "8192", "limits.request_body_bytes", "8192")...),
					Upstream:      up, AllowOnHeadersStopIteration: profile == "gated",
					RequestSplit: filtertest.Every(held), ResponseSplit: filtertest.Every(held),
				})
				for i := range 10 {
					up.set(c.answer)
					r, err := http.NewRequest("POST", h.URL+"/v1/responses", unsized(c.body))
					require.NoError(t, err)
					r.Header = http.Header{"Content-Type": {json}, "X-Panic-In": {c.place}, "X-Api-Key": {aliceKey}}
					if c.place == "request_trailers" {
						r.Trailer = http.Header{"X-T": {"1"}}
					}
					if resp, err := transport.RoundTrip(r); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					wait(t, h)
					require.False(t, h.Failed())
					require.EqualValues(t, i+1, h.Counter("antwort.panics_total"), "it has not come there")
					nothingIsHeld(t, h)
				}
				up.set(gives(200, json, chatHello))
				require.Equal(t, 200, post(t, h, request, "X-Api-Key", aliceKey).status, "the VM believes that it still holds them")
			})
		}
	}
}
