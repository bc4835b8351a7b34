package ingress

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// guard is how long anything may take before a test gives up waiting.
const guard = 20 * time.Second

// A client that leaves while its answer ends takes its connection along.
func TestConnectionsLeftAtTheAnswersEnd(t *testing.T) {
	server, client := net.Pipe()
	defer client.Close()
	set := &takenConns{returned: newReturnedConns(), idle: time.Minute, all: make(map[*Taken]struct{})}
	left, closed := make(chan struct{}), make(chan struct{})
	c := &Taken{conn: &Conn{Conn: &shut{server, closed}, phase: answering}, set: set, gone: func() { close(left) }}
	set.all[c] = struct{}{}
	go c.watch()
	wait(t, left, "the client's leaving was not noticed")
	c.Finish(true) // all was written nevertheless
	wait(t, closed, "the connection stays open, and nobody knows it")
}

// shut is a connection with nothing to read, which can be written.
type shut struct {
	net.Conn
	closed chan struct{}
}

func (h *shut) Read([]byte) (int, error) { return 0, io.EOF }
func (h *shut) Close() error             { close(h.closed); return h.Conn.Close() }

func wait(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(guard):
		require.Fail(t, "waited in vain: "+what)
	}
}
