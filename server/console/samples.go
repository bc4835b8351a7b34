package console

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"antwort/server/observe"
)

// A sample is taken every so many seconds, and kept for an hour.
const (
	every      = 5
	maxSamples = 3600 / every
)

// sample is what happened until a time, since the sample before. Rates are per second,
// times in seconds; NaN where nothing was.
type sample struct {
	at                 time.Time
	requests, failures float64
	input, output      float64 // tokens
	first, took        [2]float64
	inFlight, streams  float64
}

// quantiles are those of first and took.
var quantiles = [2]float64{0.5, 0.95}

// MarshalJSON writes the sample as a list, which is shorter.
func (s sample) MarshalJSON() ([]byte, error) {
	row := []any{s.at.UnixMilli()}
	for _, v := range [...]float64{s.requests, s.failures, s.input, s.output, s.first[0], s.first[1], s.took[0], s.took[1], s.inFlight, s.streams} {
		if math.IsNaN(v) {
			row = append(row, nil)
			continue
		}
		row = append(row, math.Round(v*1e4)/1e4)
	}
	return json.Marshal(row)
}

// samples are those of the last hour, in memory that does not grow.
type samples struct {
	mu     sync.Mutex
	ring   [maxSamples]sample
	taken  int
	before observe.Totals
	at     time.Time
}

// take takes a sample of what the totals are by now.
func (s *samples) take(now time.Time, t observe.Totals) (latest sample, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, since := s.before, now.Sub(s.at).Seconds()
	s.before = t
	first := s.at.IsZero()
	if s.at = now; first || since <= 0 {
		return sample{}, false
	}
	latest = sample{
		at: now, requests: (t.Requests - before.Requests) / since, failures: (t.Failures - before.Failures) / since,
		input: (t.Input - before.Input) / since, output: (t.Output - before.Output) / since, inFlight: t.InFlight, streams: t.Streams,
	}
	for i, q := range quantiles {
		latest.first[i] = quantile(q, &t.FirstEvent, &before.FirstEvent)
		latest.took[i] = quantile(q, &t.Duration, &before.Duration)
	}
	s.ring[s.taken%maxSamples] = latest
	s.taken++
	return latest, true
}

// all are the samples, the oldest first.
func (s *samples) all() []sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]sample, 0, min(s.taken, maxSamples))
	for i := max(0, s.taken-maxSamples); i < s.taken; i++ {
		list = append(list, s.ring[i%maxSamples])
	}
	return list
}

// quantile is that of what has come to a histogram, as exact as its buckets are: within
// one it is taken to be spread evenly. NaN: nothing has come.
func quantile(q float64, now, before *observe.Spread) float64 {
	sum := 0.
	for i := range now {
		sum += now[i] - before[i]
	}
	if sum <= 0 {
		return math.NaN()
	}
	bounds := observe.Buckets()
	rank, low := q*sum, 0.
	for i := range now {
		n := now[i] - before[i]
		if i == len(bounds) || rank > n {
			if i < len(bounds) {
				rank -= n
				low = bounds[i]
				continue
			}
			return low // longer than any bucket
		}
		if n > 0 {
			return low + (bounds[i]-low)*rank/n
		}
		low = bounds[i]
	}
	return low
}
