package filter_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"antwort/filter/filtertest"

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
			require.EqualValues(t, 2, h.Counter("antwort.requests_total./v1/responses.200"))
			require.Equal(t, []int64{14, 3, 4, 0}, tokens(h))
			require.Len(t, h.Histogram("antwort.time_to_first_token_ms"), 1, "of the streamed answer")
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

// requests are the counters of requests by endpoint and code.
func requests(h *filtertest.Host) map[string]uint64 {
	all := map[string]uint64{}
	for _, name := range h.Metrics() {
		if of, is := strings.CutPrefix(name, "antwort.requests_total."); is {
			all[of] = h.Counter(name)
		}
	}
	return all
}

// A request is counted when it has ended, by its endpoint and by the status that its client got.
func TestRequestsAreCountedByEndpointAndCode(t *testing.T) {
	answers := func(status int) http.HandlerFunc {
		return gives(status, "application/json", `{"error":{"message":"m"}}`)
	}
	key := []string{"Authorization", "Bearer " + aliceKey}
	auth := []string{"auth.type", `"api_key"`, "auth.api_keys", aliceKeys}
	for name, c := range map[string]struct {
		provider     string
		more         []string // of the configuration
		answer       http.HandlerFunc
		method, path string
		body         string
		fields       []string
		want         string // with the profile gated
		inline       string // if that is another one
	}{
		"translated":               {provider: "vllm", answer: gives(200, "application/json", chatHello), want: "/v1/responses.200"},
		"streamed":                 {provider: "vllm", answer: streams(chatEvents...), body: helloStream, want: "/v1/responses.200"},
		"cut":                      {provider: "vllm", answer: streams(chatEvents[:2]...), body: helloStream, want: "/v1/responses.200"},
		"a caller with a key":      {provider: "vllm", more: auth, answer: gives(200, "application/json", chatHello), fields: key, want: "/v1/responses.200"},
		"a caller without":         {provider: "vllm", more: auth, want: "/v1/responses.401"},
		"… and without a path":     {provider: "vllm", more: auth, path: "/v1/made/up", want: "unknown.401"},
		"refused":                  {provider: "vllm", body: "{", want: "/v1/responses.400"},
		"another method":           {provider: "vllm", method: "M10000", want: "/v1/responses.405"},
		"another path":             {provider: "vllm", path: "/v1/responses/made/up", want: "unknown.404"},
		"a response":               {provider: "vllm", method: "GET", path: "/v1/responses/resp_10000", want: "/v1/responses/{id}.404"},
		"an error":                 {provider: "vllm", answer: answers(503), want: "/v1/responses.503"},
		"… of the backend's key":   {provider: "vllm", more: []string{"engine.api_key", `"sk"`}, answer: answers(401), want: "/v1/responses.502"},
		"… that the text explains": {provider: "vllm", answer: gives(500, "application/json", `{"error":{"message":"This model's maximum context length is 10 tokens"}}`), want: "/v1/responses.400", inline: "/v1/responses.500"},
		"no JSON":                  {provider: "vllm", answer: gives(200, "application/json", "[]"), want: "/v1/responses.502", inline: "/v1/responses.200"},
		"an empty stream":          {provider: "vllm", answer: streams("data: [1]\n\n"), body: helloStream, want: "/v1/responses.502", inline: "/v1/responses.200"},
		"forwarded":                {provider: "vllm-responses", answer: gives(200, "application/json", "{}"), want: "/v1/responses.200"},
		"a forwarded error":        {provider: "vllm-responses", answer: answers(429), want: "/v1/responses.429"},
		"a forwarded page":         {provider: "vllm-responses", answer: gives(500, "text/html", "<p>"), want: "/v1/responses.500"},
		"a forwarded item":         {provider: "vllm-responses", answer: gives(200, "application/json", "{}"), method: "GET", path: "/v1/responses/resp_1/input_items?after=10000", want: "/v1/responses/{id}/input_items.200"},
		"engine.pass":              {provider: "vllm", more: []string{"engine.pass", `["audio/*"]`}, answer: gives(200, "application/json", "{}"), path: "/v1/audio/10000", want: "/v1/audio/*.200"},
		"a WebSocket":              {provider: "vllm-responses", answer: answers(418), method: "GET", fields: []string{"Upgrade", "websocket", "Connection", "Upgrade"}, want: "websocket.418"},
		"a WebSocket that is none": {provider: "vllm", method: "GET", fields: []string{"Upgrade", "websocket", "Connection", "Upgrade"}, want: "/v1/responses.426"},
		"models":                   {provider: "vllm", more: []string{"auth.type", `"api_key"`, "auth.api_keys", carolKeys}, answer: gives(200, "application/json", `{"object":"list","data":[]}`), method: "GET", path: "/v1/models", fields: key, want: "/v1/models.200"},
	} {
		for _, profile := range profiles {
			t.Run(name+"/"+profile, func(t *testing.T) {
				if name == "models" && profile == "inline" {
					t.Skip("is refused at the start")
				}
				want := c.want
				if c.inline != "" && profile == "inline" {
					want = c.inline
				}
				up := newUpstream(c.answer)
				h := start(t, config(c.provider, profile, c.more...), up)
				method, path, body := cmp.Or(c.method, "POST"), cmp.Or(c.path, "/v1/responses"), cmp.Or(c.body, hello)
				var in io.Reader
				if method == "POST" {
					in = strings.NewReader(body)
				}
				got := do(t, h, method, path, in, c.fields...)
				wait(t, h)
				require.Equal(t, map[string]uint64{want: 1}, requests(h), got.body)
				require.True(t, strings.HasSuffix(want, fmt.Sprintf(".%d", got.status)) || got.cut, "the client got %d", got.status)
			})
		}
	}
}

// Who leaves before there is an answer has none.
func TestRequestsOfWhoLeavesAreCounted(t *testing.T) {
	came := make(chan struct{})
	h := start(t, config("vllm-responses", "inline"), newUpstream(func(_ http.ResponseWriter, r *http.Request) {
		close(came)
		<-r.Context().Done()
	}))
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/responses", strings.NewReader(hello))
	require.NoError(t, err)
	left := make(chan error, 1)
	go func() {
		_, err := http.DefaultTransport.RoundTrip(r) //nolint:bodyclose // there is none
		left <- err
	}()
	<-came
	leave()
	require.Error(t, <-left)
	wait(t, h)
	require.Equal(t, map[string]uint64{"/v1/responses.499": 1}, requests(h))
}

// Whatever 1,000 clients make up, there is no counter more.
func TestInventedNamesMakeNoCounters(t *testing.T) {
	h := start(t, config("vllm", "inline"), newUpstream(gives(200, "application/json", chatHello)))
	invent := func(i int) {
		name := fmt.Sprintf("invented-%d", i)
		post(t, h, `{"model":"`+name+`","input":"hi"}`, "Authorization", "Bearer "+name, "X-Antwort-Tenant", name)
		do(t, h, "GET", "/v1/responses/a/"+name, nil)
		do(t, h, fmt.Sprintf("M%d", i), "/v1/responses", nil)
	}
	invent(0)
	wait(t, h)
	before := h.Metrics()
	for i := range 333 {
		invent(1 + i)
	}
	wait(t, h)
	require.Equal(t, before, h.Metrics())
	require.Equal(t, map[string]uint64{"/v1/responses.200": 334, "unknown.404": 334, "/v1/responses.405": 334}, requests(h))
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
