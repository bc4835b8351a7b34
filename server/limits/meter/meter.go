// Package meter counts what is used: requests at once, requests and tokens a minute,
// tokens a day and a month.
//
//	Take ─► Store ─► Result: taken, or refused
//	Settlement ─► Store
//
// Whoever answers requests enters with what a request takes of some counters, all of
// it or nothing, and comes back with what it has really used. Which counters those
// are, and what becomes of a refusal, is not known here. [Memory] is the store in the
// process.
package meter

import (
	"context"
	"time"
)

// Kind is what is limited.
type Kind uint8

// The kinds, in the order in which a refusal is looked for.
const (
	RequestsAtOnce Kind = iota
	RequestsPerMinute
	TokensPerMinute
	TokensPerDay
	TokensPerMonth

	// Kinds is how many there are.
	Kinds
)

var texts = [Kinds]string{"requests_at_once", "requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month"}

// String is the kind as the configuration has it.
func (k Kind) String() string { return texts[k] }

// Limits are those of a counter, by Kind; 0: none.
type Limits [Kinds]int64

// Take is what a request takes of one counter.
type Take struct {
	Counter string // its name, at most MaxName bytes
	Instead string // the name of the one that is taken when there are as many as may be
	Limits  *Limits
	Enters  bool   // the request itself is counted too, until it leaves
	Tokens  int64  // that are reserved, at most MaxTokens, and none where it is negative; with 0, some must be left
	Lease   string // by which a store knows the request again, where it needs to; Take sets it
}

// MaxTokens is how many tokens one request may take, and more than any answer has. It bounds
// what is believed of numbers that others have written.
const MaxTokens = 10_000_000_000

// MaxName is how long the name of a counter may be, in bytes.
const MaxName = 256

// Refusal is why nothing was taken.
type Refusal struct {
	Take  int // whose counter it is, by its place
	Kind  Kind
	Used  int64         // of the limit
	Wait  time.Duration // until there is room
	Until time.Time     // when a budget begins anew; zero for the other kinds
}

// Level is how much of a limit is left.
type Level struct {
	Limit, Left int64
	Reset       time.Duration // until all of it is left
}

// fuller reports whether less of l is left than of m, as a share.
func (l Level) fuller(m Level) bool {
	return m.Limit == 0 || l.Limit > 0 && float64(l.Left)*float64(m.Limit) < float64(m.Left)*float64(l.Limit)
}

// Result is what became of takes.
type Result struct {
	Refused  *Refusal // nil: all is taken
	Requests Level    // a minute, of the counter of which the least is left; Limit 0: there is no such limit
	Tokens   Level    // likewise
	Periods  Periods  // in which was taken
}

// note keeps the levels of the counter of which the least is left.
func (r *Result) note(requests, tokens Level) {
	if requests.Limit > 0 && requests.fuller(r.Requests) {
		r.Requests = requests
	}
	if tokens.Limit > 0 && tokens.fuller(r.Tokens) {
		r.Tokens = tokens
	}
}

// Periods are a day and a month of the calendar, in UTC.
type Periods struct{ Day, Month int64 }

// PeriodsAt are those of a time.
func PeriodsAt(t time.Time) Periods {
	t = t.UTC()
	return Periods{t.Unix() / 86400, int64(t.Year())*12 + int64(t.Month()) - 1}
}

// Ends are when the periods end.
func (p Periods) Ends() (day, month time.Time) {
	return time.Unix((p.Day+1)*86400, 0).UTC(), time.Date(int(p.Month/12), time.Month(p.Month%12+2), 1, 0, 0, 0, 0, time.UTC)
}

// Settlement is the end of what was taken of one counter.
type Settlement struct {
	Counter string
	Limits  *Limits
	Leaves  bool    // the request that has entered
	Lease   string  // as in its Take
	More    int64   // tokens that were used beyond those that were reserved; may be less than 0, and is at most MaxTokens either way
	Periods Periods // in which they were reserved
}

// Store counts. It is safe for concurrent use.
type Store interface {
	// Take takes all, or nothing. It may put Instead in the place of a Counter. With
	// force nothing is refused.
	Take(ctx context.Context, takes []Take, force bool) (Result, error)
	// Settle ends what was taken. It does not wait for what cannot be reached.
	Settle(all []Settlement)
	// Look looks at counters, as l wants it.
	Look(ctx context.Context, l *Looking) error
	// Len is how many counters the process keeps.
	Len() int
}
