package websocket_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"antwort/server/ingress"
	"antwort/server/reqbody"
	"antwort/server/websocket"
	"antwort/shared/responses"

	ws "github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// guard is how long anything may take before a test gives up waiting.
const guard = time.Minute

// server has connections whose turns are answered by answer.
type server struct {
	*websocket.Set
	t      *testing.T
	door   *ingress.Door
	bound  reqbody.Bound
	addr   string
	closed chan int64
	opt    websocket.Options
}

func serve(t *testing.T, answer func(ctx context.Context, turn *websocket.Turn), edit func(*websocket.Options)) *server {
	s := &server{Set: websocket.NewSet(prometheus.NewRegistry()), t: t, closed: make(chan int64, 10)}
	s.opt = websocket.Options{
		Bound: &s.bound, InFlight: 1 << 30, Limits: responses.Limits{Depth: 64, Values: 1000}, MessageBytes: 1 << 20, MessageTime: guard, WriteTime: guard,
		PingEvery: time.Minute, Lifetime: time.Hour, Turn: answer, Panicked: func(p any) { t.Errorf("panic: %v", p) }, Closed: func(sent int64) { s.closed <- sent },
	}
	edit(&s.opt)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = ln.Addr().String()
	s.door = ingress.New(ingress.Options{Log: slog.New(slog.DiscardHandler), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ingress.Begin(r)
		up := s.door.Upgrade(w, r)
		if up == nil {
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		if err := s.Accept(up, r, s.opt); err != nil {
			t.Errorf("accept: %v", err)
		}
	})})
	go func() { _ = s.door.Serve(ln) }()
	t.Cleanup(s.door.Close)
	return s
}

// dial is a connection that reads nothing by itself.
func (s *server) dial() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(s.t, err)
	var head []byte
	for one := []byte{0}; !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		_, err := conn.Read(one)
		require.NoError(s.t, err)
	}
	require.Contains(s.t, string(head), " 101 ")
	return conn
}

func (s *server) client() *ws.Conn {
	s.t.Helper()
	c, _, err := ws.Dial(s.t.Context(), "ws://"+s.addr, nil)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func (s *server) ended() int64 {
	s.t.Helper()
	select {
	case sent := <-s.closed:
		return sent
	case <-time.After(guard):
		s.t.Fatal("the connection has not ended")
		return 0
	}
}

func never(context.Context, *websocket.Turn) {}

// A peer that is gone without a word, as behind a cable that was pulled, gives no sign of
// life; one that is there gives it whenever it is asked.
func TestHalfOpenPeerIsLeft(t *testing.T) {
	s := serve(t, never, func(o *websocket.Options) { o.PingEvery = 50 * time.Millisecond })
	s.dial() // never reads
	s.ended()

	// A second of silence, for a busy machine may answer late.
	s = serve(t, never, func(o *websocket.Options) { o.PingEvery = time.Second })
	asked := make(chan struct{}, 100)
	alive, _, err := ws.Dial(t.Context(), "ws://"+s.addr, &ws.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
		asked <- struct{}{}
		return true
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = alive.CloseNow() })
	go func() { _, _, _ = alive.Read(context.Background()) }() // answers pings
	for range 10 {
		require.NoError(t, alive.Ping(t.Context()))
	}
	for range 3 {
		select {
		case <-asked:
		case <-s.closed:
			t.Fatal("who is there was left")
		case <-time.After(guard):
			t.Fatal("it is not asked")
		}
	}
}

// Whoever does not end a message that has begun is left in time.
func TestHalfAMessageIsNotWaitedForLong(t *testing.T) {
	s := serve(t, never, func(o *websocket.Options) { o.MessageTime = 50 * time.Millisecond })
	conn := s.dial()
	_, err := conn.Write([]byte("\x81\xfe\x10\x00\x00\x00\x00\x00{\"type\":"))
	require.NoError(t, err)
	s.ended()
	require.Zero(t, s.bound.Held())
}

// Messages that come with the request for the upgrade are not lost.
func TestMessageThatComesEarly(t *testing.T) {
	got := make(chan string, 1)
	s := serve(t, func(_ context.Context, turn *websocket.Turn) { got <- string(turn.Body.B) }, func(*websocket.Options) {})
	conn, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	defer conn.Close()
	text := `{"type":"response.create","input":"a"}`
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"+
		"\x81"+string([]byte{0x80 | byte(len(text)), 0, 0, 0, 0})+text) // masked with nothing
	require.NoError(t, err)
	select {
	case body := <-got:
		require.Equal(t, `{"input":"a","stream":true}`, body)
	case <-time.After(guard):
		t.Fatal("it was lost")
	}
}

// With no time left a connection ends at once, and an answer that runs ends first.
func TestDrainWaitsForTheRunningTurn(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	var turns atomic.Int32
	s := serve(t, func(_ context.Context, turn *websocket.Turn) {
		turns.Add(1)
		begun <- struct{}{}
		<-goOn
		turn.Sink.Begin(200, nil)
		_, err := turn.Sink.Write(append(make([]byte, ingress.Room), "event: a\ndata: {\"type\":\"a\"}\n\n: keep-alive\n\ndata: [DONE]\n\n"...), true)
		if err != nil {
			t.Error(err)
		}
	}, func(*websocket.Options) {})
	c := s.client()
	for range 3 {
		require.NoError(t, c.Write(t.Context(), ws.MessageText, []byte(`{"type":"response.create","stream_id":"é"}`)))
	}
	<-begun
	s.Drain()
	require.False(t, s.Take(10), "no more connections")
	close(goOn)
	_, text, err := c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, `{"type":"a","stream_id":"é"}`, string(text))
	_, _, err = c.Read(t.Context())
	require.Equal(t, ws.StatusGoingAway, ws.CloseStatus(err))
	require.EqualValues(t, len(text), s.ended())
	require.EqualValues(t, 1, turns.Load())
	require.Zero(t, s.bound.Held())
}
