package filter_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ticks is a stream through a plugin that gets a delta every few milliseconds:
// what holds the worker up shows as a gap in it.
type ticks struct {
	done    chan struct{}
	stop    chan struct{}
	longest atomic.Int64 // gap between two reads, in nanoseconds
	text    bytes.Buffer // what came, once done
	cut     bool         // it did not come to its end
}

// tickEvery is the time between two deltas.
const tickEvery = 5 * time.Millisecond

// tickMarker stands in the requests of ticks, so that the upstream knows them.
const tickMarker = "tick until you are told"

// startTicks begins the stream and waits for its first delta.
func startTicks(t testing.TB, url string) *ticks {
	t.Helper()
	k := &ticks{done: make(chan struct{}), stop: make(chan struct{})}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	r := request(t, url, strings.NewReader(`{"model":"m","input":"`+tickMarker+`","stream":true}`))
	tickers.Store(k.name(), k)
	r.Header.Set("X-Ticks", k.name())
	resp, err := transport.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	first := make(chan struct{})
	go func() {
		defer close(k.done)
		defer resp.Body.Close()
		buf := make([]byte, 64<<10)
		var last time.Time
		for {
			n, err := resp.Body.Read(buf)
			now := time.Now()
			k.text.Write(buf[:n])
			if !last.IsZero() && int64(now.Sub(last)) > k.longest.Load() {
				k.longest.Store(int64(now.Sub(last)))
			}
			if last.IsZero() {
				close(first)
			}
			last = now
			if err != nil {
				k.cut = err != io.EOF
				return
			}
		}
	}()
	<-first
	return k
}

// gap is the longest until now, and begins anew.
func (k *ticks) gap() time.Duration { return time.Duration(k.longest.Swap(0)) }

// A callback may hold the worker for 50 ms, and what else happens between two ticks, Envoy's own
// reading and writing of what is large among it, takes as long again. Requests that come at
// once are worked on one behind the other.
const longestCallback = 50 * time.Millisecond

// shortest holds what n requests at once do to the bounds of a callback.
func (k *ticks) shortest(t *testing.T, g *gateway, n int, do func()) {
	t.Helper()
	shortest(t, n, func() (gap, turn time.Duration) {
		before := g.turns(t)
		k.gap()
		do()
		return k.gap(), g.turns(t).longest(before)
	})
}

// shortest repeats what n requests at once do until the longest gap of one time is short
// enough: what else the machine does makes some of them longer, and the filter all. On a
// machine that is always busy the shortest one may be half as long again, and on a slower
// one than the bounds were measured on as much longer as it is slower.
func shortest(t *testing.T, n int, measure func() (gap, turn time.Duration)) {
	t.Helper()
	callbacks := time.Duration(n) * longestCallback
	most, gap, turn, work := max(callbacks, 2*longestCallback), time.Hour, time.Hour, time.Hour
	over := func() bool { return gap >= most || turn > callbacks }
	for tries := 0; tries < 3 || over() && tries < 12; tries++ {
		g, w := measure()
		gap, turn = min(gap, g), min(turn, w)
		if over() {
			work = min(work, timeOfWork(t))
		}
	}
	t.Logf("longest gap of the ticks %v, longest turn of the worker below %v", gap.Round(time.Millisecond), turn)
	allowed := 1.5
	if over() {
		allowed *= max(1, work.Seconds()/usualWork.Seconds())
		t.Logf("over: the machine takes %v for what it usually does in %v", work.Round(time.Millisecond), usualWork)
	}
	assert.Less(t, gap.Seconds(), allowed*most.Seconds())
	assert.LessOrEqual(t, turn.Seconds(), allowed*callbacks.Seconds())
}

// usualWork is how long timeOfWork takes where the bounds of callbacks were measured.
const usualWork = 20 * time.Millisecond

// timeOfWork is how long the machine takes now for what goes through many bytes, one behind the other,
// as a callback does.
func timeOfWork(t *testing.T) time.Duration {
	t.Helper()
	text := make([]byte, 16<<20)
	sum := fnv.New64a()
	begun := time.Now()
	_, err := sum.Write(text)
	require.NoError(t, err)
	return time.Since(begun)
}

// end lets the stream end and says what is wrong with it.
func (k *ticks) end() string {
	close(k.stop)
	<-k.done
	tickers.Delete(k.name())
	switch text := k.text.String(); {
	case k.cut:
		return "the stream was cut"
	case !strings.Contains(text, "response.completed"):
		return "the stream did not complete: " + text[max(0, len(text)-500):]
	}
	return ""
}

func (k *ticks) name() string { return fmt.Sprintf("%p", k) }

// tickers are the streams that run, by name: the upstream's end of a stream looks
// for the test's there.
var tickers sync.Map

// withTicks answers the requests of ticks, and leaves others to answer.
func withTicks(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		found, ok := tickers.Load(r.Header.Get("X-Ticks"))
		if !ok {
			answer(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		tick, end := chatEvents[2], strings.Join(chatEvents[3:], "")
		if r.URL.Path == "/v1/responses" {
			tick = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n"
			end = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{}}\n\n"
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			_, _ = io.WriteString(w, tick)
			w.(http.Flusher).Flush()
			select {
			case <-found.(*ticks).stop:
				_, _ = io.WriteString(w, end)
				return
			case <-r.Context().Done():
				return
			case <-time.After(tickEvery):
			}
		}
	}
}
