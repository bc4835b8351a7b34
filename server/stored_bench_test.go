package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/state/statetest"
	"antwort/shared/config"
)

// BenchmarkStored is what it costs to store an answer, next to store: false and to a
// server without a store. The CPU time is that of the whole process, client and
// upstream too: the differences are the store's.
func BenchmarkStored(b *testing.B) {
	whole, stream := wholeAnswerOf(chatWhole), chunkedStream(hundredDeltas()...)
	long := strings.Repeat("word ", 4<<10)
	for _, kind := range []struct{ name, members, answer string }{
		{"small", `"input":"hi"`, whole},
		{"20 KB", `"input":"` + long + `"`, whole},
		{"stream of 100 deltas", `"input":"hi","stream":true`, stream},
	} {
		up := fixedUpstream(b, kind.answer)
		for _, store := range []string{"none", "store false", "memory", "sqlite"} {
			b.Run(kind.name+"/"+store, func(b *testing.B) {
				members := kind.members
				if store == "store false" {
					members += `,"store":false`
				}
				addr := serveStored(b, up, store)
				begun := cpuTime()
				exchangeLoop(b, addr, request(`{"model":"m",`+members+`}`))
				b.ReportMetric(float64(cpuTime()-begun)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// BenchmarkContinued goes on from a conversation of 100 turns of 4 KB, stored and sent
// inline.
func BenchmarkContinued(b *testing.B) {
	text := string(statetest.Prose(rand.New(rand.NewPCG(1, 2)), 2<<10)) //nolint:gosec // the same in each run
	up := fixedUpstream(b, wholeAnswerOf(strings.Replace(chatWhole, "hello", text, 1)))
	for _, store := range []string{"inline", "memory", "sqlite"} {
		b.Run(store, func(b *testing.B) {
			addr := serveStored(b, up, strings.Replace(store, "inline", "none", 1))
			body := `{"model":"m","store":false,"input":[` + strings.Repeat(`{"role":"user","content":"`+text+`"},{"role":"assistant","content":"`+text+`"},`, 100) + `{"role":"user","content":"go on"}]}`
			if store != "inline" {
				previous := ""
				for range 100 {
					previous = `"previous_response_id":"` + idOf(b, addr, `{"model":"m",`+previous+`"input":"`+text+`"}`) + `",`
				}
				body = `{"model":"m","store":false,` + previous + `"input":"go on"}`
			}
			begun := cpuTime()
			exchangeLoop(b, addr, request(body))
			b.ReportMetric(float64(cpuTime()-begun)/float64(b.N), "cpu-ns/op")
		})
	}
}

// idOf sends a request and returns the id of its response.
func idOf(b *testing.B, addr, body string) string {
	b.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(b, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request(body))
	require.NoError(b, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(b, err)
	answer, err := io.ReadAll(resp.Body)
	require.NoError(b, err)
	_, id, _ := strings.Cut(string(answer), `{"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	require.NotEmpty(b, id, "%s", answer)
	return id
}

func serveStored(b *testing.B, up, store string) string {
	b.Helper()
	cfg := defaults(config.VLLM, up)
	switch store {
	case "none":
		cfg.State.Type = config.NoState
	case "sqlite":
		cfg.State.Type, cfg.State.SQLite.Path = config.SQLiteState, filepath.Join(b.TempDir(), "state.db")
	}
	s, err := New(cfg, Options{})
	require.NoError(b, err)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Serve(ctx, ln) }()
	b.Cleanup(func() {
		stop()
		require.NoError(b, <-done)
	})
	return ln.Addr().String()
}

// cpuTime is what this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprint("getrusage: ", err))
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
