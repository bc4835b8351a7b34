package filter

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Memory is made ready once for the longest body, and is free when a translation begins.
func TestGroundFollowsTheLongestBody(t *testing.T) {
	var g ground
	for _, step := range []struct{ came, rooms int }{
		{firmBytes - 1, 0},
		{firmBytes, 12},
		{firmBytes, 12},
		{2 << 20, 24},
	} {
		g.follow(step.came)
		require.Len(t, g.rooms, step.rooms)
	}
	g.free()
	require.Empty(t, g.rooms)
	g.follow(2 << 20)
	require.Empty(t, g.rooms, "it is there")
	g.follow(3 << 20)
	require.Len(t, g.rooms, 12)

	var m memory
	m.ground.follow(firmBytes)
	m.quiet(quietBytes - 1)()
	require.Len(t, m.ground.rooms, 12, "a short text needs none")
	m.quiet(quietBytes)()
	require.Empty(t, m.ground.rooms)

	m.ground.follow(2 * firmBytes)
	m.ground.drop()
	require.Empty(t, m.ground.rooms)
	require.True(t, m.ground.taken, "the next translation has them collected")
}
