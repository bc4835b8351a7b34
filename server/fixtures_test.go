package server

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/streamcheck"
)

// checkStream validates a stream that a client got.
func checkStream(t *testing.T, body string) {
	t.Helper()
	var c streamcheck.Checker
	_, _ = c.Write([]byte(body))
	for _, p := range c.Close() {
		t.Errorf("event %d: %s: %s", p.Event, p.Rule, p.Text)
	}
	if t.Failed() {
		t.Fatalf("the stream was:\n%s", body)
	}
}

// lastEvent is the type of the event before [DONE].
func lastEvent(t *testing.T, body string) string {
	t.Helper()
	require.True(t, strings.HasSuffix(body, "data: [DONE]\n\n"), "does not end with [DONE]: %s", body)
	at := strings.LastIndex(body, "event: ")
	require.GreaterOrEqual(t, at, 0)
	name, _, _ := strings.Cut(body[at+len("event: "):], "\n")
	return name
}

// Pieces of a chat stream.
const (
	chatRole   = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}` + "\n\n"
	chatFinish = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}]}` + "\n\n"
	chatUsage  = `data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}` + "\n\n"
	chatDone   = "data: [DONE]\n\n"
)

func chatText(text string) string {
	return fmt.Sprintf(`data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`+"\n\n", text)
}

const chatWhole = `{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`

const (
	ask       = `{"model":"m","input":"hi"}`
	askStream = `{"model":"m","input":"hi","stream":true}`
)

// sending starts an event stream and returns what sends pieces of it.
func sending(w http.ResponseWriter) func(string) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	flush := http.NewResponseController(w).Flush
	_ = flush()
	return func(s string) {
		_, _ = io.WriteString(w, s)
		_ = flush()
	}
}

// events reads a stream event by event.
type eventReader struct {
	t *testing.T
	r *bufio.Reader
}

func readEvents(t *testing.T, r io.Reader) *eventReader { return &eventReader{t, bufio.NewReader(r)} }

// next is the next block of lines, its blank line included; "" at the end.
func (e *eventReader) next() string {
	e.t.Helper()
	var block strings.Builder
	for {
		line, err := e.r.ReadString('\n')
		block.WriteString(line)
		if err == io.EOF && block.Len() == 0 {
			return ""
		}
		require.NoError(e.t, err)
		if line == "\n" {
			return block.String()
		}
	}
}

// until reads up to and including the event of a type and returns all of it.
func (e *eventReader) until(name string) string {
	e.t.Helper()
	var all strings.Builder
	for {
		ev := e.next()
		all.WriteString(ev)
		if ev == "" || strings.Contains(ev, "event: "+name+"\n") {
			require.NotEmpty(e.t, ev, "no %s in:\n%s", name, all.String())
			return all.String()
		}
	}
}

// wait waits for a channel.
func wait[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(guard):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}
