package gateway_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chats"
	"antwort/e2e/envoy/gateway"
	"antwort/server/state/pgtest"
)

// Chats go on while the replicas that have their history, in one Postgres, are killed
// one after the other: no chat loses a turn or gets another's, and only what was in flight
// at a replica when it was killed fails.
func TestChatsOutliveTheirReplicas(t *testing.T) {
	const (
		n, turns, atATime = 200, 10, 32
		killEvery         = 5 * time.Second
		thinks            = 300 * time.Millisecond
		noticed           = time.Second // after which Envoy knows that a connection is gone
	)
	database := pgtest.Start(t).URL()
	model := chats.NewModel(t, thinks)
	state := fmt.Sprintf("{type: postgres, postgres: {dsn: %q}}", database)
	replicas := []*chats.Server{chats.NewServer(t, "a", model.URL, state), chats.NewServer(t, "b", model.URL, state)}
	g := gateway.Start(t, fmt.Sprintf("server: {host: 127.0.0.1, port: 0}\nengine: {provider: vllm-responses}\nrouting: {eject_time: 1s}\n"+
		"routes:\n- {name: all, backends: [{url: %q}, {url: %q}]}\n", replicas[0].URL, replicas[1].URL)).Ready()

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
			if !assert.NoError(t, replicas[i%2].Kill()) || !assert.NoError(t, replicas[i%2].Start()) {
				return
			}
		}
	})

	client := manyConnections(t)
	failures := 0
	atOnce(n, atATime, func(i int) {
		var chat chats.Chat
		for turn := range turns {
			what := fmt.Sprintf("%d.%d", i, turn)
			for {
				began := time.Now()
				told, err := chat.Send(client, g.URL, model, what, i%2 == 0)
				if err == nil {
					chat.Go(told)
					break
				}
				if !assert.True(t, inFlight(began, time.Now()) && !chats.Wrong(err), "%s: %v", what, err) {
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
	t.Logf("%d turns, %d kills, %d turns failed in flight and were sent again", n*turns, len(kills), failures)
}
