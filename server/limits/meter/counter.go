package meter

import "time"

// minute is in the milliseconds that buckets count time in.
const minute = 60_000

// bucket is what is used of an amount a minute, which comes back steadily.
type bucket struct {
	used int64 // times minute, at that time
	at   int64 // in milliseconds
}

// drain takes away what has come back until now. Without a limit nobody knows how much that
// is: it stays for when there is one again.
func (b *bucket) drain(limit, now int64) {
	since := now - b.at
	if since <= 0 || limit == 0 {
		return // clocks may be put back
	}
	if b.at = now; since > b.used/limit {
		b.used = 0
		return
	}
	b.used -= since * limit
}

// most is the largest amount that is counted: Redis has it exactly too.
const most = 1 << 53

// add takes n, at most MaxTokens, or gives back.
func (b *bucket) add(n int64) { b.used = min(max(0, b.used+n*minute), most) }

// wait is until n could be taken; an empty bucket has room for anything.
func (b *bucket) wait(n, limit int64) time.Duration {
	over := b.used + min(n, limit)*minute - limit*minute
	if over <= 0 {
		return 0
	}
	return milliseconds(over, limit)
}

func (b *bucket) level(limit int64) Level {
	if limit == 0 {
		return Level{}
	}
	return Level{limit, max(0, limit*minute-b.used) / minute, milliseconds(b.used, limit)}
}

// milliseconds is how long amount takes to come back, rounded up.
func milliseconds(amount, limit int64) time.Duration {
	return time.Duration((amount+limit-1)/limit) * time.Millisecond
}

// spent is what was used in a period.
type spent struct{ used, period int64 }

func (s *spent) in(period int64) {
	if period > s.period {
		*s = spent{0, period}
	}
}

// counter is what somebody uses.
type counter struct {
	active           int64
	requests, tokens bucket
	day, month       spent
}

// now puts the counter to a time.
func (c *counter) now(l *Limits, ms int64, p Periods) {
	c.requests.drain(l[RequestsPerMinute], ms)
	c.tokens.drain(l[TokensPerMinute], ms)
	c.day.in(p.Day)
	c.month.in(p.Month)
}

// refuses finds out what of a take there is no room for; nil when there is room.
func (c *counter) refuses(t *Take, now time.Time) *Refusal {
	l := t.Limits
	if t.Enters {
		if n := l[RequestsAtOnce]; n > 0 && c.active >= n {
			return &Refusal{Kind: RequestsAtOnce, Used: c.active, Wait: time.Second}
		}
		if n := l[RequestsPerMinute]; n > 0 {
			if wait := c.requests.wait(1, n); wait > 0 {
				return &Refusal{Kind: RequestsPerMinute, Used: (c.requests.used + minute - 1) / minute, Wait: wait}
			}
		}
	}
	wanted := max(1, t.Wanted())
	if n := l[TokensPerMinute]; n > 0 {
		if wait := c.tokens.wait(wanted, n); wait > 0 {
			return &Refusal{Kind: TokensPerMinute, Used: (c.tokens.used + minute - 1) / minute, Wait: wait}
		}
	}
	day, month := PeriodsAt(now).Ends()
	if n := l[TokensPerDay]; n > 0 && c.day.used+wanted > n {
		return &Refusal{Kind: TokensPerDay, Used: c.day.used, Wait: day.Sub(now), Until: day}
	}
	if n := l[TokensPerMonth]; n > 0 && c.month.used+wanted > n {
		return &Refusal{Kind: TokensPerMonth, Used: c.month.used, Wait: month.Sub(now), Until: month}
	}
	return nil
}

// take counts what is limited, and only that: a counter must become idle.
func (c *counter) take(t *Take) {
	if t.Enters {
		c.active++
		if t.Limits[RequestsPerMinute] > 0 {
			c.requests.add(1)
		}
	}
	c.use(t.Limits, t.Wanted())
}

// Wanted is how many tokens are reserved.
func (t *Take) Wanted() int64 { return min(max(0, t.Tokens), MaxTokens) }

func (c *counter) use(l *Limits, tokens int64) {
	if l[TokensPerMinute] > 0 {
		c.tokens.add(tokens)
	}
	if l[TokensPerDay] > 0 {
		c.day.used = min(max(0, c.day.used+tokens), most)
	}
	if l[TokensPerMonth] > 0 {
		c.month.used = min(max(0, c.month.used+tokens), most)
	}
}

func (c *counter) settle(s *Settlement, now Periods) {
	if s.Leaves {
		c.active--
	}
	l := *s.Limits
	if s.Periods.Day != now.Day { // it counts where it was reserved
		l[TokensPerDay] = 0
	}
	if s.Periods.Month != now.Month {
		l[TokensPerMonth] = 0
	}
	c.use(&l, min(max(-MaxTokens, s.More), MaxTokens))
}

// isIdle reports whether the counter says nothing that a new one would not.
func (c *counter) isIdle(ms int64, p Periods) bool {
	return c.active == 0 && c.requests.isIdle(ms) && c.tokens.isIdle(ms) &&
		(c.day.used == 0 || c.day.period < p.Day) && (c.month.used == 0 || c.month.period < p.Month)
}

// isIdle reports whether a bucket is empty. A debt, of more than a minute, counts as
// two minutes here.
func (b *bucket) isIdle(ms int64) bool { return b.used == 0 || ms-b.at >= 2*minute }
