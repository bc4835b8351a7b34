package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/limits/meter"
	"antwort/server/limits/redistest"
	"antwort/server/upstream/pki"
)

// changes are what a store has said of itself.
type changes struct {
	up, down, lost atomic.Int64
}

func open(t testing.TB, r *redistest.Server, edit ...func(*Options)) (*Store, *changes) {
	t.Helper()
	c := &changes{}
	opt := Options{URL: r.URL(), Prefix: "test", Timeout: 5 * time.Second, Lost: func(n int) { c.lost.Add(int64(n)) }, Changed: func(err error) {
		if err != nil {
			c.down.Add(1)
		} else {
			c.up.Add(1)
		}
	}}
	for _, e := range edit {
		e(&opt)
	}
	s, err := New(opt)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, s.Close(ctx))
	})
	return s, c
}

func take(t testing.TB, s meter.Store, takes ...meter.Take) meter.Result {
	t.Helper()
	r, err := s.Take(context.Background(), takes, false)
	require.NoError(t, err)
	return r
}

// What the scripts do is what the store in the process does, step by step.
func TestRedisCountsAsMemoryDoes(t *testing.T) {
	var at atomic.Int64
	at.Store(time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(at.Load()) }
	s, _ := open(t, redistest.Start(t), func(o *Options) { o.Now, o.Lease = now, 1000*time.Hour })
	m := meter.NewMemory(1000, now)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 1))
	limits := []*meter.Limits{{3, 7, 0, 0, 0}, {0, 601, 10_007, 50_000, 0}, {0, 0, 1000, 0, 5000}, {2, 0, 0, 3000, 9000}, {0, 0, 100_000_000_000, 100_000_000_000, 100_000_000_000}}
	type taken struct{ own, other []meter.Settlement }
	var under []taken
	steps := 6000
	if testing.Short() {
		steps = 1500
	}
	refusals := map[string]int{}
	// It goes on until each kind of refusal has come.
	for step := 0; step < steps || len(refusals) < int(meter.Kinds) && step < 20*steps; step++ {
		if dice.IntN(3) == 0 {
			at.Add(int64(dice.ExpFloat64() * 2000))
		}
		if dice.IntN(500) == 0 {
			at.Add(int64(dice.IntN(36)) * time.Hour.Milliseconds())
		}
		if len(under) > 0 && dice.IntN(2) == 0 {
			i := dice.IntN(len(under))
			more := int64(dice.IntN(700)) - 500
			for j := range under[i].own {
				under[i].own[j].More, under[i].other[j].More = more, more
			}
			s.Settle(under[i].own)
			s.Flush(context.Background())
			m.Settle(under[i].other)
			under = append(under[:i], under[i+1:]...)
			continue
		}
		var takes []meter.Take
		tokens := int64(dice.IntN(400))
		for i := range limits {
			if dice.IntN(2) == 0 {
				takes = append(takes, meter.Take{Counter: fmt.Sprint("c", i), Limits: limits[i], Enters: dice.IntN(4) > 0, Tokens: tokens})
			}
		}
		if takes == nil {
			continue
		}
		force := dice.IntN(20) == 0
		other := append([]meter.Take(nil), takes...)
		got, err := s.Take(context.Background(), takes, force)
		require.NoError(t, err)
		want, err := m.Take(context.Background(), other, force)
		require.NoError(t, err)
		require.Equal(t, want, got, "step %d: %v", step, takes)
		if got.Refused != nil {
			refusals[got.Refused.Kind.String()]++
			continue
		}
		var u taken
		for i := range takes {
			one := meter.Settlement{Counter: takes[i].Counter, Limits: takes[i].Limits, Leaves: takes[i].Enters, Periods: got.Periods}
			u.other = append(u.other, one)
			one.Lease = takes[i].Lease
			u.own = append(u.own, one)
		}
		under = append(under, u)
	}
	require.Len(t, refusals, int(meter.Kinds), "%v", refusals)
}

func one(l *meter.Limits, tokens int64) meter.Take {
	return meter.Take{Counter: "a", Limits: l, Enters: true, Tokens: tokens}
}

func settle(s *Store, t meter.Take, r meter.Result, more int64) {
	s.Settle([]meter.Settlement{{Counter: t.Counter, Limits: t.Limits, Leaves: true, Lease: t.Lease, More: more, Periods: r.Periods}})
}

// A URL with rediss:// asks for a certificate of the host, by an authority of the system: one
// of one's own is added with SSL_CERT_FILE.
func TestRedisWithTLS(t *testing.T) {
	ours := pki.New(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ours.PEM, 0o600))
	t.Setenv("SSL_CERT_FILE", file) // it is read with the first certificate that the process sees
	cert, key := ours.Issue(t, "localhost")
	server := redistest.StartTLS(t, cert, key)
	at := func(url string) (*Store, *changes) {
		return open(t, server, func(o *Options) { o.URL = url })
	}
	s, _ := at(server.TLS("localhost"))
	l := &meter.Limits{meter.RequestsPerMinute: 1}
	require.Nil(t, take(t, s, one(l, 0)).Refused)
	require.NotNil(t, take(t, s, one(l, 0)).Refused)

	refused := func(url, want string) {
		s, c := at(url)
		_, err := s.Take(context.Background(), []meter.Take{one(l, 0)}, false)
		require.ErrorContains(t, err, want)
		require.EqualValues(t, 1, c.down.Load())
	}
	refused(server.TLS("127.0.0.1"), "x509")
	cert, key = pki.New(t).Issue(t, "localhost")
	refused(redistest.StartTLS(t, cert, key).TLS("localhost"), "unknown authority")
}

// Three replicas share a rate, under many callers each.
func TestReplicasShareARate(t *testing.T) {
	server := redistest.Start(t)
	const perMinute = 3000
	l := &meter.Limits{meter.RequestsPerMinute: perMinute}
	replicas := make([]*Store, 3)
	for i := range replicas {
		replicas[i], _ = open(t, server)
	}
	_, err := replicas[0].Take(context.Background(), []meter.Take{{Counter: "a", Limits: l, Enters: true}}, false)
	require.NoError(t, err)
	begun := time.Now()
	var passed, refused atomic.Int64
	passed.Store(1)
	var all sync.WaitGroup
	for _, s := range replicas {
		for range 8 {
			all.Go(func() {
				for refused.Load() < 200 {
					r, err := s.Take(context.Background(), []meter.Take{one(l, 0)}, false)
					switch {
					case !assert.NoError(t, err):
						return
					case r.Refused != nil:
						refused.Add(1)
					default:
						passed.Add(1)
					}
				}
			})
		}
	}
	all.Wait()
	// What may pass is the bucket, and what has come back: when one is refused, all of it has passed.
	may := func() float64 { return perMinute + time.Since(begun).Seconds()*perMinute/60 }
	least := may()
	for take(t, replicas[0], one(l, 0)).Refused == nil {
		passed.Add(1)
		least = may()
	}
	most := may()
	t.Logf("%d passed, of %.0f to %.0f that may", passed.Load(), least, most)
	require.LessOrEqual(t, float64(passed.Load()), most*1.01)
	require.GreaterOrEqual(t, float64(passed.Load()), least*0.99)
}

func TestBudgetsOutliveProcessAndServer(t *testing.T) {
	server := redistest.Start(t)
	l := &meter.Limits{meter.TokensPerMonth: 1000}
	s, _ := open(t, server)
	first := one(l, 900)
	r := take(t, s, first)
	settle(s, first, r, -300)
	s.Flush(context.Background())
	server.Kill(t)
	server.Run(t)
	other, _ := open(t, server)
	refused := take(t, other, one(l, 401)).Refused
	require.NotNil(t, refused)
	require.Equal(t, int64(600), refused.Used)
	require.Nil(t, take(t, other, one(l, 400)).Refused)
}

// What a process had under way when it died is let go after a while; what lives stays.
func TestRequestsOfADeadProcessLeave(t *testing.T) {
	server := redistest.Start(t)
	l := &meter.Limits{meter.RequestsAtOnce: 2}
	short := func(o *Options) { o.Lease = 3 * time.Second }
	dead, _ := open(t, server, short)
	alive, _ := open(t, server, short)
	mine := []meter.Take{one(l, 0)}
	r, err := alive.Take(context.Background(), mine, false)
	require.NoError(t, err)
	require.Nil(t, r.Refused)
	require.Nil(t, take(t, dead, one(l, 0)).Refused)
	require.NotNil(t, take(t, alive, one(l, 0)).Refused)
	dead.stop()
	require.Eventually(t, func() bool { return take(t, alive, one(l, 0)).Refused == nil }, time.Minute, 20*time.Millisecond)
	require.NotNil(t, take(t, alive, one(l, 0)).Refused, "the first is still there, and so is the last")
	settle(alive, mine[0], r, 0)
	require.Nil(t, take(t, alive, one(l, 0)).Refused)
}

// Who has used nothing leaves nothing behind, whatever its name.
func TestUnusedCountersGo(t *testing.T) {
	server := redistest.Start(t)
	s, _ := open(t, server)
	l := &meter.Limits{meter.RequestsAtOnce: 5, meter.TokensPerMinute: 1000, meter.TokensPerMonth: 1000}
	for i := range 200 {
		name := []meter.Take{{Counter: fmt.Sprint("invented ", i), Limits: l, Enters: true, Tokens: 100}}
		r, err := s.Take(context.Background(), name, false)
		require.NoError(t, err)
		settle(s, name[0], r, -100)
	}
	s.Flush(context.Background())
	opt, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(opt)
	defer client.Close()
	names, err := client.Keys(context.Background(), "*").Result()
	require.NoError(t, err)
	require.Equal(t, []string{s.marks}, names, "one key for each process, for an hour")
	marks, err := client.ZCard(context.Background(), s.marks).Result()
	require.NoError(t, err)
	require.LessOrEqual(t, marks, int64(3), "of those last runs that wait for the next one")
	used := one(l, 100)
	take(t, s, used)
	keys, err := client.Keys(context.Background(), "*").Result()
	require.NoError(t, err)
	for _, key := range keys {
		ttl, err := client.PTTL(context.Background(), key).Result()
		require.NoError(t, err)
		require.Positive(t, ttl, "what is kept ends: %s", key)
	}
}

// While the store is away nobody waits for it, and what was settled meanwhile is settled
// when it is back.
func TestAStoreThatIsAwayAndComesBack(t *testing.T) {
	server := redistest.Start(t)
	l := &meter.Limits{meter.TokensPerDay: 1000}
	s, said := open(t, server)
	kept := one(l, 900)
	r := take(t, s, kept)
	server.Kill(t)
	_, err := s.Take(context.Background(), []meter.Take{one(l, 1)}, false)
	require.Error(t, err)
	settle(s, kept, r, -890)
	for range 1000 {
		_, err = s.Take(context.Background(), []meter.Take{one(l, 1)}, false)
		require.Error(t, err)
	}
	require.Equal(t, int64(1), said.down.Load())
	server.Run(t)
	require.Eventually(t, func() bool {
		_, err = s.Take(context.Background(), []meter.Take{{Counter: "other", Limits: l}}, false)
		return err == nil
	}, time.Minute, 10*time.Millisecond)
	s.Flush(context.Background())
	require.Equal(t, int64(1), said.up.Load())
	require.Zero(t, said.lost.Load())
	refused := take(t, s, one(l, 1000)).Refused
	require.NotNil(t, refused)
	require.Equal(t, int64(10), refused.Used)
}

func TestAURLThatIsNone(t *testing.T) {
	_, err := New(Options{URL: "http://user:secret@host"})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func BenchmarkRedis(b *testing.B) {
	s, _ := open(b, redistest.Start(b))
	l := &meter.Limits{1000, 1e9, 1e9, 1e11, 1e11}
	for b.Loop() {
		takes := []meter.Take{one(l, 100)}
		r, err := s.Take(context.Background(), takes, false)
		require.NoError(b, err)
		settle(s, takes[0], r, -50)
	}
}

// What is seen of counters is what the store in the process sees, the fullest first.
func TestRedisLooksAsMemoryDoes(t *testing.T) {
	var at atomic.Int64
	at.Store(time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC).UnixMilli())
	now := func() time.Time { return time.UnixMilli(at.Load()) }
	s, _ := open(t, redistest.Start(t), func(o *Options) { o.Now, o.Lease = now, 1000*time.Hour })
	m := meter.NewMemory(1000, now)
	limits := map[string]*meter.Limits{"a": {2, 60, 600, 0, 0}, "b": {0, 0, 0, 1000, 5000}, "c": {9, 0, 0, 0, 0}}
	both := func(do func(meter.Store)) { do(s); do(m) }
	both(func(one meter.Store) {
		take(t, one, meter.Take{Counter: "a", Instead: "x", Limits: limits["a"], Enters: true, Tokens: 100})
		take(t, one, meter.Take{Counter: "b", Instead: "x", Limits: limits["b"], Enters: true, Tokens: 900})
		take(t, one, meter.Take{Counter: "c", Instead: "x", Limits: limits["c"], Enters: true})
	})
	for later, want := range []string{
		"b [0 0 0 900 900] a [1 1 100 0 0]", // at once
		"b [0 0 0 900 900] a [1 0 50 0 0]",  // 5 s later
		"a [1 0 0 0 0] b [0 0 0 0 900]",     // another day
	} {
		at.Add([]int64{0, 5000, 2 * 3600_000}[later])
		both(func(one meter.Store) {
			look := meter.Looking{Most: 2, Of: func(counter string) *meter.Limits { return limits[counter] }}
			require.NoError(t, one.Look(t.Context(), &look))
			require.Equal(t, 3, look.All)
			found := look.Found()
			require.Len(t, found, 2)
			require.Equal(t, want, fmt.Sprint(found[0].Counter, " ", found[0].Used, " ", found[1].Counter, " ", found[1].Used))
		})
	}
	look := meter.Looking{Most: 2, Of: func(string) *meter.Limits { return nil }}
	require.NoError(t, s.Look(t.Context(), &look))
	require.Zero(t, look.All, "no rule has them any more")
}
