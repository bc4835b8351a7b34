package server

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/server/testkit"
	"antwort/shared/config"
)

// Benchmarks of whole requests over loopback, with a client that does next to
// nothing and an upstream that answers with fixed bytes: what differs between
// the proxies is their own. The ReverseProxy, which translates nothing, is the
// measure.

// fixedUpstream answers every request on a connection with the same bytes.
func fixedUpstream(b *testing.B, answer string) string {
	b.Helper()
	return testkit.Connections(b, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for skipRequest(r) {
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
		}
	})
}

func skipRequest(r *bufio.Reader) bool {
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 2 {
			break
		}
		if name, v, _ := bytes.Cut(line, []byte(":")); strings.EqualFold(string(name), "content-length") {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	_, err := r.Discard(length)
	return err == nil
}

func wholeAnswerOf(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// chunkedStream has one chunk for each event, as vLLM sends them.
func chunkedStream(events ...string) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n")
	for _, ev := range events {
		b.WriteString(strconv.FormatInt(int64(len(ev)), 16) + "\r\n" + ev + "\r\n")
	}
	b.WriteString("0\r\n\r\n")
	return b.String()
}

func hundredDeltas() []string {
	events := []string{chatRole}
	for range 100 {
		events = append(events, chatText("token "))
	}
	return append(events, chatFinish, chatUsage, chatDone)
}

func serveForBench(b *testing.B, p config.Provider, backend string, edit ...func(*config.Config)) string {
	b.Helper()
	cfg := defaults(p, backend)
	cfg.State.Type = config.NoState // BenchmarkStored measures it
	for _, e := range edit {
		e(cfg)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = s.Serve(ctx, ln); close(done) }()
	b.Cleanup(func() { stop(); <-done })
	return ln.Addr().String()
}

func reverseProxy(b *testing.B, backend string) string {
	b.Helper()
	u, err := url.Parse(backend)
	if err != nil {
		b.Fatal(err)
	}
	rp := httputil.NewSingleHostReverseProxy(u)
	rp.Transport = &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An answer that overtakes the body's end breaks its connection.
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		rp.ServeHTTP(w, r)
	})}
	go func() { _ = hs.Serve(ln) }()
	b.Cleanup(func() { hs.Close() })
	return ln.Addr().String()
}

func BenchmarkProxies(b *testing.B) {
	whole := wholeAnswerOf(chatWhole)
	stream := chunkedStream(hundredDeltas()...)
	for _, kind := range []struct{ name, request, answer string }{
		{"whole", request(ask), whole},
		{"stream of 100 deltas", request(askStream), stream},
	} {
		up := fixedUpstream(b, kind.answer)
		b.Run(kind.name+"/ReverseProxy", func(b *testing.B) { exchangeLoop(b, reverseProxy(b, up), kind.request) })
		b.Run(kind.name+"/vllm", func(b *testing.B) { exchangeLoop(b, serveForBench(b, config.VLLM, up), kind.request) })
		b.Run(kind.name+"/vllm-responses", func(b *testing.B) {
			exchangeLoop(b, serveForBench(b, config.VLLMResponses, up), kind.request)
		})
	}
}

// exchangeLoop sends the same request again and again on one connection.
func exchangeLoop(b *testing.B, addr, req string) {
	b.Helper()
	statusLoop(b, addr, req, http.StatusOK, 0)
}

// statusLoop is exchangeLoop for answers with a status, after a few with any.
func statusLoop(b *testing.B, addr, req string, status, after int) {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	once := func() int {
		if _, err := io.WriteString(conn, req); err != nil {
			b.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		return resp.StatusCode
	}
	for range after {
		once()
	}
	b.ReportAllocs()
	var took []time.Duration
	defer func() { // half of them took no longer
		slices.Sort(took)
		if n := len(took); n > 0 {
			b.ReportMetric(float64(took[n/2].Microseconds())/1000, "p50-ms")
		}
	}()
	for b.Loop() {
		begun := time.Now()
		if got := once(); got != status {
			b.Fatal(got)
		}
		took = append(took, time.Since(begun))
	}
}

// BenchmarkHeldStreams reports what a stream costs while it waits, in bytes of
// heap and stack. The other ends of its two connections are in it too.
func BenchmarkHeldStreams(b *testing.B) {
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		b.Run(string(p), func(b *testing.B) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			held := make(chan net.Conn, 10_000)
			go holdStreams(ln, held)
			addr := serveForBench(b, p, "http://"+ln.Addr().String())
			const streams = 500
			for b.Loop() {
				before := memory()
				conns := make([]net.Conn, streams)
				for i := range conns {
					conns[i] = holdStream(b, addr)
				}
				b.ReportMetric(float64(memory()-before)/streams, "B/stream")
				for i := range conns {
					conns[i].Close()
					(<-held).Close()
				}
			}
			ln.Close()
		})
	}
}

// holdStreams answers each connection's request with the begin of a stream.
func holdStreams(ln net.Listener, held chan<- net.Conn) {
	var buf [4096]byte
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		n, _ := conn.Read(buf[:])
		if bytes.HasPrefix(buf[:n], []byte("GET")) { // the greeting
			conn.Close()
			continue
		}
		answer := chunkedStream(chatRole, chatText("token"))
		_, _ = io.WriteString(conn, strings.TrimSuffix(answer, "0\r\n\r\n"))
		held <- conn
	}
}

func holdStream(b *testing.B, addr string) net.Conn {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := io.WriteString(conn, request(askStream)); err != nil {
		b.Fatal(err)
	}
	var buf [16 << 10]byte
	n, _ := conn.Read(buf[:])
	if !bytes.HasPrefix(buf[:n], []byte("HTTP/1.1 200 OK")) {
		b.Fatalf("%s", buf[:n])
	}
	return conn
}

func memory() uint64 {
	var m runtime.MemStats
	for range 3 { // stacks shrink by halves
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
