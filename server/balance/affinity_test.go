package balance_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"antwort/server/balance"

	"github.com/stretchr/testify/require"
)

func affine(c *clock, prev *balance.Group, all []balance.Backend) *balance.Group {
	opt := options(c)
	opt.MaxLoadPercent = 200
	return balance.New(all, opt, prev)
}

// homes are where the keys 1 to n go while nothing is in flight.
func homes(t *testing.T, g *balance.Group, n int) []int {
	all := make([]int, n)
	for key := range n {
		l := pick(t, g, spread(key), 0)
		all[key] = l.Index
		l.Release()
	}
	return all
}

func spread(key int) uint64 { return uint64(key+1) * 0x9e3779b97f4a7c15 }

func TestAffinity(t *testing.T) {
	const n = 4000
	for _, weights := range [][]int{{1, 1, 1, 1}, {3, 1, 2, 2}} {
		c := new(clock)
		g := affine(c, nil, backends(weights...))
		before := homes(t, g, n)
		require.Equal(t, before, homes(t, g, n), "a key has one home")
		sum, count := 0, make([]int, len(weights))
		for _, w := range weights {
			sum += w
		}
		for _, i := range before {
			count[i]++
		}
		for i, w := range weights {
			p := float64(w) / float64(sum)
			require.InDelta(t, n*p, float64(count[i]), 4*math.Sqrt(n*p*(1-p)), "weights %v got %v", weights, count)
		}
		eject(t, g, 2)
		moved := make([]int, len(weights))
		for key, i := range homes(t, g, n) {
			if before[key] == 2 {
				require.NotEqual(t, 2, i)
				moved[i]++
				continue
			}
			require.Equal(t, before[key], i, "a key moved that was not the ejected one's")
		}
		for i := range weights {
			require.Equal(t, i != 2, moved[i] > count[2]/10, "its share is spread: %v", moved)
		}
		c.pass(5 * time.Second)
		probe := at(t, g, 2)
		probe.Answered()
		probe.Release()
		require.Equal(t, before, homes(t, g, n), "all come back")
	}
}

// The order of backends does not matter, nor which others there are.
func TestAffinityIsByName(t *testing.T) {
	all := backends(1, 1, 1, 1)
	g := affine(new(clock), nil, all)
	before := homes(t, g, 500)
	turned := slices.Clone(all)
	slices.Reverse(turned)
	for key, i := range homes(t, affine(new(clock), nil, turned), 500) {
		require.Equal(t, all[before[key]].Name, turned[i].Name)
	}
	for key, i := range homes(t, affine(new(clock), nil, append(all, balance.Backend{Name: "new", Weight: 1})), 500) {
		require.True(t, i == 4 || i == before[key])
	}
}

func TestHotKeyDoesNotOverloadItsBackend(t *testing.T) {
	g := affine(new(clock), nil, backends(1, 1, 1, 1))
	home := homes(t, g, 1)[0]
	got := make([]int, 4)
	for range 400 {
		l := pick(t, g, spread(0), 0)
		got[l.Index]++
	}
	require.InDelta(t, 200, got[home], 2, "twice its share: %v", got)
	require.Equal(t, 400, got[0]+got[1]+got[2]+got[3])
}

func TestAffinityWithoutKeyGoesByLoad(t *testing.T) {
	g := affine(new(clock), nil, backends(3, 1))
	var got [2]int
	for range 400 {
		l := pick(t, g, 0, 0)
		got[l.Index]++
		l.Release()
	}
	require.InDelta(t, 300, got[0], 2)
}
