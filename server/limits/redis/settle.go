package redis

import (
	"context"
	"errors"
	"net"
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
		some = append(some, settlement{one, day.UnixMilli(), month.UnixMilli()})
	}
	if len(some) == 0 {
		return
	}
	s.forget(some)
	if atOnce && s.down.Load() == 0 {
		switch err := s.run(context.Background(), some, s.opt.Timeout); {
		case err == nil:
			return
		case !notDone(err):
			s.opt.Lost(len(some))
			return
		}
	}
	s.mu.Lock()
	s.pending = append(s.pending, some...)
	s.bound()
	s.mu.Unlock()
	s.awake()
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
	if over := len(s.pending) - mostQueued; over > 0 {
		s.pending = append(s.pending[:0], s.pending[over:]...)
		s.opt.Lost(over)
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

// work settles what is pending, and gives signs of life, until ctx ends.
func (s *Store) work(ctx context.Context) {
	defer close(s.stopped)
	alive := time.NewTicker(s.opt.Lease / 3)
	defer alive.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-alive.C:
			s.renew(ctx)
		case <-s.wake:
		}
		for s.settleSome(ctx) {
		}
	}
}

// settleSome settles some of what is pending, and reports whether to go on.
func (s *Store) settleSome(ctx context.Context) bool {
	s.mu.Lock()
	n := min(batch, len(s.pending))
	if n == 0 {
		if s.settled != nil {
			close(s.settled)
			s.settled = nil
		}
		s.mu.Unlock()
		return false
	}
	some := append([]settlement(nil), s.pending[:n]...)
	s.pending = append(s.pending[:0], s.pending[n:]...)
	s.working = true
	s.mu.Unlock()
	err := s.run(ctx, some, max(time.Second, s.opt.Timeout))
	s.mu.Lock()
	s.working = false
	wasNotDone := err != nil && notDone(err)
	if wasNotDone {
		s.pending = append(some, s.pending...)
		s.bound()
	}
	s.mu.Unlock()
	switch {
	case err == nil:
		return true
	case !wasNotDone:
		s.opt.Lost(n)
		return true
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(again):
		return true
	}
}

// notDone reports whether the script has certainly not run. One that may have is not run
// again: to give tokens back twice would let more pass than may, to give none back lets
// less.
func notDone(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || unready(err)
}

// run settles some within a time.
func (s *Store) run(ctx context.Context, some []settlement, within time.Duration) error {
	keys := make([]string, 0, 2*len(some))
	args := make([]any, 0, 1+11*len(some))
	args = append(args, s.now())
	for i := range some {
		one := &some[i]
		hash, set := s.keys(one.Counter)
		keys = append(keys, hash, set)
		for _, n := range one.Limits {
			args = append(args, n)
		}
		args = append(args, one.Lease, min(max(-meter.MaxTokens, one.More), meter.MaxTokens), one.Periods.Day, one.Periods.Month, one.dayEnd, one.monthEnd)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := settleScript.Run(ctx, s.client, keys, args...).Err()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	s.asked(err)
	return err
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
		if s.asked(err); err != nil {
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
				s.asked(err)
				return
			}
		}
	}
}
