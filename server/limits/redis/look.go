package redis

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"antwort/server/limits/meter"

	"github.com/redis/go-redis/v9"
)

// seen are the names of counters that this process has taken from lately: in Redis they
// are digests, which say nothing. It keeps twice as many as mostSeen.
type seen struct {
	mu          sync.Mutex
	now, before map[string]struct{}
}

// mostSeen is how many names make a generation.
const mostSeen = 2048

func (s *seen) note(takes []meter.Take) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range takes {
		name := takes[i].Counter
		if _, known := s.now[name]; known {
			continue
		}
		if s.now == nil || len(s.now) >= mostSeen {
			s.before, s.now = s.now, make(map[string]struct{})
		}
		s.now[name] = struct{}{}
	}
}

func (s *seen) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]string, 0, len(s.now)+len(s.before))
	for name := range s.now {
		all = append(all, name)
	}
	for name := range s.before {
		if _, twice := s.now[name]; !twice {
			all = append(all, name)
		}
	}
	return all
}

// lookStep is how many counters are read at once.
const lookStep = 128

// Look looks at the counters that this process has taken from lately; what is used of
// them is all processes'.
func (s *Store) Look(ctx context.Context, l *meter.Looking) error {
	if s.down.Load() {
		return ErrUnavailable
	}
	now := s.calendar()
	if s.opt.Now == nil { // the server's clock counts
		at, err := s.client.Time(ctx).Result()
		if s.reached(err); err != nil {
			return s.said(err)
		}
		now = at
	}
	for names := range slices.Chunk(s.seen.names(), lookStep) {
		if err := s.lookAt(ctx, l, names, now); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) lookAt(ctx context.Context, l *meter.Looking, names []string, now time.Time) error {
	pipe := s.client.Pipeline()
	hashes, sets := make([]*redis.SliceCmd, len(names)), make([]*redis.IntCmd, len(names))
	for i, name := range names {
		hash, set := s.keys(name)
		hashes[i] = pipe.HMGet(ctx, hash, "r", "ra", "t", "ta", "d", "dp", "m", "mp")
		sets[i] = pipe.ZCount(ctx, set, "("+strconv.FormatInt(now.UnixMilli(), 10), "+inf")
	}
	_, err := pipe.Exec(ctx)
	if s.reached(err); err != nil {
		return s.said(err)
	}
	for i, name := range names {
		limits := l.Of(name)
		if limits == nil {
			continue
		}
		var said [8]int64
		for k, v := range hashes[i].Val() {
			text, _ := v.(string) // nil: there is no such field
			number, _ := strconv.ParseFloat(text, 64)
			said[k] = int64(number)
		}
		r := meter.Reading{Active: sets[i].Val(), Requests: said[0], RequestsAt: said[1], Tokens: said[2], TokensAt: said[3], Day: said[4], DayOf: said[5], Month: said[6], MonthOf: said[7]}
		l.Add(meter.Use{Counter: name, Used: r.Used(limits, now), Limits: limits})
	}
	return nil
}
