package filter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A caller has a share of a turn once it is crowded, and all of another one.
func TestTurnsAreShared(t *testing.T) {
	var turn turns
	turn.took("", shortTurn)
	require.False(t, turn.crowded())
	turn.took("", freeTurn)
	require.True(t, turn.crowded())
	require.False(t, turn.had("alice"))
	for range 100 {
		turn.took("alice", shortTurn)
	}
	require.False(t, turn.had("alice"), "short ones do not count")
	turn.took("alice", callerTurn)
	require.True(t, turn.had("alice"))
	require.False(t, turn.had("bob"))
	turn.anew()
	require.False(t, turn.crowded())
	require.False(t, turn.had("alice"))
	turn.took("", time.Second)
	require.False(t, turn.had("alice"))
}
