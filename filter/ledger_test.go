package filter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a dead VM held is found once; what one that lives holds stays, and one that
// was taken for dead tells all of its own again.
func TestLedger(t *testing.T) {
	at := func(d time.Duration) instant { return instant(time.Hour + d) }
	dead, other, own := ledger{life: 1}, ledger{life: 2}, ledger{life: 3}
	data := dead.entry(nil, 1000, at(0))
	data = other.entry(data, 70, at(alive))

	fresh, lost := own.entries(data, 0, at(alive/2))
	require.Equal(t, data, fresh)
	require.Zero(t, lost)

	fresh, lost = own.entries(data, 5, at(alive+time.Second))
	require.EqualValues(t, 1000, lost)
	require.Equal(t, own.entry(other.entry(nil, 70, at(alive)), 5, at(alive+time.Second)), fresh)
	own.told = 5

	again, lost := own.entries(fresh, 5, at(alive+2*time.Second))
	require.Equal(t, fresh, again, "nothing has changed")
	require.Zero(t, lost)
	again, _ = own.entries(fresh, 5, at(alive+8*time.Second))
	require.NotEqual(t, fresh, again, "it does not sign")
	again, lost = own.entries(again, 0, at(alive+9*time.Second))
	require.Equal(t, other.entry(nil, 70, at(alive)), again, "it holds nothing")
	require.Zero(t, lost)

	// The other one takes this one for dead, and the gauge back.
	_, lost = other.entries(fresh, 70, at(4*alive))
	require.EqualValues(t, 5, lost)
	again, _ = own.entries(nil, 5, at(4*alive))
	require.Equal(t, own.entry(nil, 5, at(4*alive)), again)
	require.Zero(t, own.told, "it does not tell the gauge again")
}
