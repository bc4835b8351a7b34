package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// tap records what the backend answers, for the frontend's answer to be
// compared with.
type tap struct {
	http.Handler
	mu   sync.Mutex
	last *httptest.ResponseRecorder
}

type tapWriter struct {
	http.ResponseWriter
	rec *httptest.ResponseRecorder
}

func (w tapWriter) WriteHeader(status int) {
	for name, values := range w.Header() {
		w.rec.Header()[name] = values
	}
	w.rec.WriteHeader(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w tapWriter) Write(p []byte) (int, error) {
	w.rec.Write(p)
	return w.ResponseWriter.Write(p)
}

func (w tapWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (tp *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	tp.Handler.ServeHTTP(tapWriter{w, rec}, r)
	tp.mu.Lock()
	tp.last = rec
	tp.mu.Unlock()
}

// A client of the frontend gets byte for byte what the backend gave.
func TestChainPassesBytes(t *testing.T) {
	_, llm := mock(t, mockllm.Options{ReasoningParser: true})
	s, err := New(defaults(config.VLLM, llm), Options{})
	require.NoError(t, err)
	tp := &tap{Handler: s}
	back := httptest.NewServer(tp)
	t.Cleanup(back.Close)
	front := start(t, config.VLLMResponses, back.URL)
	ready(t, front) // or its greeting is taken for the last answer
	const tools = `"tools":[{"type":"function","name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}},{"type":"custom","name":"patch"}],`
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"text", `"input":"What is the capital of France?"`, 200},
		{"unicode", `"input":"grüß dich \u0000 😀"`, 200},
		{"tools", tools + `"tool_choice":"required","input":"weather in Paris"`, 200},
		{"parallel tools", tools + `"input":"mock: calls=3"`, 200},
		{"custom tool", tools + `"input":"mock: call=patch"`, 200},
		{"reasoning", `"input":"mock: reasoning=1"`, 200},
		{"incomplete", `"max_output_tokens":16,"input":"mock: tokens=40"`, 200},
		{"refusal", `"input":"mock: refusal=no"`, 200},
		{"logprobs", `"top_logprobs":2,"include":["message.output_text.logprobs"],"input":"hi"`, 200},
		{"json_schema", `"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}},"input":"hi"`, 200},
		{"cut", `"input":"mock: cut-after=4"`, 0},
		{"no end", `"input":"mock: end-after=4"`, 0},
		{"error later", `"input":"mock: error-after=4"`, 0},
		{"error at once", `"input":"mock: error-after=0"`, 0},
		{"garbage", `"input":"mock: garbage-after=3"`, 0},
		{"invalid", `"input":{}`, 400},
		{"rate limit", `"input":"mock: status=429 retry-after=77"`, 429},
		{"overload", `"input":"mock: status=503 retry-after=66"`, 503},
		{"html error", `"input":"mock: status=500 error-body=html"`, 500},
		{"dropped", `"input":"mock: drop=1"`, 502},
	} {
		for _, stream := range []string{"", `"stream":true,`} {
			t.Run(c.name+stream, func(t *testing.T) {
				got := front.post(`{"model":"/mnt/models",`+stream+c.body+`}`, "X-Request-Id", "chain")
				tp.mu.Lock()
				want := tp.last
				tp.mu.Unlock()
				if c.status != 0 {
					require.Equal(t, c.status, got.status, got.body)
				}
				require.Equal(t, want.Code, got.status)
				require.Equal(t, want.Body.String(), got.body)
				for _, name := range []string{"Content-Type", "Cache-Control", "Retry-After", "X-Request-Id"} {
					require.Equal(t, want.Header()[name], got.header[name], name)
				}
				if got.status == 200 && stream != "" {
					require.Equal(t, "text/event-stream", got.header.Get("Content-Type"))
					checkStream(t, got.body)
				}
			})
		}
	}
}

func defaults(p config.Provider, backend string) *config.Config {
	cfg := config.Default()
	cfg.Engine.Provider, cfg.Engine.BackendURL = p, backend
	return cfg
}

// Events pass as they come: the upstream sends the next one only when the
// client has the one before.
func TestEventsPassAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := sending(w)
		for _, piece := range []string{chatRole, chatText("a"), chatText("b"), chatText("c"), chatFinish, chatUsage} {
			send(piece)
			<-next
		}
		send(chatDone)
	}))
	back := start(t, config.VLLM, llm)
	front := back.front()
	for _, r := range []*running{back, front, front.overHTTP2()} {
		resp := r.open("POST", "/v1/responses", bytes.NewReader([]byte(askStream)))
		ev := readEvents(t, resp.Body)
		for _, name := range []string{"response.in_progress", "response.output_text.delta", "response.output_text.delta",
			"response.output_text.delta", "", "response.completed"} {
			if name != "" {
				ev.until(name)
			}
			next <- struct{}{}
		}
		require.Equal(t, chatDone, ev.next())
		require.Empty(t, ev.next())
		resp.Body.Close()
	}
}

// The frontend passes what concerns the request, and nothing of the connection.
func TestForwardedHeaders(t *testing.T) {
	type seen struct {
		header http.Header
		uri    string
		host   string
	}
	got := make(chan seen, 1)
	backend := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		got <- seen{r.Header, r.RequestURI, r.Host}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Openai-Processing-Ms", "12")
		h.Set("X-Request-Id", "theirs")
		h.Set("Connection", "X-Hop")
		h.Set("X-Hop", "1")
		h.Set("Keep-Alive", "timeout=5")
		h.Add("X-Many", "1")
		h.Add("X-Many", "2")
		_, _ = io.WriteString(w, `{"ok":true}`)
	}))
	send := func(r *running) (seen, answer) {
		a := r.call("POST", "/v1/responses?trace=1", ask, "Authorization", "Bearer client", "Connection", "X-Private, close",
			"X-Private", "1", "Te", "trailers", "Proxy-Authorization", "x", "Traceparent", "00-1", "Openai-Beta", "x", "Accept-Encoding", "gzip", "X-Request-Id", "ours")
		return wait(t, got, "the backend's request"), a
	}
	up, a := send(start(t, config.VLLMResponses, backend))
	for name, want := range map[string]string{"Authorization": "Bearer client", "Openai-Beta": "x", "Traceparent": "00-1",
		"X-Private": "", "Te": "", "Proxy-Authorization": "", "Connection": "", "Accept-Encoding": "identity", "X-Request-Id": "ours", "Content-Type": "application/json"} {
		require.Equal(t, want, up.header.Get(name), name)
	}
	require.Equal(t, "/v1/responses?trace=1", up.uri)
	require.Equal(t, backend, "http://"+up.host)
	require.Equal(t, "12", a.header.Get("Openai-Processing-Ms"))
	require.Equal(t, []string{"1", "2"}, a.header["X-Many"])
	require.Equal(t, []string{"ours"}, a.header["X-Request-Id"])
	require.Empty(t, a.header.Get("X-Hop"))
	require.Empty(t, a.header.Get("Keep-Alive"))
	require.Equal(t, `{"ok":true}`, a.body)

	key := func(c *config.Config) { c.Engine.APIKey = config.NewSecret("own") }
	up, _ = send(start(t, config.VLLMResponses, backend, key))
	require.Equal(t, []string{"Bearer own"}, up.header["Authorization"])
}

// Provider vllm speaks for itself: nothing of the client's header but tracing
// reaches the model server, its credential least of all.
func TestTranslatedHeaders(t *testing.T) {
	got := make(chan http.Header, 1)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		answering(w)
	}))
	for _, c := range []struct{ key, want string }{{"", ""}, {"own", "Bearer own"}} {
		r := start(t, config.VLLM, llm, func(cfg *config.Config) { cfg.Engine.APIKey = config.NewSecret(c.key) })
		a := r.post(ask, "Authorization", "Bearer client", "Cookie", "a=b", "Traceparent", "00-1", "X-Request-Id", "ours")
		up := wait(t, got, "the upstream's request")
		require.Equal(t, c.want, up.Get("Authorization"))
		require.Equal(t, "00-1", up.Get("Traceparent"))
		require.Equal(t, "ours", up.Get("X-Request-Id"))
		require.Empty(t, up.Get("Cookie"))
		require.Equal(t, "application/json", a.header.Get("Content-Type"))
		require.NotContains(t, r.log.String(), "Bearer")
	}
}

// The model server refusing our own key is not the client's fault.
func TestOwnKeyRefused(t *testing.T) {
	_, llm := mock(t, mockllm.Options{APIKey: "right"})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.APIKey = config.NewSecret("wrong") })
	for _, body := range []string{ask, askStream} {
		got := r.post(body)
		require.Equal(t, 502, got.status)
		_, _, code := got.errorCode(t)
		require.Equal(t, "upstream_auth", code)
	}
	r = start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.APIKey = config.NewSecret("right") })
	require.Equal(t, 200, r.post(`{"model":"/mnt/models","input":"hi"}`).status)
}

// A backend may answer before it has the whole body, with a stream too.
func TestForwardEarlyAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		status int
	}{
		{"refusal", refusing(413, ""), 413},
		{"stream", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, ": hello\n\n"+chatDone)
		}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			backend := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				_ = http.NewResponseController(w).EnableFullDuplex()
				c.answer(w)
			}))
			r := start(t, config.VLLMResponses, backend)
			raw := dial(t, r)
			raw.send("POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
			raw.send(strings.Repeat("x", 200_000)) // and no more
			resp, err := http.ReadResponse(raw.r, nil)
			require.NoError(t, err)
			require.Equal(t, c.status, resp.StatusCode)
			r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
		})
	}
}
