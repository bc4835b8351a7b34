package modellist

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/failure"
)

var errLate = errors.New("late")

// counting is a want whose list is there after d.
func counting(key string, d time.Duration, fetched *atomic.Int32) Want {
	return Want{key, func(ctx context.Context) List {
		fetched.Add(1)
		select {
		case <-time.After(d):
			return List{Body: []byte(key)}
		case <-ctx.Done():
			return List{Failure: failure.Of(failure.UpstreamSilent, nil).Because(context.Cause(ctx))}
		}
	}}
}

func get(t *testing.T, l *Lists, w Want) List {
	t.Helper()
	all, ok := l.Ask([]Want{w})
	require.True(t, ok)
	list, ok := all[0].Wait(t.Context())
	require.True(t, ok)
	return list
}

// kept says how much a Lists has.
func kept(l *Lists) (lists, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries), l.bytes
}

func TestManyAskersAreOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, time.Minute, errLate)
		var fetched atomic.Int32
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { require.Equal(t, "a", string(get(t, l, counting("a", time.Second, &fetched)).Body)) })
		}
		all.Wait()
		get(t, l, counting("a", time.Second, &fetched))
		require.EqualValues(t, 1, fetched.Load())
		get(t, l, counting("b", time.Second, &fetched))
		require.EqualValues(t, 2, fetched.Load(), "another key is another list")
		time.Sleep(5 * time.Second)
		get(t, l, counting("a", time.Second, &fetched))
		require.EqualValues(t, 3, fetched.Load(), "it is kept for a few seconds")
	})
}

func TestListsThatAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 0, time.Minute, errLate)
		var fetched atomic.Int32
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { get(t, l, counting("a", time.Second, &fetched)) })
		}
		all.Wait()
		require.EqualValues(t, 1, fetched.Load())
		get(t, l, counting("a", time.Second, &fetched))
		require.EqualValues(t, 2, fetched.Load())
		lists, bytes := kept(l)
		require.Zero(t, lists)
		require.Zero(t, bytes)
	})
}

func TestFailureIsKeptForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, 10*time.Second, errLate)
		var fetched atomic.Int32
		for range 3 {
			list := get(t, l, counting("a", time.Hour, &fetched))
			require.ErrorIs(t, list.Failure.Cause, errLate)
		}
		require.EqualValues(t, 1, fetched.Load())
		time.Sleep(failedTime)
		get(t, l, counting("a", time.Hour, &fetched))
		require.EqualValues(t, 2, fetched.Load())
	})
}

func TestFetchesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, time.Minute, errLate)
		var running, most atomic.Int32
		var wants []Want
		for i := range 4 * atOnce {
			wants = append(wants, Want{strconv.Itoa(i), func(context.Context) List {
				most.Store(max(most.Load(), running.Add(1)))
				time.Sleep(time.Second)
				running.Add(-1)
				return List{}
			}})
		}
		all, ok := l.Ask(wants)
		require.True(t, ok)
		for _, p := range all {
			p.Wait(t.Context())
		}
		require.EqualValues(t, atOnce, most.Load())
	})
}

func TestTooManyAskers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, 10*time.Second, errLate)
		var fetched atomic.Int32
		refused := 0
		for i := range 2 * waiting {
			if _, ok := l.Ask([]Want{counting(strconv.Itoa(i), time.Hour, &fetched)}); !ok {
				refused++
			}
		}
		require.Equal(t, waiting-atOnce, refused)
		_, ok := l.Ask([]Want{counting("0", time.Hour, &fetched)})
		require.True(t, ok, "what is being fetched can be had")
		time.Sleep(11 * time.Second)
		require.Equal(t, "x", string(get(t, l, counting("x", 0, &fetched)).Body))
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, 10*time.Second, errLate)
		big := func(key string, n int) Want {
			return Want{key, func(context.Context) List { return List{Body: make([]byte, n)} }}
		}
		for i := range 100 {
			get(t, l, big(strconv.Itoa(i), 1<<20))
		}
		_, bytes := kept(l)
		require.LessOrEqual(t, bytes, keptBytes)
		time.Sleep(5 * time.Second)
		get(t, l, big("new", 1<<20))
		_, bytes = kept(l)
		require.Equal(t, 1<<20, bytes, "what is over makes room")
		for i := range 2 * keptLists {
			get(t, l, big(strconv.Itoa(i), 0))
		}
		lists, _ := kept(l)
		require.LessOrEqual(t, lists, keptLists)
	})
}

// A waiting client that leaves takes the list from nobody.
func TestAskerThatLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(t.Context(), 5*time.Second, time.Minute, errLate)
		var fetched atomic.Int32
		all, _ := l.Ask([]Want{counting("a", time.Second, &fetched)})
		gone, leave := context.WithCancel(t.Context())
		leave()
		_, ok := all[0].Wait(gone)
		require.False(t, ok)
		require.Equal(t, "a", string(get(t, l, counting("a", time.Second, &fetched)).Body))
		require.EqualValues(t, 1, fetched.Load())
	})
}
