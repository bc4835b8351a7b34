package balance_test

import (
	"testing"
	"time"

	"antwort/server/balance"

	"github.com/stretchr/testify/require"
)

// eject fails a backend until it is ejected.
func eject(t *testing.T, g *balance.Group, i int) {
	t.Helper()
	for n := 1; ; n++ {
		l := at(t, g, i)
		d := l.Failed()
		l.Release()
		if n == 3 {
			require.Equal(t, 5*time.Second, d)
			return
		}
		require.Zero(t, d)
	}
}

// at is a lease of one backend.
func at(t *testing.T, g *balance.Group, i int) balance.Lease {
	t.Helper()
	var tried balance.Tried
	for j := range g.Len() {
		if j != i {
			tried.Add(j)
		}
	}
	return pick(t, g, 0, tried)
}

func state(g *balance.Group, i int) balance.State { return g.Status()[i].State }

func TestEjection(t *testing.T) {
	c := new(clock)
	g := group(c, 1, 1)
	for range 2 {
		l := at(t, g, 0)
		require.Zero(t, l.Failed())
		l.Release()
	}
	l := at(t, g, 0)
	require.False(t, l.Answered())
	l.Release()
	require.Zero(t, g.Status()[0].Failures, "only failures in a row count")
	late := at(t, g, 0)
	lateAnswer := at(t, g, 0)
	eject(t, g, 0)
	require.Zero(t, late.Failed(), "what began before counts once")
	late.Release()
	require.False(t, lateAnswer.Answered(), "an old answer says nothing about now")
	lateAnswer.Release()
	require.Equal(t, balance.Ejected, state(g, 0))

	c.pass(5*time.Second - 1)
	for range 10 {
		l := pick(t, g, 0, 0)
		require.Equal(t, 1, l.Index)
	}
	c.pass(1)
	require.Equal(t, balance.HalfOpen, state(g, 0))
	probe := pick(t, g, 0, 0)
	require.Zero(t, probe.Index)
	for range 10 {
		l := pick(t, g, 0, 0)
		require.Equal(t, 1, l.Index, "one at a time")
	}
	for _, want := range []time.Duration{10, 20, 30, 30} { // doubled up to the maximum
		require.Equal(t, want*time.Second, probe.Failed())
		probe.Release()
		c.pass(want*time.Second - 1)
		require.Equal(t, balance.Ejected, state(g, 0))
		c.pass(1)
		probe = pick(t, g, 0, 0)
		require.Zero(t, probe.Index)
	}
	probe.Release() // without having shown anything
	probe = pick(t, g, 0, 0)
	require.Zero(t, probe.Index)
	require.True(t, probe.Answered())
	require.Equal(t, balance.Well, state(g, 0))
	probe.Release()
	eject(t, g, 0) // for the first time again
}

// With all ejected a request is tried all the same, and each on another one.
func TestAllEjected(t *testing.T) {
	c := new(clock)
	g := group(c, 1, 1)
	eject(t, g, 1)
	c.pass(time.Second)
	eject(t, g, 0)
	c.pass(time.Second)
	first := pick(t, g, 0, 0)
	require.Equal(t, 1, first.Index, "its time is up first")
	require.Zero(t, first.Failed())
	second := pick(t, g, 0, 0)
	require.Equal(t, 0, second.Index, "the other one did not get its turn")
	require.True(t, second.Answered())
	require.Equal(t, balance.Well, state(g, 0))
	third := pick(t, g, 0, 0)
	require.Equal(t, 0, third.Index)

	one := group(c, 1)
	eject(t, one, 0)
	for range 3 {
		l := pick(t, one, 0, 0)
		require.Zero(t, l.Failed())
		l.Release()
	}
	require.Equal(t, 5*time.Second, one.Status()[0].Left, "it does not grow with every request")
}
