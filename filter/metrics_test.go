package filter_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMetrics(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			up := newUpstream(gives(200, "application/json", chatHello))
			h := start(t, config("vllm", profile), up)
			require.Equal(t, 200, post(t, h, hello).status)
			up.set(streams(chatEvents...))
			require.Equal(t, 200, post(t, h, helloStream).status)
			wait(t, h)
			require.EqualValues(t, 2, h.Counter("antwort.requests_total"))
			require.Equal(t, []int64{14, 3, 4, 0}, tokens(h))
			require.Len(t, h.Histogram("antwort.time_to_first_token_ms"), 2)
			nothingIsHeld(t, h)
			for _, name := range h.Metrics() {
				if len(name) > 23 && name[:23] == "antwort.failures_total." {
					require.Zero(t, h.Counter(name), name)
				}
			}

			for kind, break_ := range map[string]func(){
				"invalid_request": func() { post(t, h, "{") },
				"wrong_method":    func() { do(t, h, "GET", "/v1/responses", nil) },
				"unknown_path":    func() { do(t, h, "GET", "/v1/responses/a/b", nil) },
				"not_stored":      func() { do(t, h, "GET", "/v1/responses/a", nil) },
				"upstream_status": func() { up.set(gives(500, "text/plain", "")); post(t, h, hello) },
				"upstream_answer": func() { up.set(gives(200, "application/json", "[]")); post(t, h, hello) },
				"upstream_stream": func() { up.set(streams(chatEvents[:2]...)); post(t, h, helloStream) },
				"cut": func() {
					up.set(func(w http.ResponseWriter, r *http.Request) {
						streams(chatEvents[:2]...)(w, r)
						panic(http.ErrAbortHandler)
					})
					post(t, h, helloStream)
				},
			} {
				break_()
				wait(t, h)
				require.EqualValues(t, 1, h.Counter("antwort.failures_total."+kind), kind)
			}
		})
	}
}

// Who is answered without some of the tools is told so.
func TestDroppedToolsAreTold(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			up := newUpstream(gives(200, "application/json", chatHello))
			h := start(t, config("vllm", profile, "translation.unsupported_tools", `"drop"`), up)
			const tools = `,"tools":[{"type":"web_search"},{"type":"function","name":"f"}]}`
			require.Equal(t, "web_search", post(t, h, `{"model":"m","input":"hi"`+tools).header.Get("X-Antwort-Dropped-Tools"))
			require.Empty(t, post(t, h, hello).header.Get("X-Antwort-Dropped-Tools"))
			up.set(streams(chatEvents...))
			require.Equal(t, "web_search", post(t, h, `{"model":"m","stream":true,"input":"hi"`+tools).header.Get("X-Antwort-Dropped-Tools"))
			wait(t, h)
			require.EqualValues(t, 2, h.Counter("antwort.dropped_tools_total"))
		})
	}
}
