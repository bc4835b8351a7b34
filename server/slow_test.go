package server

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// Who does not read is let go within stream_idle_timeout and a second, whatever
// the answer and the way it takes.
func TestWhoReadsNothingIsLetGo(t *testing.T) {
	const idle = 4 * time.Second // a busy machine's backend may be silent for two
	whole, piece := strings.Replace(chatWhole, "hello", strings.Repeat("x", 10<<20), 1), chatText(strings.Repeat("x", 32<<10))
	backend := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, whole)
			return
		}
		send := sending(w)
		send(chatRole)
		for r.Context().Err() == nil {
			send(piece)
		}
	}))
	cert := newCertified(t, "antwort")
	for _, way := range []struct {
		name        string
		takes, tls_ bool
	}{
		{"taken over", true, false}, {"taken over, TLS", true, true}, {"not taken over", false, false}, {"not taken over, TLS", false, true},
	} {
		for kind, body := range map[string]string{"whole": ask, "stream": askStream} {
			t.Run(way.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				r := start(t, config.VLLM, backend, func(c *config.Config) {
					c.Server.TakeOver, c.Engine.StreamIdleTimeout, c.Limits.ResponseBodyBytes = way.takes, idle, 1<<30
					c.Limits.InFlightBytes = 2 << 30
					if way.tls_ {
						c.Server.TLS = cert.TLS
					}
				})
				var c *rawClient
				if way.tls_ {
					c = cert.dial(t, r)
					_ = c.Conn.(*tls.Conn).NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
				} else {
					c = dial(t, r)
					_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
				}
				begun := time.Now()
				c.send(request(body))
				line := r.log.waitFor(t, `"msg":"request"`, `"failure":"client_gone"`)
				require.GreaterOrEqual(t, line["duration_ms"], 1000.)
				t.Logf("after %s", time.Since(begun))
			})
		}
	}
}
