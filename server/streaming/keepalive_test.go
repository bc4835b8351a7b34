package streaming

import (
	"testing"
	"testing/synctest"
	"time"

	"antwort/server/observe"

	"github.com/stretchr/testify/require"
)

// A tick that meets the pump at work does not put off the next sign of life.
func TestTickMeetsThePump(t *testing.T) {
	for _, c := range []struct{ keepAlive, next time.Duration }{
		{20 * time.Millisecond, 20 * time.Millisecond},
		{15 * time.Second, time.Second},
		{0, time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			var ended time.Duration
			s := &Stream{keepAlive: c.keepAlive, rec: &observe.Record{Start: start}, phase: newPhase(start, c.keepAlive)}
			s.cancel = func(error) { ended = time.Since(start) }
			s.phase.answered(start)
			s.idle.Store(int64(10 * time.Millisecond)) // silent for too long, when it is looked at next
			s.timer = time.AfterFunc(never, s.tick)
			defer s.timer.Stop()

			s.mu.Lock()
			s.tick()
			s.mu.Unlock()
			time.Sleep(c.next)
			synctest.Wait()
			require.Equal(t, c.next, ended)
		})
	}
}
