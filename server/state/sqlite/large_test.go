package sqlite

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"antwort/server/state"
	"antwort/server/state/statetest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// numbered is the response of a number: ids begin with the time, so they come in order.
func numbered(n int) *state.Record {
	r := statetest.Turn(alice, "")
	r.ID, r.Output = fmt.Sprintf("%08dxxxxxxxxxxxxxxxxxxxx", n), []byte(`["`+strings.Repeat("word ", 200)+strconv.Itoa(n)+`"]`)
	return r
}

// filled is a file with so many responses.
func filled(t *testing.T, many int) *Store {
	path := filepath.Join(t.TempDir(), "state.db")
	fast, err := Open(ctx, Options{Path: path, Normal: true})
	require.NoError(t, err)
	begun, next := time.Now(), make(chan int)
	var writers sync.WaitGroup
	for range together {
		writers.Go(func() {
			for n := range next {
				assert.NoError(t, fast.Commit(ctx, numbered(n)))
			}
		})
	}
	for n := range many {
		next <- n
	}
	close(next)
	writers.Wait()
	require.NoError(t, fast.Close())
	info, err := os.Stat(path)
	require.NoError(t, err)
	t.Logf("%d responses in %v, %d MiB", many, time.Since(begun).Round(time.Second), info.Size()>>20)
	return opened(t, path)
}

// resident is how much memory the process has, in bytes.
func resident(t *testing.T) int64 {
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("there is no /proc")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(status))[1], 10, 64)
	require.NoError(t, err)
	return pages * int64(os.Getpagesize())
}

// A store with very many responses is hardly slower than one with 10,000: reading three
// times at most, writing twice. It takes minutes, so STATE_LARGE asks for it, and says how
// many: 1000000.
func TestLargeFile(t *testing.T) {
	large, err := strconv.Atoi(os.Getenv("STATE_LARGE"))
	if err != nil {
		t.Skip("STATE_LARGE does not say how many responses: with 1000000 it takes minutes")
	}
	const small, samples = 10_000, 2000
	sizes := [2]int{small, large}
	var stores [2]*Store
	var memory [2]int64
	for i, many := range sizes {
		stores[i] = filled(t, many)
		for range samples {
			_, err := stores[i].Get(ctx, alice, numbered(rand.IntN(many)).ID) //nolint:gosec // any will do
			require.NoError(t, err)
		}
		memory[i] = resident(t)
	}
	var reads, writes [2][]time.Duration
	for n := range samples { // in turns, as the machine has other things to do
		for i, s := range stores {
			begun := time.Now()
			_, err := s.Get(ctx, alice, numbered(rand.IntN(sizes[i])).ID) //nolint:gosec // any will do
			require.NoError(t, err)
			reads[i] = append(reads[i], time.Since(begun))
			r := numbered(sizes[i] + n)
			begun = time.Now()
			require.NoError(t, s.Commit(ctx, r))
			writes[i] = append(writes[i], time.Since(begun))
		}
	}
	middle := func(took []time.Duration) time.Duration {
		slices.Sort(took)
		return took[len(took)/2]
	}
	get, put := [2]time.Duration{middle(reads[0]), middle(reads[1])}, [2]time.Duration{middle(writes[0]), middle(writes[1])}
	t.Logf("read %v and %v, write %v and %v, memory %d MiB and %d MiB", get[0], get[1], put[0], put[1], memory[0]>>20, memory[1]>>20)
	assert.LessOrEqual(t, get[1], 3*get[0])
	assert.LessOrEqual(t, put[1], 2*put[0])
	assert.LessOrEqual(t, memory[1]-memory[0], int64(64<<20))
}
