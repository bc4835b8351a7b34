package reqbody

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/buffer"
)

// Whatever exchanges hold and let go of, in whatever order and at once: the bound
// is never passed, and nothing is left when they have ended, however often that
// is said.
func TestEverythingIsReleasedOnce(t *testing.T) {
	const limit = 4 << 20
	var bound Bound
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 300 {
				var c Charge
				begun := bound.Begin(&c, limit)
				var buffers []*buffer.Buffer
				sum := 0
				for range random.IntN(12) {
					switch random.IntN(4) {
					case 0:
						if n := random.IntN(1 << 20); begun && c.Hold(n) {
							sum += n
						}
					case 1:
						if begun {
							if b := buffer.Metered(&c); b != nil {
								buffers = append(buffers, b)
							}
						}
					case 2:
						if len(buffers) > 0 {
							b := buffers[random.IntN(len(buffers))]
							if b.Grow(random.IntN(600 << 10)) {
								b.B = b.B[:cap(b.B)]
							}
							if random.IntN(4) == 0 {
								b.B = append(b.B, make([]byte, random.IntN(200<<10))...)
								b.Measure()
							}
						}
					case 3:
						if n := random.IntN(sum + 1); n > 0 {
							c.LetGo(n)
							sum -= n
						}
					}
					require.LessOrEqual(t, bound.Held(), int64(limit))
				}
				late := random.IntN(len(buffers) + 1)
				for _, b := range buffers[late:] {
					b.Put()
				}
				c.Release()
				for _, b := range buffers[:late] { // some are put back after the end
					b.Put()
				}
				c.Release()
				require.False(t, c.Hold(1), "after the end")
			}
		})
	}
	all.Wait()
	require.Zero(t, bound.Held())
}

// A small exchange asks twice.
func TestSmallExchangesAreSetAside(t *testing.T) {
	var bound Bound
	var c Charge
	require.True(t, bound.Begin(&c, aside))
	require.True(t, c.Hold(aside))
	require.EqualValues(t, aside, bound.Held())
	require.False(t, c.Hold(1))
	require.Equal(t, 413, c.Refusal().Reply.Status, "it will never fit")
	var other Charge
	require.False(t, bound.Begin(&other, aside))
	require.Equal(t, 503, other.Refusal().Reply.Status)
	other.Release()
	require.EqualValues(t, aside, bound.Held())
	c.LetGo(aside)
	require.EqualValues(t, aside, bound.Held(), "set aside to the end")
	c.Release()
	require.Zero(t, bound.Held())
}

func BenchmarkSmallExchange(b *testing.B) {
	var bound Bound
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			var c Charge
			bound.Begin(&c, 1<<40)
			buf := buffer.Metered(&c)
			buf.Put()
			c.Release()
		}
	})
}
