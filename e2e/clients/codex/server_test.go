package codex

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// A thread is a conversation with `codex app-server`, the process behind Codex's
// editors and desktop: several turns in one process, as in its terminal.
type thread struct {
	s      *session
	in     io.Writer
	out    *bufio.Scanner
	id     string
	log    string
	lastID int
}

// newThread starts the server and a thread. Both end with the test.
func (s *session) newThread() *thread {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), runLimit)
	cmd := s.command(ctx, "app-server")
	in, err := cmd.StdinPipe()
	require.NoError(s.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(s.t, err)
	log, err := os.Create(s.path("server.err"))
	require.NoError(s.t, err)
	cmd.Stderr = log
	require.NoError(s.t, cmd.Start())
	s.t.Cleanup(func() {
		in.Close()
		cancel()
		_ = cmd.Wait() // it is killed
		log.Close()
	})
	th := &thread{s: s, in: in, out: bufio.NewScanner(out), log: s.path("server.out")}
	th.out.Buffer(nil, 16<<20)
	th.request("initialize", map[string]any{"clientInfo": map[string]any{"name": "e2e", "version": "1"}})
	th.send(map[string]any{"method": "initialized"})
	var started struct{ Thread struct{ ID string } }
	require.NoError(s.t, json.Unmarshal(th.request("thread/start", map[string]any{"cwd": s.path("work")}), &started))
	th.id = started.Thread.ID
	return th
}

// A message is a notification, an answer, or a request of the server's.
type message struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Item struct{ Type, Text string }
		Turn struct {
			Status string
			Error  *struct{ Message string }
		}
	}
	Result json.RawMessage
	Error  *struct{ Message string }
}

func (th *thread) send(v any) {
	th.s.t.Helper()
	require.NoError(th.s.t, json.NewEncoder(th.in).Encode(v))
}

func (th *thread) next() message {
	th.s.t.Helper()
	require.True(th.s.t, th.out.Scan(), "codex app-server ended, see %s", th.s.path("server.err"))
	log, err := os.OpenFile(th.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(th.s.t, err)
	defer log.Close()
	_, err = log.Write(append(th.out.Bytes(), '\n'))
	require.NoError(th.s.t, err)
	var m message
	require.NoError(th.s.t, json.Unmarshal(th.out.Bytes(), &m), "see %s", th.log)
	return m
}

func (th *thread) request(method string, params any) json.RawMessage {
	th.s.t.Helper()
	th.lastID++
	th.send(map[string]any{"id": th.lastID, "method": method, "params": params})
	for {
		if m := th.next(); m.ID != nil && m.Method == "" {
			require.Nil(th.s.t, m.Error, method)
			return m.Result
		}
	}
}

// turn sends the user's words and returns the model's last message, or the
// error that ended the turn.
func (th *thread) turn(text string, more map[string]any) (r *run, failed string) {
	th.s.t.Helper()
	params := map[string]any{"threadId": th.id, "input": []any{map[string]any{"type": "text", "text": text}}}
	for key, value := range more {
		params[key] = value
	}
	th.request("turn/start", params)
	r = &run{log: th.log}
	for {
		m := th.next()
		switch m.Method {
		case "item/completed":
			r.items = append(r.items, map[string]any{"type": m.Params.Item.Type, "text": m.Params.Item.Text})
			if m.Params.Item.Type == "agentMessage" {
				r.last = m.Params.Item.Text
			}
		case "turn/completed":
			if e := m.Params.Turn.Error; e != nil {
				return r, e.Message
			}
			require.Equal(th.s.t, "completed", m.Params.Turn.Status, "see %s", th.log)
			return r, ""
		}
	}
}

// said is turn for one that must not fail.
func (th *thread) said(t *testing.T, text string, more map[string]any) *run {
	t.Helper()
	r, failed := th.turn(text, more)
	require.Empty(t, failed, "see %s", th.log)
	return r
}
