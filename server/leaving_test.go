package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// ways are those by which a client of HTTP/1.1 gets an answer: the connection
// taken over or not, in clear or over TLS.
func ways(t *testing.T, backend string, visit func(t *testing.T, dial func(*testing.T) *rawClient)) {
	cert := newCertified(t, "antwort")
	for _, takes := range []bool{true, false} {
		if testing.Short() && !takes {
			continue
		}
		edit := func(c *config.Config) {
			c.Server.TakeOver, c.Server.KeepAliveInterval = takes, time.Minute
		}
		name := map[bool]string{true: "taken over", false: "not taken over"}[takes]
		plain, secure := start(t, config.VLLM, backend, edit), cert.start(t, config.VLLM, backend, edit)
		t.Run(name+"/in clear", func(t *testing.T) { visit(t, func(t *testing.T) *rawClient { return dial(t, plain) }) })
		t.Run(name+"/TLS", func(t *testing.T) { visit(t, func(t *testing.T) *rawClient { return cert.dial(t, secure) }) })
	}
}

// What a client has sent before its answer's end hides its leaving not.
func TestLeavingIsNoticedWhateverWasSent(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}, 1), make(chan struct{}, 1)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), "events") {
			sending(w)(chatRole + chatText("a"))
		}
		begun <- struct{}{}
		<-r.Context().Done()
		left <- struct{}{}
	}))
	ways(t, llm, func(t *testing.T, dial func(*testing.T) *rawClient) {
		for what, early := range map[string]string{
			"nothing":                   "",
			"a stray line end":          "\r\n",
			"half a line end":           "\r",
			"a part of a request":       "POST /v1/resp",
			"a request":                 request(ask),
			"requests without an end":   strings.Repeat(request(ask), 200),
			"a request with a big body": request(`{"model":"m","input":"` + strings.Repeat("x", 200<<10) + `"}`),
		} {
			for kind, body := range map[string]string{
				"whole":                   ask,
				"stream before its event": askStream,
				"stream":                  strings.Replace(askStream, "hi", "events", 1),
			} {
				for _, when := range []string{"at once", "later"} {
					if testing.Short() && when == "later" {
						continue
					}
					t.Run(kind+"/"+what+"/"+when, func(t *testing.T) {
						c := dial(t)
						if when == "at once" {
							go c.keepSending(request(body)+early, time.Hour)
						} else {
							c.send(request(body))
						}
						wait(t, begun, "the upstream's request")
						if when != "at once" {
							go c.keepSending(early, time.Hour)
						}
						if kind == "stream" { // all of it is read, so that the end is a quiet one
							readEvents(t, c.open().Body).until("response.output_text.delta")
						}
						c.Close()
						wait(t, left, "the upstream was not told")
					})
				}
			}
		}
	})
}

// A client that says that it sends no more waits for its answers, to what it has
// sent early too.
func TestHalfClosedClientsAreAnswered(t *testing.T) {
	begun, goOn := make(chan struct{}, 10), make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		begun <- struct{}{}
		switch {
		case strings.Contains(string(body), "events"):
			send := sending(w)
			send(chatRole + chatText("a"))
			<-goOn
			send(chatFinish + chatUsage + chatDone)
		case strings.Contains(string(body), `"stream":true`):
			<-goOn
			sending(w)(chatRole + chatText("a") + chatFinish + chatUsage + chatDone)
		default:
			<-goOn
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, chatWhole)
		}
	}))
	ways(t, llm, func(t *testing.T, dial func(*testing.T) *rawClient) {
		for kind, body := range map[string]string{
			"whole":                   ask,
			"stream before its event": askStream,
			"stream":                  strings.Replace(askStream, "hi", "events", 1),
		} {
			for _, early := range []string{"", "\r\n", request(ask), request(askStream) + request(ask)} {
				t.Run(kind, func(t *testing.T) {
					c := dial(t)
					c.send(request(body) + early)
					wait(t, begun, "the upstream's request")
					require.NoError(t, c.Conn.(interface{ CloseWrite() error }).CloseWrite())
					go func() {
						for range 1 + strings.Count(early, "POST") {
							goOn <- struct{}{}
						}
					}()
					for range 1 + strings.Count(early, "POST") {
						got := c.answer()
						require.Equal(t, 200, got.status, got.body)
						if strings.Contains(got.header.Get("Content-Type"), "event-stream") {
							checkStream(t, got.body)
							require.Equal(t, "response.completed", lastEvent(t, got.body))
						}
					}
					c.closed()
					for len(begun) > 0 {
						<-begun
					}
				})
			}
		}
	})
}
