package server

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// Bodies and their framing, as clients get it wrong.
func TestBrokenFraming(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	stream := `{"model":"/mnt/models","input":"hi","stream":true}`
	head := "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for _, r := range []*running{back, back.front()} {
		name := "/" + string(r.first.cfg.Engine.Provider)
		t.Run("a broken chunk"+name, func(t *testing.T) {
			c := dial(t, r)
			c.send(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			a := c.answer()
			require.Equal(t, 400, a.status)
			a.errorCode(t)
			rest, _ := io.ReadAll(c.r)
			require.Empty(t, string(rest), "what came after a broken chunk was taken for a request")
		})
		t.Run("both lengths"+name, func(t *testing.T) {
			c := dial(t, r)
			c.send(head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + "32\r\n" + stream + "\r\n0\r\n\r\n" + "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			a := c.answer()
			require.Equal(t, 400, a.status)
			require.Contains(t, a.body, "content-length and transfer-encoding exclude each other")
			rest, _ := io.ReadAll(c.r)
			require.Empty(t, string(rest), "what came after it was taken for a request")
		})
		t.Run("trailers"+name, func(t *testing.T) {
			c := dial(t, r)
			c.send(head + "Trailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n" + "32\r\n" + stream + "\r\n0\r\nX-A: b\r\nAuthorization: c\r\n\r\n")
			require.Equal(t, 200, c.answer().status)
			c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Equal(t, "ok\n", c.answer().body)
		})
		t.Run("expectation"+name, func(t *testing.T) {
			c := dial(t, r)
			for range 2 {
				c.send(head + "Expect: 100-continue\r\nContent-Length: 50\r\n\r\n")
				line, err := c.r.ReadString('\n')
				require.NoError(t, err)
				require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
				_, _ = c.r.ReadString('\n')
				c.send(stream)
				a := c.answer()
				require.Equal(t, 200, a.status)
				checkStream(t, a.body)
			}
		})
		t.Run("half a body, then the client's end"+name, func(t *testing.T) {
			c := dial(t, r)
			c.send(head + "Content-Length: 500\r\n\r\n" + stream)
			require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
			rest, _ := io.ReadAll(c.r)
			require.False(t, strings.HasPrefix(string(rest), "HTTP/1.1 2"), "%s", rest)
		})
	}
}
