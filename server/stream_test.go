package server

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

var wholeStream = []string{chatRole, chatText("one "), chatText("two"), chatFinish, chatUsage, chatDone}

// A stream that the upstream cuts, wherever, ends with a terminal event, and
// never as completed before its finish_reason came.
func TestCutStreams(t *testing.T) {
	t.Parallel()
	all := strings.Join(wholeStream, "")
	var cut atomic.Pointer[func(w http.ResponseWriter)]
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		(*cut.Load())(w)
	}))
	back := start(t, config.VLLM, llm)
	front := back.front()
	finishAt := strings.Index(all, chatFinish) + len(chatFinish)
	few := 0
	if raceDetector {
		few = 5
	}
	for at := 0; at < len(all); at += 1 + few + at%7 {
		for _, proper := range []bool{true, false} { // the body's end, or the connection's
			step := func(w http.ResponseWriter) {
				sending(w)(all[:at])
				if !proper {
					panic(http.ErrAbortHandler)
				}
			}
			cut.Store(&step)
			for _, r := range []*running{back, front} {
				got := r.post(askStream)
				if at < len(chatRole) {
					require.Equal(t, 502, got.status, "cut at %d: nothing came, so a status is possible", at)
					_, _, code := got.errorCode(t)
					require.Equal(t, "upstream_cut", code)
					continue
				}
				require.Equal(t, 200, got.status)
				checkStream(t, got.body)
				want := "response.failed"
				if at >= finishAt {
					want = "response.completed"
				}
				require.Equal(t, want, lastEvent(t, got.body), "cut at %d of %q", at, all)
			}
		}
	}
}

// A backend that dies under the frontend: the frontend ends the stream itself.
func TestForwardedStreamsThatAreCut(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	whole := start(t, config.VLLM, llm).post(`{"model":"/mnt/models","input":"Count from 1 to 5.","stream":true}`)
	require.Equal(t, 200, whole.status)
	terminal := strings.Index(whole.body, "event: response.completed")
	var cut atomic.Int64
	back := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		sending(w)(whole.body[:cut.Load()])
		panic(http.ErrAbortHandler)
	}))
	front := start(t, config.VLLMResponses, back)
	created := strings.Index(whole.body, "\n\n") + 2
	for at := 0; at < len(whole.body); at += 1 + at%97 {
		cut.Store(int64(at))
		got := front.post(askStream)
		if at < created { // no event passed: there is a status
			require.Contains(t, got.body, "upstream_cut")
			continue
		}
		require.Equal(t, 200, got.status)
		if at > terminal && strings.Contains(got.body, "response.completed") {
			require.True(t, strings.HasPrefix(whole.body, got.body))
			continue
		}
		require.Equal(t, "response.failed", lastEvent(t, got.body), "cut at %d", at)
		checkStream(t, got.body)
	}
}

// A forwarded stream that fails at the backend's own word counts as one that
// went wrong, also when its end comes later than that word.
func TestForwardedFailuresAreCounted(t *testing.T) {
	told := make(chan struct{})
	back := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		send := sending(w)
		send("event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":0,\"response\":{}}\n\n")
		<-told
		send(chatDone)
	}))
	front := start(t, config.VLLMResponses, back)
	resp := front.open("POST", "/v1/responses", strings.NewReader(askStream), "Content-Type", "application/json")
	readEvents(t, resp.Body).until("response.failed")
	close(told)
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	front.log.waitFor(t, `"stream":true`, `"failure":"upstream_stream"`)
}

// A stream that fails at the model server's own word counts as one that went
// wrong in every tier.
func TestStreamsThatFailByThemselves(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	for _, r := range []*running{back, back.front()} {
		got := r.post(`{"model":"/mnt/models","input":"mock: finish=error","stream":true}`)
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, "response.failed", lastEvent(t, got.body))
		r.log.waitFor(t, `"failure":"upstream_stream"`)
	}
}

// An error in the place of the first event becomes a real status.
func TestInBandErrors(t *testing.T) {
	for _, c := range []struct {
		name, first string
		status      int
		code        string
	}{
		{"bad request", `{"error":{"message":"too long: This model's maximum context length is 10 tokens","type":"BadRequestError","param":"input_tokens","code":400}}`, 400, "context_length_exceeded"},
		{"overload", `{"error":{"message":"busy","type":"x","param":null,"code":429}}`, 429, ""},
		{"server", `{"error":{"message":"EngineCore encountered an issue at /usr/lib/x.py","type":"InternalServerError","param":null,"code":500}}`, 500, "upstream_error"},
		{"not JSON", `what`, 502, "upstream_invalid_answer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				sending(w)("data: " + c.first + "\n\n" + chatDone)
			}))
			back := start(t, config.VLLM, llm)
			for _, r := range []*running{back, back.front()} {
				got := r.post(askStream)
				require.Equal(t, c.status, got.status, got.body)
				_, _, code := got.errorCode(t)
				if c.code != "" {
					require.Equal(t, c.code, code)
				}
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.NotContains(t, got.body, "/usr/lib")
			}
		})
	}
	t.Run("later", func(t *testing.T) {
		llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			sending(w)(chatRole + chatText("a") + `data: {"error":{"message":"boom","type":"x","param":null,"code":500}}` + "\n\n" + chatDone)
		}))
		back := start(t, config.VLLM, llm)
		for _, r := range []*running{back, back.front()} {
			got := r.post(askStream)
			require.Equal(t, 200, got.status)
			checkStream(t, got.body)
			require.Equal(t, "response.failed", lastEvent(t, got.body))
		}
	})
}

// Upstream answers that fit no request become 502, not half a stream.
func TestWrongKindsOfAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		answer     func(http.ResponseWriter)
	}{
		{"stream for a whole", ask, streamingAll},
		{"html", ask, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>10.0.0.1") }},
		{"html for a stream", askStream, func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>10.0.0.1") }},
		{"redirect", ask, func(w http.ResponseWriter) { w.Header().Set("Location", "http://x"); w.WriteHeader(302) }},
		{"cut", ask, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, chatWhole)
			panic(http.ErrAbortHandler)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{steps: []func(http.ResponseWriter){c.answer}}
			back := start(t, config.VLLM, upstreamOf(t, s))
			for _, r := range []*running{back, back.front()} {
				got := r.post(c.body)
				require.Equal(t, 502, got.status, got.body)
				got.errorCode(t)
				require.NotContains(t, got.body, "10.0.0.1")
			}
		})
	}
}

// An event over the limit ends the stream instead of filling the memory.
func TestEventOverTheLimit(t *testing.T) {
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		send := sending(w)
		send(chatRole + chatText("a"))
		send(chatText(strings.Repeat("x", 100<<10)))
		<-r.Context().Done()
	}))
	limit := func(c *config.Config) { c.Limits.EventBytes = 32 << 10 }
	for _, r := range []*running{start(t, config.VLLM, llm, limit), start(t, config.VLLM, llm).front(limit)} {
		got := r.post(askStream)
		checkStream(t, got.body)
		require.Equal(t, "response.failed", lastEvent(t, got.body))
	}
}

// Hundreds of streams at once do not mix.
func TestManyStreams(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	front := back.front()
	ready(t, front)
	before := runtime.NumGoroutine()
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			word := strings.Repeat("w", i%40+1) + string(rune('a'+i%26))
			got := front.post(`{"model":"/mnt/models","stream":true,"input":"mock: delay=1ms text=\"` + word + `\""}`)
			if got.status != 200 || !strings.Contains(got.body, `"text":"`+word+`"`) || lastEvent(t, got.body) != "response.completed" {
				t.Errorf("status %d, no %q in %s", got.status, word, got.body)
			}
			checkStream(t, got.body)
		})
	}
	wg.Wait()
	recorded(t, back, front)
	require.EqualValues(t, 0, metric(t, back, "antwort_streams_in_flight"))
	require.EqualValues(t, 0, metric(t, front, "antwort_streams_in_flight"))
	http1.CloseIdleConnections()
	front.first.pools.CloseIdle(nil)
	back.first.pools.CloseIdle(nil)
	require.Eventually(t, func() bool { return runtime.NumGoroutine() <= before+10 }, guard, 10*time.Millisecond,
		"goroutines are left: %d before", before)
}

// A whole answer becomes the events of the stream that was asked for, and an
// error in one its own status.
func TestWholeAnswersForStreams(t *testing.T) {
	s := &scripted{steps: []func(http.ResponseWriter){answering}}
	back := start(t, config.VLLM, upstreamOf(t, s))
	for _, r := range []*running{back, back.front()} {
		got := r.post(askStream)
		require.Equal(t, 200, got.status, got.body)
		require.Equal(t, "response.completed", lastEvent(t, got.body))
	}
	s = &scripted{steps: []func(http.ResponseWriter){func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"error":{"message":"no such model","type":"NotFoundError","param":"model","code":404}}`)
	}}}
	back = start(t, config.VLLM, upstreamOf(t, s))
	for _, r := range []*running{back, back.front()} {
		got := r.post(askStream)
		require.Equal(t, 404, got.status, got.body)
		_, _, code := got.errorCode(t)
		require.Equal(t, "model_not_found", code)
	}
}

// What an answer is that no header calls an event stream, its first byte tells.
func TestAnswersOfAnyTypeForStreams(t *testing.T) {
	const (
		whole  = `{"choices":[{"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`
		chunks = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
	)
	for _, mediaType := range []string{"", "application/json", "application/problem+json", "text/json", "text/plain; charset=utf-8", "text/html", "application/octet-stream"} {
		for _, c := range []struct {
			text   string
			status int
			code   string // of the error
		}{
			{whole, 200, ""},
			{"\r\n " + whole, 200, ""},
			{"\ufeff" + whole, 200, ""},
			{chunks, 200, ""},
			{": hello\n\n" + chunks, 200, ""},
			{`{"error":{"message":"quota gone","code":429}}`, 429, ""},
			{"\ufeff" + `{"error":{"message":"This model's maximum context length is 10 tokens","code":400}}`, 400, "context_length_exceeded"},
			{`{"message":"slow down","type":"rate_limit","code":429}`, 429, ""},
			{"<html>", 502, "upstream_invalid_answer"},
			{"what", 502, "upstream_invalid_answer"},
			{"[]", 502, "upstream_invalid_answer"},
		} {
			s := &scripted{steps: []func(http.ResponseWriter){func(w http.ResponseWriter) {
				w.Header()["Content-Type"] = nil
				if mediaType != "" {
					w.Header().Set("Content-Type", mediaType)
				}
				_, _ = io.WriteString(w, c.text)
			}}}
			got := start(t, config.VLLM, upstreamOf(t, s)).post(askStream)
			require.Equal(t, c.status, got.status, "%s: %s: %s", mediaType, c.text, got.body)
			if c.status == 200 {
				require.Equal(t, "response.completed", lastEvent(t, got.body))
				require.Contains(t, got.body, `"text":"Hi"`)
				continue
			}
			_, _, code := got.errorCode(t)
			require.Equal(t, c.code, code, got.body)
		}
	}
}

// Who is answered without some of the tools is told so, in every tier and in the
// log.
func TestDroppedToolsAreTold(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm, func(c *config.Config) { c.Translation.UnsupportedTools = config.Drop })
	const tools = `,"tools":[{"type":"web_search"},{"type":"function","name":"f"},{"type":"x y"},{"type":"web_search"}]}`
	for _, r := range []*running{back, back.front()} {
		for _, body := range []string{`{"model":"/mnt/models","input":"hi"`, `{"model":"/mnt/models","stream":true,"input":"hi"`} {
			got := r.post(body + tools)
			require.Equal(t, 200, got.status, got.body)
			require.Equal(t, "web_search, other", got.header.Get("X-Antwort-Dropped-Tools"))
			require.Empty(t, r.post(body+"}").header.Get("X-Antwort-Dropped-Tools"))
		}
	}
	back.log.waitFor(t, `"dropped_tools":"web_search, other"`)
	const history = `{"model":"/mnt/models","input":[{"role":"user","content":"hi"},{"type":"web_search_call","id":"w","status":"completed","action":{}},{"type":"web_search_call","id":"x"},` +
		`{"type":"mcp_list_tools","id":"m","tools":[]},{"role":"user","content":"on"}]`
	for _, r := range []*running{back, back.front()} {
		require.Equal(t, "web_search_call, mcp_list_tools", r.post(history+"}").header.Get("X-Antwort-Dropped-Tools"))
		require.Equal(t, "web_search, web_search_call, mcp_list_tools", r.post(history+`,"tools":[{"type":"web_search"}]}`).header.Get("X-Antwort-Dropped-Tools"))
	}
	back.log.waitFor(t, `"dropped_tools":"web_search_call, mcp_list_tools"`)
}
