package filter

import "time"

// turns bound what callers have the worker translate in one turn of Envoy's loop. In a turn it calls
// the filter for all that has come since the last one: bodies that end at the same time are
// translated one behind the other, however many they are, and nothing else moves meanwhile. The
// first ones are free; then a caller who has had enough of a turn is refused.
type turns struct {
	spent   time.Duration // of this turn, by all
	callers map[string]time.Duration
}

const (
	turnBytes  = 16 << 10              // shorter bodies do not count
	shortTurn  = 2 * time.Millisecond  // nor do translations that take no longer
	freeTurn   = 20 * time.Millisecond // before it counts by whom
	callerTurn = 30 * time.Millisecond // of one caller from then on
)

// anew begins another turn.
func (t *turns) anew() {
	t.spent = 0
	clear(t.callers)
}

// crowded reports whether it counts by whom the turn is spent.
func (t *turns) crowded() bool { return t.spent >= freeTurn }

// had reports whether a caller has had enough of a turn that is crowded.
func (t *turns) had(caller string) bool { return t.callers[caller] >= callerTurn }

// took notes how long a translation has taken. The caller is "" while the turn is not crowded.
func (t *turns) took(caller string, spent time.Duration) {
	if spent <= shortTurn {
		return
	}
	t.spent += spent
	if caller != "" {
		if t.callers == nil {
			t.callers = make(map[string]time.Duration)
		}
		t.callers[caller] += spent
	}
}
