package mockllm_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
)

func readBody(t *testing.T, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(b)
}

// streamed posts a streaming request; err is how reading the body ended.
func streamed(t *testing.T, url, prompt, fields string) (res *http.Response, body string, err error) {
	t.Helper()
	text, _ := json.Marshal(prompt)
	res, err = http.Post(url+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"messages":[{"role":"user","content":`+string(text)+`}],"stream":true,"stream_options":{"include_usage":true}`+fields+`}`))
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res, string(b), err
}

func TestSteeredFaults(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	const say = "hi\nmock: text=\"a b c\" "
	for name, tt := range map[string]struct {
		line   string
		status int
		events int
		err    bool
		ends   string
	}{
		"none":           {"", 200, 7, false, "data: [DONE]\n\n"},
		"status":         {"status=503 retry-after=2", 503, 0, false, `{"error":{"message":"mock: Service Unavailable","type":"ServiceUnavailableError","param":null,"code":503}}`},
		"flat error":     {"status=400 error-body=flat", 400, 0, false, `{"code":400,"message":"mock: Bad Request","object":"error","param":null,"type":"MockError"}`},
		"html error":     {"status=502 error-body=html", 502, 0, false, "</html>\n"},
		"empty error":    {"status=500 error-body=empty", 500, 0, false, ""},
		"cut at once":    {"cut-after=0", 200, 0, true, ""},
		"cut":            {"cut-after=2", 200, 2, true, "\n\n"},
		"cut in bytes":   {"cut-bytes=300", 200, 1, true, ""},
		"ends early":     {"end-after=3", 200, 3, false, "\n\n"},
		"error in band":  {"error-after=3", 200, 5, false, `data: {"error":{"message":"Internal server error","type":"InternalServerError","param":null,"code":500}}` + "\n\ndata: [DONE]\n\n"},
		"error at first": {"error-after=0", 200, 2, false, "data: [DONE]\n\n"},
		"garbage":        {"garbage-after=1", 200, 8, false, "data: [DONE]\n\n"},
		"no done":        {"no-done", 200, 6, false, "\"}\n\n"},
		"no usage":       {"no-usage", 200, 6, false, "data: [DONE]\n\n"},
		"finish":         {"finish=content_filter", 200, 7, false, "data: [DONE]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			res, body, err := streamed(t, server.URL, say+tt.line, "")
			require.NotNil(t, res, "%v", err)
			assert.Equal(t, tt.status, res.StatusCode)
			assert.Equal(t, tt.err, err != nil, "%v", err)
			assert.Equal(t, tt.events, strings.Count(body, "\n\n"), body)
			assert.True(t, strings.HasSuffix(body, tt.ends), body)
		})
	}
	_, _, err := streamed(t, server.URL, say+"drop", "")
	assert.Error(t, err)
}

func TestFaultsOfTheFirstTry(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	for _, want := range []int{429, 429, 200, 200} {
		res, _, err := streamed(t, server.URL, "hi\nmock: status=429 times=2", "")
		require.NoError(t, err)
		assert.Equal(t, want, res.StatusCode)
	}
	res, _, err := streamed(t, server.URL, "another\nmock: status=429 times=2", "")
	require.NoError(t, err)
	assert.Equal(t, 429, res.StatusCode, "another body counts for itself")
}

// All forms of the bytes mean the same events.
func TestFormsOfTheBytes(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	plain := func(form string) []string {
		_, body, err := streamed(t, server.URL, "hi\nmock: text=\"a b c\" "+form, "")
		require.NoError(t, err)
		body = strings.NewReplacer("\r\n", "\n", "\r", "\n", "data: ", "data:", ": comment\n\n", "").Replace(body)
		return pattern(t, []byte(strings.ReplaceAll(body, "data:", "data: ")))
	}
	want := plain("")
	for _, form := range []string{"eol=crlf", "eol=cr", "no-space", "comments", "chunk=bytes", "chunk=7 eol=crlf", "burst=3"} {
		assert.Equal(t, want, plain(form), form)
	}
}

func TestInterleavedCalls(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	_, body, err := streamed(t, server.URL, "time and weather\nmock: interleave", `,"tools":[`+weather+`,`+clock+`]`)
	require.NoError(t, err)
	var order []int
	args := map[int]string{}
	for line := range strings.Lines(body) {
		var chunk struct {
			Choices []struct {
				Delta struct {
					ToolCalls []struct {
						Index    int
						Function struct{ Arguments string }
					} `json:"tool_calls"`
				}
			}
		}
		data, ok := strings.CutPrefix(line, "data: {")
		if !ok {
			continue
		}
		require.NoError(t, json.Unmarshal([]byte("{"+data), &chunk))
		for _, c := range chunk.Choices {
			for _, call := range c.Delta.ToolCalls {
				order = append(order, call.Index)
				args[call.Index] += call.Function.Arguments
			}
		}
	}
	assert.Equal(t, []int{0, 1, 0, 1, 0, 1}, order[:6])
	assert.Equal(t, map[int]string{0: `{"city": "time and weather", "unit": "c"}`, 1: `{"zone": 1}`}, args)
}

func TestExactlySoManyTokens(t *testing.T) {
	fixed := httptest.NewServer(mockllm.New(mockllm.Options{Tokens: 100}))
	defer fixed.Close()
	_, body, err := streamed(t, fixed.URL, "hi", "")
	require.NoError(t, err)
	assert.Equal(t, 100, strings.Count(body, `"delta":{"content":" token"}`))
	assert.Contains(t, body, `"completion_tokens":101`)
	_, body, err = streamed(t, fixed.URL, "hi\nmock: tokens=3 token-bytes=10", "")
	require.NoError(t, err)
	assert.Equal(t, 3, strings.Count(body, `"delta":{"content":" token`))
}

func TestClientAbortIsSeen(t *testing.T) {
	mock := mockllm.New(mockllm.Options{Delay: time.Hour})
	server := httptest.NewServer(mock)
	defer server.Close()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/chat/completions", strings.NewReader(`{`+hi+`,"stream":true}`))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, `"role":"assistant"`)
	assert.Equal(t, int64(1), mock.Stats().Active)
	cancel()

	asked, err := http.Get(server.URL + "/mock/stats?aborted=1&idle=1&wait=10s")
	require.NoError(t, err)
	assert.JSONEq(t, `{"requests":1,"active":0,"completed":0,"refused":0,"faults":0,"aborted":1}`, readBody(t, asked))
}

func BenchmarkStream100Tokens(b *testing.B) {
	mock := mockllm.New(mockllm.Options{Tokens: 100})
	body := `{` + hi + `,"stream":true,"stream_options":{"include_usage":true}}`
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		mock.ServeHTTP(&discard{header: http.Header{}}, r)
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}
