package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"antwort/server/limits/meter"

	"github.com/redis/go-redis/v9"
)

// Settle ends what was taken. Requests at once leave before it returns, if the store can be
// reached: whoever is answered may come again at once. All else waits for its turn.
func (s *Store) Settle(all []meter.Settlement) {
	some := make([]settlement, 0, len(all))
	atOnce := false
	for _, one := range all {
		if one.Lease == "" && one.More == 0 {
			continue
		}
		atOnce = atOnce || one.Lease != ""
		day, month := one.Periods.Ends()
		some = append(some, settlement{one, day.UnixMilli(), month.UnixMilli(), 0})
	}
	if len(some) == 0 {
		return
	}
	s.forget(some)
	if !atOnce || s.down.Load() {
		s.enqueue(some)
		return
	}
	r := &run{all: some}
	if err := s.run(context.Background(), r, s.opt.Timeout); !s.again(r, err) {
		return
	}
	s.mu.Lock()
	s.queue(r)
	s.mu.Unlock()
	s.awake()
}

// run are settlements that are carried out together, once.
type run struct {
	number int64 // 0: it was not tried yet
	all    []settlement
}

// settlement is one, or what is given back of a take that nobody knows of whether it was
// carried out: of the run with the number in undoes.
type settlement struct {
	meter.Settlement
	dayEnd, monthEnd int64
	undoes           int64
}

// giveBack gives back what was taken by a run whose answer did not come, if it was, or is yet.
func (s *Store) giveBack(takes []meter.Take, number int64, of meter.Periods, err error) {
	if number == 0 {
		return
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" || Refused(err) && !brokeOff(err) {
		s.numbers.end(number) // it has certainly not run
		return
	}
	day, month := of.Ends()
	some := make([]settlement, 0, len(takes))
	for i := range takes {
		t := &takes[i]
		one := settlement{meter.Settlement{Counter: t.Counter, Limits: t.Limits, More: -t.Wanted(), Periods: of}, day.UnixMilli(), month.UnixMilli(), number}
		if t.Enters {
			one.Lease = t.Lease
		}
		some = append(some, one)
	}
	s.enqueue(some)
}

// enqueue has some settled when it is their turn, all in one run.
func (s *Store) enqueue(some []settlement) {
	s.mu.Lock()
	if n := len(s.pending); n > 0 && s.pending[n-1].number == 0 && len(s.pending[n-1].all)+len(some) <= batch {
		s.pending[n-1].all = append(s.pending[n-1].all, some...)
		s.queued += len(some)
		s.bound()
	} else {
		s.queue(&run{all: some})
	}
	s.mu.Unlock()
	s.awake()
}

// queue has a run wait for its turn. mu is held.
func (s *Store) queue(r *run) {
	s.pending = append(s.pending, r)
	s.queued += len(r.all)
	s.bound()
}

// again reports whether a run must be tried again, and ends it if not.
func (s *Store) again(r *run, err error) bool {
	switch {
	case err != nil && !brokeOff(err):
		return true
	case err != nil:
		s.opt.Lost(len(r.all))
	}
	s.end(r)
	return false
}

// end ends the numbers of a run.
func (s *Store) end(r *run) {
	s.numbers.end(r.number)
	for i := range r.all {
		s.numbers.end(r.all[i].undoes)
	}
}

// forget gives the requests that leave no more signs of life.
func (s *Store) forget(some []settlement) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range some {
		if lease := some[i].Lease; lease != "" {
			_, set := s.keys(some[i].Counter)
			if delete(s.live[set], lease); len(s.live[set]) == 0 {
				delete(s.live, set)
			}
		}
	}
}

func (s *Store) awake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// bound lets the oldest settlements go when there are too many. mu is held.
func (s *Store) bound() {
	for s.queued > mostQueued {
		first := s.pending[0]
		s.pending = slices.Delete(s.pending, 0, 1)
		s.queued -= len(first.all)
		s.end(first)
		s.opt.Lost(len(first.all))
	}
}

// Flush waits until what is pending is settled, or ctx ends.
func (s *Store) Flush(ctx context.Context) {
	s.mu.Lock()
	if len(s.pending) == 0 && !s.working {
		s.mu.Unlock()
		return
	}
	if s.settled == nil {
		s.settled = make(chan struct{})
	}
	settled := s.settled
	s.mu.Unlock()
	s.awake()
	select {
	case <-settled:
	case <-ctx.Done():
	}
}

// work settles what is pending, gives signs of life, and finds out whether a store that is
// away is back, until ctx ends.
func (s *Store) work(ctx context.Context) {
	defer close(s.stopped)
	alive := time.NewTicker(s.opt.Lease / 3)
	defer alive.Stop()
	for {
		var ask <-chan time.Time
		if s.down.Load() {
			ask = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			s.renew(ctx)
		case <-ask:
		case <-s.wake:
		}
		for s.settleSome(ctx) {
		}
		if ask != nil {
			s.probe(ctx)
		}
	}
}

// settleSome settles some of what is pending, and reports whether to go on.
func (s *Store) settleSome(ctx context.Context) bool {
	s.mu.Lock()
	if len(s.pending) == 0 {
		if s.settled != nil {
			close(s.settled)
			s.settled = nil
		}
		s.mu.Unlock()
		return false
	}
	r := s.pending[0]
	s.pending = slices.Delete(s.pending, 0, 1)
	s.queued -= len(r.all)
	s.working = true
	s.mu.Unlock()
	err := s.run(ctx, r, max(time.Second, s.opt.Timeout))
	once := s.again(r, err)
	s.mu.Lock()
	s.working = false
	if once {
		s.pending = slices.Insert(s.pending, 0, r)
		s.queued += len(r.all)
		s.bound()
	}
	s.mu.Unlock()
	if !once {
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(again):
		return true
	}
}

// run carries a run out, within a time.
func (s *Store) run(ctx context.Context, r *run, within time.Duration) error {
	below := s.numbers.below()
	if r.number == 0 {
		r.number, below = s.numbers.next()
	}
	keys := make([]string, 0, 2*len(r.all)+1)
	args := make([]any, 0, 3+12*len(r.all))
	args = append(args, s.now(), r.number, below)
	for i := range r.all {
		one := &r.all[i]
		hash, set := s.keys(one.Counter)
		keys = append(keys, hash, set)
		for _, n := range one.Limits {
			args = append(args, n)
		}
		args = append(args, one.Lease, min(max(-meter.MaxTokens, one.More), meter.MaxTokens), one.Periods.Day, one.Periods.Month, one.dayEnd, one.monthEnd, one.undoes)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := settleScript.Run(ctx, s.client, append(keys, s.marks), args...).Err()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	s.asked(err)
	return err
}

// numbers are those of runs: each is open until it is known what has become of it.
type numbers struct {
	mu   sync.Mutex
	last int64
	low  int64 // the first that is open; one after the last when none is
	open map[int64]struct{}
}

// next opens a number; all below the other are ended.
func (n *numbers) next() (number, below int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.open == nil {
		n.open, n.low = make(map[int64]struct{}), 1
	}
	n.last++
	n.open[n.last] = struct{}{}
	return n.last, n.low
}

// below is the first number that is not ended.
func (n *numbers) below() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.low
}

// end ends a number; 0 is none.
func (n *numbers) end(number int64) {
	if number == 0 {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.open, number)
	for n.low <= n.last {
		if _, is := n.open[n.low]; is {
			return
		}
		n.low++
	}
}

// renew gives a sign of life for the requests that are under way.
func (s *Store) renew(ctx context.Context) {
	s.mu.Lock()
	sets := make(map[string][]string, len(s.live))
	for set, leases := range s.live {
		for lease := range leases {
			sets[set] = append(sets[set], lease)
		}
	}
	s.mu.Unlock()
	until := s.calendar()
	if s.opt.Now == nil { // the server's clock counts
		at, err := s.client.Time(ctx).Result()
		if s.reached(err); err != nil {
			return
		}
		until = at
	}
	score := float64(until.Add(s.opt.Lease).UnixMilli())
	for set, leases := range sets {
		for len(leases) > 0 {
			n := min(batch, len(leases))
			members := make([]redis.Z, n)
			for i, lease := range leases[:n] {
				members[i] = redis.Z{Score: score, Member: lease}
			}
			leases = leases[n:]
			pipe := s.client.Pipeline()
			pipe.ZAddXX(ctx, set, members...)
			pipe.PExpire(ctx, set, 2*s.opt.Lease)
			if _, err := pipe.Exec(ctx); err != nil {
				s.reached(err)
				return
			}
		}
	}
}
