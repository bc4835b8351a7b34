package filter_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	hello       = `{"model":"m","input":"hello"}`
	helloStream = `{"model":"m","input":"hello","stream":true}`
	chatHello   = `{"choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}`
)

var chatEvents = []string{
	`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{"content":" there"}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n",
	`data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}` + "\n\n",
	"data: [DONE]\n\n",
}

// gives answers with a status and a body, whole, once it has the request.
func gives(status int, contentType, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", contentType)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// streams answers with a stream in the given pieces, each flushed.
func streams(pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, p := range pieces {
			_, _ = io.WriteString(w, p)
			w.(http.Flusher).Flush()
		}
	}
}

// got is what a client got.
type got struct {
	status  int
	header  http.Header
	trailer http.Header
	body    string
	cut     bool // the answer did not come to its end
}

func post(t testing.TB, url, body string, header ...string) got {
	t.Helper()
	return send(t, http.DefaultTransport, request(t, url, strings.NewReader(body), header...))
}

func request(t testing.TB, url string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", url+"/v1/responses", body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func send(t testing.TB, by http.RoundTripper, r *http.Request) got {
	t.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	resp, err := by.RoundTrip(r.WithContext(ctx))
	if err != nil {
		require.NoError(t, ctx.Err(), "no answer within a minute")
		return got{cut: true}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, ctx.Err(), "the answer did not end within a minute; so far %s", b)
	return got{resp.StatusCode, resp.Header, resp.Trailer, string(b), err != nil}
}

// unsized hides a body's length, so that it is sent chunked.
func unsized(body string) io.Reader { return struct{ io.Reader }{strings.NewReader(body)} }

// http2 is a client that speaks HTTP/2 with prior knowledge.
func http2(t testing.TB) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// code reads the code of an error in OpenAI's shape, and checks that it is one.
func code(t testing.TB, g got) string {
	t.Helper()
	var doc struct {
		Error map[string]any `json:"error"`
	}
	require.NoError(t, json.Unmarshal([]byte(g.body), &doc), "expected an error in OpenAI's shape, got %s", g.body)
	require.Len(t, doc.Error, 4, "expected message, type, param and code, got %s", g.body)
	require.NotEmpty(t, doc.Error["message"])
	require.Equal(t, "application/json", g.header.Get("Content-Type"))
	s, _ := doc.Error["code"].(string)
	return s
}
