package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/statetest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What loses its connection while it waits for the standby is in the primary already. Who
// tries it again waits for the standby too: it may be the only one that is left.
func TestWhatIsTriedAgainWaitsForTheStandbyToo(t *testing.T) {
	primary := own(t)
	url := primary.Schema(t)
	standby := primary.Standby(t)
	s := opened(t, url, nil)
	turn, job := statetest.Turn(alice, ""), statetest.Job(alice, "")
	keep := map[string]func() error{
		"commit": func() error { return s.Commit(ctx, turn) },
		"accept": func() error { return s.Accept(ctx, job, 0) },
	}
	watch, err := pgx.Connect(ctx, primary.URL())
	require.NoError(t, err)
	defer func() { _ = watch.Close(ctx) }()
	waiting := func() (n int) {
		require.NoError(t, watch.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'antwort'").Scan(&n))
		return n
	}
	try := func(op string) chan error {
		before, result := waiting(), make(chan error, 1)
		go func() { result <- keep[op]() }()
		for waiting() == before && len(result) == 0 {
			time.Sleep(5 * time.Millisecond)
		}
		require.Empty(t, result, "%s waits for the standby", op)
		return result
	}

	require.NoError(t, s.Ready(ctx))
	standby.Kill(t)
	tries := []chan error{try("commit"), try("accept")}
	_, err = watch.Exec(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	require.NoError(t, err)
	for _, result := range tries {
		require.ErrorIs(t, <-result, state.ErrUnavailable)
	}
	tries = []chan error{try("commit"), try("accept")}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Writable(short), state.ErrUnavailable)
	require.NoError(t, s.Ready(ctx), "it can be read")
	standby.Run(t)
	for _, result := range tries {
		require.NoError(t, <-result)
	}
	require.NoError(t, s.Writable(ctx))

	primary.Kill(t)
	standby.Promote(t)
	left := opened(t, strings.Replace(url, primary.Folder(), standby.Folder(), 1), nil)
	for _, id := range []string{turn.ID, job.ID} {
		_, err := left.Get(ctx, alice, id)
		assert.NoError(t, err)
	}
}
