package filter_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// turns are those of the worker's loop, counted by how long they took, as Envoy measures
// them itself: in one it reads what has come, calls the filter for it, and writes. What
// the test's own process does at the time does not show in them.
type turns struct{ counts []int } // by turnBounds

// turnBounds are in microseconds; the last is more than any turn takes.
var turnBounds = []int{10_000, 20_000, 30_000, 40_000, 50_000, 60_000, 75_000, 100_000, 150_000, 300_000, 1_000_000, 60_000_000}

// measuresTurns are the members of a bootstrap that have Envoy count them.
var measuresTurns = object{
	"enable_dispatcher_stats": true,
	"stats_flush_on_admin":    true,
	"stats_config": object{"histogram_bucket_settings": []object{
		{"match": object{"suffix": "loop_duration_us"}, "buckets": turnBounds},
	}},
}

var turnBucket = regexp.MustCompile(`B([\d.e+]+)\(\d+,(\d+)\)`)

// turns are all since Envoy's start.
func (g *gateway) turns(t testing.TB) turns {
	t.Helper()
	// An answer tells what was gathered last, and has it gathered anew: so there are two
	// of what came after the call.
	before := g.gathered(t)
	for range 2 {
		var now turns
		require.Eventually(t, func() bool { now = g.gathered(t); return now.sum() > before.sum() }, time.Minute, time.Millisecond)
		before = now
	}
	return before
}

func (g *gateway) gathered(t testing.TB) (n turns) {
	t.Helper()
	text, err := g.Get("/stats?filter=worker_0.dispatcher.loop_duration_us&histogram_buckets=disjoint")
	require.NoError(t, err)
	for _, b := range turnBucket.FindAllStringSubmatch(text, -1) {
		count, err := strconv.Atoi(b[2])
		require.NoError(t, err)
		n.counts = append(n.counts, count)
	}
	return n
}

func (n turns) sum() (all int) {
	for _, c := range n.counts {
		all += c
	}
	return all
}

// longest is a bound of the longest turn that came after before.
func (n turns) longest(before turns) time.Duration {
	for i := len(n.counts) - 1; i > 0; i-- {
		if n.counts[i] > before.counts[i] {
			return time.Duration(turnBounds[i]) * time.Microsecond
		}
	}
	return time.Duration(turnBounds[0]) * time.Microsecond
}

func (n turns) String() string {
	var all []string
	for i, c := range n.counts {
		if c > 0 {
			all = append(all, fmt.Sprintf("%d below %v", c, time.Duration(turnBounds[i])*time.Microsecond))
		}
	}
	return strings.Join(all, ", ")
}
