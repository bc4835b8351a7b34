package redis

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/limits/meter"
	"antwort/server/limits/redistest"
)

// A limit that a rule loses, and gets back, goes on with what it had counted, and what has come
// back meanwhile.
func TestALimitThatComesBackGoesOn(t *testing.T) {
	at := time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	s, _ := open(t, redistest.Start(t), func(o *Options) { o.Now = now })
	both, days := &meter.Limits{0, 4, 400, 1000, 0}, &meter.Limits{0, 0, 0, 1000, 0}
	for name, one := range map[string]meter.Store{"memory": meter.NewMemory(1000, now), "redis": s} {
		t.Run(name, func(t *testing.T) {
			asks := func(l *meter.Limits) meter.Result {
				r := take(t, one, meter.Take{Counter: "a", Instead: "a", Limits: l, Enters: true, Tokens: 100})
				if r.Refused == nil {
					one.Settle([]meter.Settlement{{Counter: "a", Limits: l, Leaves: true, More: -1, Periods: r.Periods}})
					s.Flush(t.Context())
				}
				return r
			}
			begun := at
			defer func() { at = begun }()
			for left := int64(3); left >= 0; left-- {
				require.Equal(t, left, asks(both).Requests.Left)
			}
			require.NotNil(t, asks(both).Refused)
			require.Nil(t, asks(days).Refused)
			require.Equal(t, meter.RequestsPerMinute, asks(both).Refused.Kind)
			at = at.Add(15 * time.Second) // one comes back
			require.Nil(t, asks(days).Refused)
			require.Zero(t, asks(both).Requests.Left)
			require.Equal(t, int64(4), asks(both).Refused.Used)
		})
	}
}

// Takes and settlements of any number of tokens leave in Redis what they leave in the process.
func TestRedisBoundsTokensAsMemoryDoes(t *testing.T) {
	at := time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC)
	now := func() time.Time { return at }
	s, _ := open(t, redistest.Start(t), func(o *Options) { o.Now = now })
	m := meter.NewMemory(1000, now)
	limits := &meter.Limits{0, 0, 100_000_000_000, 100_000_000_000, 100_000_000_000}
	numbers := []int64{500, math.MaxInt64, math.MinInt64, -1, 1e18, 2 * meter.MaxTokens, 0, 7}
	use := func(one meter.Store) [meter.Kinds]int64 {
		look := meter.Looking{Most: 1, Of: func(string) *meter.Limits { return limits }}
		require.NoError(t, one.Look(t.Context(), &look))
		return look.Found()[0].Used
	}
	var used [2][meter.Kinds]int64
	for _, tokens := range numbers {
		for _, more := range numbers {
			var results [2]meter.Result
			for i, one := range []meter.Store{s, m} {
				takes := []meter.Take{{Counter: "a", Limits: limits, Tokens: tokens}}
				r, err := one.Take(context.Background(), takes, true)
				require.NoError(t, err)
				require.GreaterOrEqual(t, use(one)[meter.TokensPerDay], used[i][meter.TokensPerDay], "%d", tokens)
				one.Settle([]meter.Settlement{{Counter: "a", Limits: limits, More: more, Periods: r.Periods}})
				s.Flush(context.Background())
				results[i], used[i] = r, use(one)
			}
			require.Equal(t, results[1], results[0], "%d, %d", tokens, more)
			require.Equal(t, used[1], used[0], "%d, %d", tokens, more)
		}
	}
}
