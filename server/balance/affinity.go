package balance

import "math"

// related chooses the backend that a key belongs to: the one with the highest
// score of weighted rendezvous hashing. When a backend leaves, only its own keys
// move, each to the backend that is next for it; they come back with it.
//
// A backend that has more than its bounded share of the requests in flight is
// passed over: a popular key must not make one of them hot while others idle
// (consistent hashing with bounded loads).
func (g *Group) related(t *tier, key uint64, able Tried) int {
	active, weights := g.load(t, able)
	best, roomy := -1, -1
	var highest, high float64
	for _, i := range g.order[t.from:t.to] {
		m := &g.backends[i]
		if !able.has(i) {
			continue
		}
		score := unit(mix(key ^ m.seed))
		if !t.equal { // else it is the same order
			score = -float64(m.Weight) / math.Log(score)
		}
		if best < 0 || score > highest {
			best, highest = i, score
		}
		if (roomy < 0 || score > high) && g.hasRoom(m, active, weights) {
			roomy, high = i, score
		}
	}
	if roomy >= 0 {
		return roomy
	}
	return best
}

// alwaysRoom is how many requests a backend may always have. A share of few
// requests is none to speak of, and would scatter conversations for nothing.
const alwaysRoom = 8

func (g *Group) hasRoom(m *member, active, weights int) bool {
	if m.host.active < alwaysRoom {
		return true
	}
	return (m.host.active+1)*100*weights <= g.opt.MaxLoadPercent*active*m.Weight
}

// hash is a text's, FNV-1a with a better end.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix makes every bit depend on every other (the end of splitmix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// unit maps a hash into the open interval from 0 to 1.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }
