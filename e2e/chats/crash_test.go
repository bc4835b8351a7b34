package chats_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // the driver

	"antwort/e2e/chats"
	"antwort/server/state/pgtest"
)

// A server is killed at any point, again and again, and started on the same store: each
// response that a client has read is there, and goes on with all that was said.
func TestKilledServerHasAllThatItTold(t *testing.T) {
	long(t)
	t.Run("sqlite", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "state.db")
		killed(t, fmt.Sprintf("{type: sqlite, sqlite: {path: %q}}", file), func() {
			db, err := sql.Open("sqlite", "file:"+file+"?mode=ro")
			require.NoError(t, err)
			var sound string
			require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
			require.Equal(t, "ok", sound)
			require.NoError(t, db.Close())
		})
	})
	t.Run("postgres", func(t *testing.T) {
		killed(t, fmt.Sprintf("{type: postgres, postgres: {dsn: %q}}", pgtest.Start(t).URL()), func() {})
	})
}

func killed(t *testing.T, state string, sound func()) {
	const (
		turns, atOnce = 500, 8
		most          = 40 // turns between two kills
	)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	model := chats.NewModel(t, 0)
	server := chats.NewServer(t, "server", model.URL, state)
	client := chats.Connections(t)

	all := make([]chats.Chat, atOnce)
	told, kills, broken := 0, 0, 0
	for ; told < turns; kills++ {
		after, more := int64(1+dice.IntN(most)), time.Duration(dice.IntN(3000))*time.Microsecond
		var mu sync.Mutex
		var round []*chats.Told
		var count atomic.Int64
		var dead atomic.Bool
		due, over := make(chan bool), make(chan bool)
		var killer, callers sync.WaitGroup
		killer.Go(func() {
			select {
			case <-due:
				<-time.After(more) // anywhere in the turns that are going on
			case <-over:
			}
			dead.Store(true)
			assert.NoError(t, server.Kill())
		})
		for i := range all {
			callers.Go(func() {
				chat := &all[i]
				for n := 0; ; n++ {
					got, err := chat.Send(client, server.URL, model, fmt.Sprintf("%d of chat %d after kill %d", n, i, kills), n%2 == 0)
					if err != nil {
						assert.True(t, chats.Broken(err), "%v", err)
						assert.True(t, dead.Load(), "before it was killed: %v", err)
						return
					}
					chat.Go(got)
					mu.Lock()
					round = append(round, got)
					mu.Unlock()
					if count.Add(1) == after {
						close(due)
					}
				}
			})
		}
		callers.Wait()
		close(over)
		killer.Wait()
		require.GreaterOrEqual(t, count.Load(), after)
		require.NoError(t, server.Start())
		for _, told := range round {
			require.NoError(t, chats.Read(client, server.URL, told))
			chat := &chats.Chat{Last: told.ID, Said: told.Said}
			_, err := chat.Send(client, server.URL, model, "after it was killed, "+told.ID, kills%2 == 0)
			require.NoError(t, err)
		}
		sound()
		told, broken = told+len(round), broken+atOnce
	}
	t.Logf("%d turns told, %d kills, %d turns broken off", told, kills, broken)
}

// long leaves a test out where only short ones are wanted.
func long(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts and kills for seconds")
	}
}
