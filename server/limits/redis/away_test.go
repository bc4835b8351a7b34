package redis

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"antwort/server/limits/meter"
	"antwort/server/limits/redistest"
)

// admin is a connection for those who run the server.
func admin(t *testing.T, server *redistest.Server) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(opt)
	t.Cleanup(func() { client.Close() })
	return client
}

// An error in place of an answer is the server's way to say that it does not count: it is told,
// and ends when it counts again.
func TestAServerThatAnswersWithErrorsIsAway(t *testing.T) {
	for word, c := range map[string]struct{ begins, ends []string }{
		"OOM":        {[]string{"CONFIG SET maxmemory 1"}, []string{"CONFIG SET maxmemory 0"}},
		"NOPERM":     {[]string{"ACL SETUSER default -@scripting"}, []string{"ACL SETUSER default +@all"}},
		"script":     {[]string{"ACL SETUSER default -hset"}, []string{"ACL SETUSER default +@all"}},
		"READONLY":   {[]string{"REPLICAOF 127.0.0.1 1"}, []string{"REPLICAOF NO ONE"}},
		"NOREPLICAS": {[]string{"CONFIG SET min-replicas-to-write 1"}, []string{"CONFIG SET min-replicas-to-write 0"}},
		"WRONGPASS":  {[]string{"ACL SETUSER default resetpass >other"}, []string{"ACL SETUSER default nopass"}},
	} {
		t.Run(word, func(t *testing.T) {
			server := redistest.Start(t)
			do := admin(t, server)
			say := func(all []string) {
				for _, command := range all {
					var args []any
					for arg := range strings.SplitSeq(command, " ") {
						args = append(args, arg)
					}
					require.NoError(t, do.Do(t.Context(), args...).Err(), command)
				}
			}
			require.NoError(t, do.Ping(t.Context()).Err()) // it stays whoever it is
			var problem atomic.Value
			s, said := open(t, server, func(o *Options) {
				o.URL = strings.Replace(o.URL, "unix://", "unix://:hunter2@", 1)
				changed := o.Changed
				o.Changed = func(err error) {
					if err != nil {
						problem.Store(err)
					}
					changed(err)
				}
			})
			l := &meter.Limits{meter.RequestsAtOnce: 5, meter.RequestsPerMinute: 2, meter.TokensPerDay: 1000}
			before := int64(0)
			if word != "WRONGPASS" { // which is of new connections
				first := one(l, 100)
				settle(s, first, take(t, s, first), -100)
				before = 1
			}
			say(c.begins)
			for range 20 {
				_, err := s.Take(context.Background(), []meter.Take{one(l, 1)}, false)
				require.Error(t, err)
			}
			s.renew(t.Context())
			require.ErrorIs(t, s.Look(t.Context(), &meter.Looking{}), ErrUnavailable)
			require.Equal(t, []int64{1, 0}, []int64{said.down.Load(), said.up.Load()}, "it is said once")
			require.ErrorContains(t, problem.Load().(error), word)
			require.NotContains(t, problem.Load().(error).Error(), "hunter2")
			require.True(t, Refused(problem.Load().(error)))
			say(c.ends)
			require.Eventually(t, func() bool { return said.up.Load() == 1 }, time.Minute, 10*time.Millisecond)
			for range 2 - before {
				require.Nil(t, take(t, s, one(l, 1)).Refused)
			}
			require.NotNil(t, take(t, s, one(l, 1)).Refused)
			require.Equal(t, []int64{1, 1}, []int64{said.down.Load(), said.up.Load()})
		})
	}
}

// What a server repeats of a command that it does not know may be the password.
func TestNoPasswordIsTold(t *testing.T) {
	s, _ := open(t, redistest.Start(t), func(o *Options) { o.URL = "redis://:hunter2@127.0.0.1:1" })
	for _, text := range []string{"ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2' ", "ERR invalid password hunter2"} {
		err := s.said(&refusal{text})
		require.True(t, Refused(err))
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// dayAndPlaces are how much of a day is used of the counter that tests take from, and how many
// requests are under way.
func dayAndPlaces(t *testing.T, s *Store, l *meter.Limits) [2]int64 {
	t.Helper()
	look := meter.Looking{Most: 1, Of: func(counter string) *meter.Limits {
		if counter == "a" {
			return l
		}
		return nil
	}}
	require.NoError(t, s.Look(t.Context(), &look))
	return [2]int64{look.Found()[0].Used[meter.TokensPerDay], look.Found()[0].Used[meter.RequestsAtOnce]}
}

// A server that stands still carries out later what nobody waits for any more: that is given
// back, and what was settled meanwhile is settled once.
func TestAServerThatStandsStillKeepsNothing(t *testing.T) {
	server := redistest.Start(t)
	s, said := open(t, server, func(o *Options) { o.Timeout = time.Second })
	l := &meter.Limits{meter.RequestsAtOnce: 100, meter.TokensPerDay: 1_000_000}
	var under []meter.Take
	var results []meter.Result
	for range 8 {
		takes := []meter.Take{one(l, 100)}
		r, err := s.Take(context.Background(), takes, false)
		require.NoError(t, err)
		under, results = append(under, takes[0]), append(results, r)
	}
	require.Equal(t, [2]int64{800, 8}, dayAndPlaces(t, s, l))
	server.Pause(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			takes := []meter.Take{one(l, 1000), {Counter: "b", Limits: l, Tokens: 1000}}
			_, err := s.Take(context.Background(), takes, false)
			require.Error(t, err)
		})
		if i%2 == 0 {
			all.Go(func() { settle(s, under[i], results[i], -93) })
		}
	}
	all.Wait()
	require.EqualValues(t, 1, said.down.Load())
	server.Resume(t)
	s.Flush(context.Background())
	require.Eventually(t, func() bool { return said.up.Load() == 1 }, time.Minute, 10*time.Millisecond)
	require.Equal(t, [2]int64{400 + 4*7, 4}, dayAndPlaces(t, s, l))
	for i := 1; i < 8; i += 2 {
		settle(s, under[i], results[i], -93)
	}
	s.Flush(context.Background())
	require.Equal(t, [2]int64{8 * 7, 0}, dayAndPlaces(t, s, l))
	require.Zero(t, said.lost.Load())
	require.Empty(t, s.numbers.open)
}

// A run is carried out once, however often it is sent; and a take that was given back before it
// was carried out is not carried out any more.
func TestRunsAreCarriedOutOnce(t *testing.T) {
	s, _ := open(t, redistest.Start(t))
	l := &meter.Limits{meter.RequestsAtOnce: 100, meter.TokensPerDay: 1_000_000}
	first := []meter.Take{one(l, 500)}
	r, err := s.Take(t.Context(), first, false)
	require.NoError(t, err)
	again := &run{all: []settlement{{Settlement: meter.Settlement{Counter: "a", Limits: l, More: 7, Periods: r.Periods}, dayEnd: 1e15, monthEnd: 1e15}}}
	for range 3 {
		require.NoError(t, s.run(t.Context(), again, time.Minute))
	}
	require.Equal(t, [2]int64{507, 1}, dayAndPlaces(t, s, l))
	s.end(again)

	back := func(takes []meter.Take, number int64) {
		s.giveBack(takes, number, r.Periods, context.DeadlineExceeded)
		s.Flush(t.Context())
	}
	late := []meter.Take{one(l, 1000)}
	_, _, number, err := s.take(t.Context(), late, false)
	require.NoError(t, err)
	require.Equal(t, [2]int64{1507, 2}, dayAndPlaces(t, s, l))
	back(late, number)
	require.Equal(t, [2]int64{507, 1}, dayAndPlaces(t, s, l), "it was carried out")
	number, _ = s.numbers.next()
	back(late, number)
	require.Equal(t, [2]int64{507, 1}, dayAndPlaces(t, s, l), "it was not yet")
	s.numbers.last = number - 1 // and now it comes
	_, _, same, err := s.take(t.Context(), late, false)
	require.NoError(t, err)
	require.Equal(t, number, same)
	s.numbers.last++
	s.numbers.end(same)
	require.Equal(t, [2]int64{507, 1}, dayAndPlaces(t, s, l))

	refused := []meter.Take{{Counter: "a", Limits: l, Tokens: 1_000_000}}
	r, _, number, err = s.take(t.Context(), refused, false)
	require.NoError(t, err)
	require.NotNil(t, r.Refused)
	back(refused, number)
	require.Equal(t, [2]int64{507, 1}, dayAndPlaces(t, s, l), "nothing was taken")
}
