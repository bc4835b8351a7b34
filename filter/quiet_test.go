package filter

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"
)

// A panic in a translation does not leave the garbage collector stopped.
func TestTheCollectorGoesOnAfterAPanic(t *testing.T) {
	percent := func() int {
		now := debug.SetGCPercent(100)
		debug.SetGCPercent(now)
		return now
	}
	before := percent()
	for size, during := range map[int]int{quietBytes - 1: before, quietBytes: -1} {
		require.Panics(t, func() {
			defer new(memory).quiet(size)()
			require.Equal(t, during, percent())
			panic("in a translation")
		})
		require.Equal(t, before, percent())
	}
}
