package server

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// HTTP/2 allows in a path what would end HTTP/1.1's request line.
func TestTargetsStayOneWord(t *testing.T) {
	lines := make(chan string, 10)
	upstream := testkit.Connections(t, func(conn net.Conn) {
		line, _ := bufio.NewReader(conn).ReadString('\n')
		if strings.Contains(line, "?") {
			lines <- line
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	})
	r := start(t, config.VLLMResponses, upstream).overHTTP2()
	req, err := http.NewRequest("GET", r.url, nil)
	require.NoError(t, err)
	req.URL = &url.URL{Scheme: "http", Host: r.addr, Path: "/v1/models", RawQuery: "a=b HTTP/1.1 c"}
	resp, err := r.client.Do(req)
	require.NoError(t, err)
	require.Equal(t, 200, finish(t, resp).status)
	require.Equal(t, "GET /v1/models?a=b%20HTTP/1.1%20c HTTP/1.1\r\n", wait(t, lines, "the upstream's request"))
}

// Answers without a body have none, whatever the upstream says of it.
func TestAnswersWithoutABody(t *testing.T) {
	answers := map[string]string{
		"/v1/models":    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
		"/v1/models/a":  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
		"/v1/models/b":  "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n",
		"/v1/models/no": "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n",
		"/v1/models/nm": "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\n\r\n",
	}
	llm := rawUpstream(t, func(conn net.Conn, _ *bufio.Reader, req *http.Request) {
		_, _ = io.WriteString(conn, answers[req.URL.Path])
	})
	r := start(t, config.VLLMResponses, llm)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"HEAD", "/v1/models", 200}, {"HEAD", "/v1/models/a", 200}, {"HEAD", "/v1/models/b", 200},
		{"GET", "/v1/models/no", 204}, {"GET", "/v1/models/nm", 304}, {"HEAD", "/v1/models/no", 204},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			conn := dial(t, r)
			conn.send(c.method + " " + c.path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			req, _ := http.NewRequest(c.method, r.url, nil)
			resp, err := http.ReadResponse(conn.r, req)
			require.NoError(t, err)
			require.Equal(t, c.status, resp.StatusCode)
			conn.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Equal(t, "ok\n", conn.answer().body, "the connection holds more than the answer")
		})
	}
}

// A client that asks for much and reads nothing is let go, also when each
// answer is small.
func TestClientsThatReadNoSmallAnswers(t *testing.T) {
	t.Parallel()
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Engine.StreamIdleTimeout = 300 * time.Millisecond })
	c := dial(t, r)
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	request := strings.Repeat("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 100)
	require.Eventually(t, func() bool {
		_ = c.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := io.WriteString(c.Conn, request)
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}, guard, time.Millisecond, "the connection is still held")
}

// Silence in the middle of a whole answer is 504, as the documents say.
func TestWholeAnswersThatStop(t *testing.T) {
	llm := rawUpstream(t, func(conn net.Conn, r *bufio.Reader, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
		_, _ = io.Copy(io.Discard, r)
	})
	quick := func(c *config.Config) { c.Engine.StreamIdleTimeout = 50 * time.Millisecond }
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		got := start(t, p, llm, quick).post(ask)
		require.Equal(t, 504, got.status, "%s: %s", p, got.body)
		got.errorCode(t)
	}
}
