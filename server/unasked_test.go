package server

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// countingUpstream answers the first completion that it is asked for with first,
// others as it should, and notes whether that one's connection served another.
type countingUpstream struct {
	url, first string
	asked      atomic.Int32
	reused     atomic.Bool
}

func newCountingUpstream(t *testing.T, first string) *countingUpstream {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	u := &countingUpstream{url: "http://" + ln.Addr().String(), first: first}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go u.serve(conn)
		}
	}()
	return u
}

func (u *countingUpstream) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for first := false; ; {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if req.Method == http.MethodGet { // the greeting has a connection of its own
			_, _ = io.WriteString(conn, wholeAnswerOf(`{"object":"list","data":[]}`))
			return
		}
		if first {
			u.reused.Store(true)
		}
		answer := wholeAnswerOf(strings.Replace(chatWhole, "hello", "right", 1))
		if first = u.asked.Add(1) == 1; first {
			answer = u.first
		}
		_, _ = io.WriteString(conn, answer)
	}
}

// After an answer that is no completion its connection serves nobody else: what
// may follow on it is not the next client's.
func TestAnswersThatAreNoCompletionEndTheirConnection(t *testing.T) {
	chunked := func(body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	}
	refusal := func(status string) string {
		return strings.Replace(wholeAnswerOf(`{"error":{"message":"no","type":"x","code":1}}`), "200 OK", status, 1)
	}
	stream := chunked(chatRole + chatText("hi") + chatFinish + chatUsage + chatDone)
	for name, c := range map[string]struct {
		ask, first string
		kept       bool
	}{
		"a completion":             {ask, wholeAnswerOf(chatWhole), true},
		"a stream":                 {askStream, stream, true},
		"no JSON":                  {ask, wholeAnswerOf("hello"), false},
		"another document":         {ask, wholeAnswerOf(`{"object":"list","data":[]}`), false},
		"a refusal":                {ask, refusal("400 Bad Request"), false},
		"a failure":                {askStream, refusal("500 Internal Server Error"), false},
		"too many requests":        {ask, refusal("429 Too Many Requests"), false},
		"a whole one for a stream": {askStream, wholeAnswerOf(chatWhole), false},
		"a stream of errors":       {askStream, chunked("data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\n"), false},
		"a stream of nothing":      {askStream, chunked(": hi\n\n"), false},
		"half a stream":            {askStream, chunked(chatRole + chatText("hi")), false},
		"a stream that fails":      {askStream, chunked(chatRole + chatText("hi") + "data: {\"error\":{\"message\":\"no\",\"code\":500}}\n\n"), false},
	} {
		t.Run(name, func(t *testing.T) {
			llm := newCountingUpstream(t, c.first)
			r := start(t, config.VLLM, llm.url)
			ready(t, r)
			r.post(c.ask)
			r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
			require.Eventually(t, func() bool { // a stream lets go of its backend last
				http1.CloseIdleConnections()
				return r.door.Taken() == 0
			}, guard, time.Millisecond)
			require.Contains(t, r.post(ask).body, "right")
			require.Equal(t, c.kept, llm.reused.Load(), "the connection served another request")
		})
	}
}
