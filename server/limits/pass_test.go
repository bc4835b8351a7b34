package limits

import (
	"context"
	"fmt"
	"math"
	"testing"

	"antwort/server/limits/redistest"
	"antwort/server/observe"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

const generous = `[{"name":"all","tokens_per_minute":100000000000,"tokens_per_day":100000000000,"tokens_per_month":100000000000}]`

// spent is how much of a day is used of the only rule.
func spent(t testing.TB, r *Rules) int64 {
	t.Helper()
	uses, _, err := r.Look(context.Background(), 1)
	require.NoError(t, err)
	if len(uses) == 0 {
		return 0
	}
	require.Equal(t, uses[0].Used[3], uses[0].Used[4], "a day's and a month's")
	return uses[0].Used[3]
}

// settled waits until nothing waits to be settled.
func settled(r *Rules) {
	if flushed, ok := r.store.(interface{ Flush(context.Context) }); ok {
		flushed.Flush(context.Background())
	}
}

// turn reserves, and settles by a status and a usage; it returns how much was used meanwhile,
// and for good.
func turn(t testing.TB, r *Rules, n Need, status int, u *responses.Usage) (reserved, used int64) {
	t.Helper()
	before := spent(t, r)
	var p Pass
	if r.Enter(context.Background(), &p, nil) != nil || p.Reserve(context.Background(), n) != nil {
		require.Equal(t, before, spent(t, r), "who is refused has used nothing")
		return 0, 0
	}
	reserved = spent(t, r) - before
	rec := &observe.Record{Status: status, Outcome: responses.Outcome{HasUsage: u != nil}}
	if u != nil {
		rec.Outcome.Usage = *u
	}
	p.Settle(rec, true)
	settled(r)
	return reserved, spent(t, r) - before
}

// What clients and model servers write as a number of tokens may be any number: it takes from
// nobody what was used, and adds no more than one answer can have.
func TestNumbersOfOthersAreBounded(t *testing.T) {
	for name, more := range map[string]func(*testing.T) string{
		"memory": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return fmt.Sprintf(`"store":"redis","redis":{"url":%q,"timeout":"5s"},`, redistest.Start(t).URL())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, more(t), generous)
			_, used := turn(t, r, Need{Input: 10, Output: 20}, 200, &responses.Usage{Input: 5000, Output: 78})
			require.EqualValues(t, 5078, used)
			for _, n := range []int64{math.MaxInt64, math.MaxInt64 - 10, math.MaxInt64 / 2, math.MinInt64, -1, 1e18} {
				for _, need := range []Need{{Input: 10, Output: n}, {Input: n, Output: 10}, {Input: n, Output: n}} {
					reserved, used := turn(t, r, need, 400, nil)
					require.GreaterOrEqual(t, reserved, int64(0), "%+v", need)
					require.LessOrEqual(t, reserved, int64(20_000_000_000), "%+v", need)
					require.Zero(t, used, "%+v was refused by the backend", need)
				}
				for _, u := range []responses.Usage{{Input: n}, {Output: n}, {Input: n, Output: n}} {
					_, used := turn(t, r, Need{Input: 10, Output: 20}, 200, &u)
					require.Contains(t, []int64{0, 30}, used, "%+v is no count", u)
				}
			}
		})
	}
}

// Whatever a request needs and an answer says to have used: use never goes down, and a request
// that its backend refused has used nothing.
func FuzzNeed(f *testing.F) {
	f.Add(int64(16), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), uint16(200))
	f.Add(int64(math.MinInt64), int64(-1), int64(math.MinInt64), int64(-5), uint16(400))
	f.Fuzz(func(t *testing.T, input, output, in, out int64, status uint16) {
		r := rulesOf(t, "", generous)
		turn(t, r, Need{Input: 500, Output: 500}, 200, &responses.Usage{Input: 500, Output: 500})
		need := Need{Input: input, Output: output}
		reserved, used := turn(t, r, need, int(status), &responses.Usage{Input: in, Output: out})
		require.GreaterOrEqual(t, reserved, int64(0))
		require.GreaterOrEqual(t, used, int64(0))
		require.LessOrEqual(t, used, int64(10_000_000_000))
		if _, used = turn(t, r, need, 400, nil); status != 200 {
			require.Zero(t, used)
		}
		var p Pass
		r.Resume(context.Background(), &p, policy.NewIdentity("a", "", "", nil), need) // it is refused nothing
		before := spent(t, r)
		require.GreaterOrEqual(t, before, int64(0))
		p.Settle(&observe.Record{Failure: failure.ClientGone}, true)
		require.LessOrEqual(t, spent(t, r), before)
	})
}
