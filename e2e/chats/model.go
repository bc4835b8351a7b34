package chats

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Model is a model server that keeps what it gets.
type Model struct {
	URL string

	server *httptest.Server
	thinks time.Duration
	mu     sync.Mutex
	heard  map[string][]string // all that was said, by its end
}

// NewModel starts one that thinks for a while before each answer.
func NewModel(t testing.TB, thinks time.Duration) *Model {
	m := &Model{thinks: thinks, heard: make(map[string][]string)}
	m.server = httptest.NewServer(m)
	t.Cleanup(m.server.Close)
	m.URL = m.server.URL
	return m
}

// Forget closes all connections to it.
func (m *Model) Forget() { m.server.CloseClientConnections() }

// heardBefore is what the model got with the last message that says this, itself with it.
func (m *Model) heardBefore(what string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[what]
}

func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var chat struct {
		Stream   bool
		Messages []struct{ Role, Content string }
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&chat) != nil {
		http.NotFound(w, r)
		return
	}
	var said []string
	for i, message := range chat.Messages {
		said = append(said, message.Content)
		if want := [...]string{"user", "assistant"}[i%2]; message.Role != want {
			said[i] = message.Role + ", not " + want + ": " + message.Content
		}
	}
	if len(said) == 0 {
		http.Error(w, "there is no message", http.StatusBadRequest)
		return
	}
	what := said[len(said)-1]
	m.mu.Lock()
	m.heard[what] = said
	m.mu.Unlock()
	if m.thinks > 0 {
		select {
		case <-time.After(m.thinks):
		case <-r.Context().Done():
			return
		}
	}
	text := strings.Join([]string{"answer", fmt.Sprint(len(said) / 2), "to", what}, " ")
	if !chat.Stream {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", text)
	_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}
