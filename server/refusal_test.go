package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// What net/http refuses by itself has the body of all errors, on new and on
// used connections.
func TestRefusalsOfNetHTTP(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.MaxHeaderBytes = 8 << 10 })
	uses := map[string]func(*rawClient){
		"new": func(*rawClient) {},
		"used": func(c *rawClient) {
			c.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Equal(t, 404, c.answer().status)
		},
		"streamed": func(c *rawClient) {
			c.send(request(`{"model":"/mnt/models","input":"hi","stream":true}`))
			require.Equal(t, 200, c.answer().status)
		},
	}
	for _, c := range []struct {
		name, request string
		status        int
		code          string
		message       string
	}{
		{"garbage", "what is this\r\n\r\n", 400, "invalid_http", "not valid HTTP"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, "invalid_http", "missing required Host"},
		{"two lengths", "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "invalid_http", "not valid"},
		{"a bad length", "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400, "invalid_http", "not valid"},
		{"a space before the colon", "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n", 400, "invalid_http", "not valid"},
		{"version", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505, "invalid_http", "version"},
		{"long header", "GET / HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", 431, "header_too_large", "limit"},
		{"coding", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501, "unsupported_transfer_encoding", "chunked"},
		{"two codings", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "unsupported_transfer_encoding", "chunked"},
		{"expectation", "POST /v1/responses HTTP/1.1\r\nHost: x\r\nExpect: wonders\r\nContent-Length: 0\r\n\r\n", 417, "unsupported_expectation", "100-continue"},
	} {
		for name, use := range uses {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				conn := dial(t, r)
				use(conn)
				conn.send(c.request)
				got := conn.answer()
				require.Equal(t, c.status, got.status, got.body)
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.Contains(t, got.body, c.message)
				_, _, code := got.errorCode(t)
				require.Equal(t, c.code, code)
				_, _ = io.Copy(io.Discard, conn.r) // a reset may follow the answer
			})
		}
	}
}

// What a backend answers is not touched, even when it looks like a refusal.
func TestAnswersThatLookLikeRefusals(t *testing.T) {
	text := strings.Repeat("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request", 300)
	r := start(t, config.VLLMResponses, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(400)
		_, _ = w.Write([]byte(text))
	})))
	for range 3 {
		require.Equal(t, text, r.call("GET", "/v1/models", "").body)
	}
}
