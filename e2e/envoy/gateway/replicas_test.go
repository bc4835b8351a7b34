package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/envoy/gateway"
	"antwort/server/state/pgtest"
)

// Chats go on while the replicas that have their history, in one Postgres, are killed
// one after the other: no chat loses a turn or gets another's, and only what was in flight
// at a replica when it was killed fails.
func TestChatsOutliveTheirReplicas(t *testing.T) {
	const (
		chats, turns, atATime = 200, 10, 32
		killEvery             = 5 * time.Second
		thinks                = 300 * time.Millisecond
		noticed               = time.Second // after which Envoy knows that a connection is gone
	)
	database := pgtest.Start(t).URL()
	llm := httptest.NewServer(recalling{thinks})
	t.Cleanup(llm.Close)

	replicas := []*replica{newReplica(t, "a", llm.URL, database), newReplica(t, "b", llm.URL, database)}
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses}\nrouting: {eject_time: 1s}\n"+
		"routes:\n- {name: all, backends: [{url: %q}, {url: %q}]}\n", replicas[0].url, replicas[1].url)).Ready()

	var mu sync.Mutex
	var kills []time.Time
	inFlight := func(began, ended time.Time) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, at := range kills {
			if began.Before(at.Add(noticed)) && ended.After(at) {
				return true
			}
		}
		return false
	}
	done := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		next := time.NewTicker(killEvery)
		defer next.Stop()
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-next.C:
			}
			mu.Lock()
			kills = append(kills, time.Now())
			mu.Unlock()
			if err := replicas[i%2].restart(); err != nil {
				assert.NoError(t, err)
				return
			}
		}
	})

	client := manyConnections(t)
	failures := 0
	atOnce(chats, atATime, func(chat int) {
		previous, said := "", ""
		for turn := range turns {
			what := fmt.Sprintf("%d.%d", chat, turn)
			said = strings.TrimPrefix(said+" "+what, " ")
			for {
				began := time.Now()
				id, heard, err := goOn(client, g.URL, previous, what, chat%2 == 0)
				if err == nil {
					assert.Equal(t, said, heard)
					previous = id
					break
				}
				if !assert.True(t, inFlight(began, time.Now()), "%s: %v", what, err) {
					return
				}
				mu.Lock()
				failures++
				mu.Unlock()
			}
		}
	})
	close(done)
	killer.Wait()
	require.GreaterOrEqual(t, len(kills), 3)
	t.Logf("%d turns, %d kills, %d turns failed in flight and were sent again", chats*turns, len(kills), failures)
}

// goOn sends one more message of a chat, and returns what the model has heard.
func goOn(client *http.Client, url, previous, what string, stream bool) (id, heard string, err error) {
	more := ""
	if previous != "" {
		more = fmt.Sprintf(`,"previous_response_id":%q`, previous)
	}
	resp, err := client.Post(url+"/v1/responses", "application/json", strings.NewReader(fmt.Sprintf(`{"model":"m","input":%q,"stream":%t%s}`, what, stream, more)))
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", "", fmt.Errorf("%d %s", resp.StatusCode, body)
	}
	if stream {
		var event struct{ Response json.RawMessage }
		for lines := bufio.NewScanner(strings.NewReader(string(body))); lines.Scan(); {
			data, is := strings.CutPrefix(lines.Text(), "data: ")
			if is && strings.Contains(data, `"type":"response.completed"`) {
				if err := json.Unmarshal([]byte(data), &event); err != nil {
					return "", "", err
				}
			}
		}
		if body = event.Response; body == nil {
			return "", "", io.ErrUnexpectedEOF
		}
	}
	var got struct {
		ID, Status string
		Output     []struct{ Content []struct{ Text string } }
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return "", "", err
	}
	if got.Status != "completed" || len(got.Output) != 1 {
		return "", "", fmt.Errorf("%s", body)
	}
	return got.ID, got.Output[0].Content[0].Text, nil
}

// recalling is a model that thinks for a while, and says all that users have said.
type recalling struct{ thinks time.Duration }

func (m recalling) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var chat struct {
		Stream   bool
		Messages []struct{ Role, Content string }
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&chat) != nil {
		http.NotFound(w, r)
		return
	}
	var said []string
	for _, m := range chat.Messages {
		if m.Role == "user" {
			said = append(said, m.Content)
		}
	}
	select {
	case <-time.After(m.thinks):
	case <-r.Context().Done():
		return
	}
	text := strings.Join(said, " ")
	if !chat.Stream {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}]}`, text)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", text)
	_, _ = io.WriteString(w, "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
}

// replica is an antwort serve that keeps its state in a database with others.
type replica struct {
	url, antwort, config, log string
	process                   *chain.Process
}

func newReplica(t *testing.T, name, llm, database string) *replica {
	t.Helper()
	port, err := chain.FreePort()
	require.NoError(t, err)
	dir := t.TempDir()
	r := &replica{url: fmt.Sprintf("http://127.0.0.1:%d", port), antwort: gateway.Antwort(t), config: filepath.Join(dir, name+".yaml"), log: filepath.Join(dir, name+".log")}
	require.NoError(t, os.WriteFile(r.config, fmt.Appendf(nil,
		"server: {host: 127.0.0.1, port: %d}\nengine: {provider: vllm, backend_url: %q}\nstate: {type: postgres, postgres: {dsn: %q}}\n", port, llm, database), 0o600))
	require.NoError(t, r.start())
	t.Cleanup(func() { assert.NoError(t, r.process.Stop()) })
	return r
}

func (r *replica) start() (err error) {
	if r.process, err = chain.StartProcess(context.Background(), "replica", r.log, r.antwort, "serve", "--config", r.config); err != nil {
		return err
	}
	return r.process.WaitReady(context.Background(), r.url+"/readyz", time.Minute)
}

// restart kills it, as a node that fails does, and starts it anew.
func (r *replica) restart() error {
	if err := r.process.Kill(); err != nil {
		return err
	}
	return r.start()
}
