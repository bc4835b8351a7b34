// Package redis is a store of limits that several processes share, in a Redis or Valkey.
//
//	Take ──► one script ─► answer
//	Settle ─► a queue ─► one script for many
//
// Each counter is a hash, and a set of the requests that are under way. What is taken and
// settled is one script, so that nobody counts in between; its steps are bounded by the
// counters of a request. All keys are in one slot of a cluster.
//
// A script whose answer did not come may have been carried out, or may be yet. So its runs
// have numbers, and leave a mark by which they are carried out once: a settlement is sent
// again with the same number, and a take is given back if its mark is there, else prevented.
package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/limits/meter"

	"github.com/redis/go-redis/v9"
)

// Options are a store's.
type Options struct {
	URL     string // redis://, rediss:// or unix://
	Prefix  string // of all keys
	Timeout time.Duration
	Lease   time.Duration    // of requests at once, without a sign of life of their process; 0: a minute
	Now     func() time.Time // nil: the server's, which all processes share
	Changed func(err error)  // is told that the store cannot be reached any more, or with nil that it can
	Lost    func(n int)      // is told how many settlements were lost
}

// ErrUnavailable is that the store cannot be reached, and was not asked.
var ErrUnavailable = errors.New("the store of limits cannot be reached: it is asked again in a second")

// Store is a meter.Store in Redis.
type Store struct {
	opt    Options
	client *redis.Client
	prefix string
	own    string // the process, in leases
	marks  string // the key of the numbers of its runs
	secret string // the password, which nobody must be told

	leases  atomic.Int64 // that there were
	numbers numbers
	seen    seen
	down    atomic.Bool // nobody asks but the one who finds out whether it is back
	mu      sync.Mutex
	live    map[string]map[string]bool // leases by the key of their set
	pending []*run
	queued  int  // settlements in pending
	working bool // on some that were pending
	wake    chan struct{}
	settled chan struct{} // is closed when nothing is pending any more; nil: nobody waits
	stop    context.CancelFunc
	stopped chan struct{}
}

var (
	//go:embed begin.lua
	beginText string
	//go:embed take.lua
	takeText string
	//go:embed settle.lua
	settleText string

	takeScript, settleScript = redis.NewScript(beginText + takeText), redis.NewScript(beginText + settleText)
)

const (
	batch      = 64          // settlements in a script
	mostQueued = 100_000     // settlements while the store is away
	again      = time.Second // until a store that is away is asked again
)

// silent is for a library that logs by itself: what happens is told by errors.
type silent struct{}

// Printf says nothing.
func (silent) Printf(context.Context, string, ...any) {}

func init() { redis.SetLogger(silent{}) }

// New makes a store. It asks nothing of the server yet.
func New(opt Options) (*Store, error) {
	o, err := redis.ParseURL(opt.URL)
	if err != nil {
		return nil, errors.New("it is no URL of a Redis: want redis://, rediss:// or unix://") // the error has the password in it
	}
	o.MaxRetries = -1 // a script must not count twice
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout = opt.Timeout, opt.Timeout, opt.Timeout, opt.Timeout
	o.ContextTimeoutEnabled, o.DisableIdentity = true, true
	if opt.Lease == 0 {
		opt.Lease = time.Minute
	}
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails, says its documentation
	prefix, own := "{"+opt.Prefix+"}:", hex.EncodeToString(random[:])
	s := &Store{
		opt: opt, client: redis.NewClient(o), prefix: prefix, own: own + ".", marks: prefix + "runs:" + own, secret: o.Password,
		live: make(map[string]map[string]bool), wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.work(ctx)
	return s, nil
}

// Close settles what is pending, within ctx, and ends the store.
func (s *Store) Close(ctx context.Context) error {
	s.Flush(ctx)
	s.stop()
	<-s.stopped
	return s.client.Close()
}

// keys are those of a counter: its hash, and the set of its requests.
func (s *Store) keys(counter string) (hash, set string) {
	sum := sha256.Sum256([]byte(counter))
	hash = s.prefix + hex.EncodeToString(sum[:16])
	return hash, hash + ":at-once"
}

// now is the time for scripts: "" is the server's.
func (s *Store) now() string {
	if s.opt.Now == nil {
		return ""
	}
	return strconv.FormatInt(s.opt.Now().UnixMilli(), 10)
}

func (s *Store) calendar() time.Time {
	if s.opt.Now == nil {
		return time.Now()
	}
	return s.opt.Now()
}

// Take takes all, or nothing.
func (s *Store) Take(ctx context.Context, takes []meter.Take, force bool) (r meter.Result, _ error) {
	if s.down.Load() {
		return r, ErrUnavailable
	}
	s.seen.note(takes)
	r, keys, number, err := s.take(ctx, takes, force)
	switch {
	case err != nil:
		s.giveBack(takes, number, r.Periods, err)
		return meter.Result{}, s.said(err)
	case r.Refused == nil:
		s.keepAlive(takes, keys)
	}
	s.numbers.end(number)
	return r, nil
}

// take is Take, whatever is known of the server. The number, 0 for none, is to be ended.
func (s *Store) take(ctx context.Context, takes []meter.Take, force bool) (r meter.Result, keys []string, number int64, _ error) {
	at := s.calendar()
	r.Periods = meter.PeriodsAt(at)
	day, month := r.Periods.Ends()
	keys = make([]string, 0, 2*len(takes)+1)
	args := make([]any, 0, 9+8*len(takes))
	args = append(args, s.now(), flag(force), r.Periods.Day, r.Periods.Month, day.UnixMilli(), month.UnixMilli(), s.opt.Lease.Milliseconds(), 0, 0)
	stays := false // something of it until it is given back
	for i := range takes {
		t := &takes[i]
		hash, set := s.keys(t.Counter)
		keys = append(keys, hash, set)
		lease := ""
		if t.Enters && t.Limits[meter.RequestsAtOnce] > 0 {
			lease = s.own + strconv.FormatInt(s.leases.Add(1), 36)
		}
		for _, n := range t.Limits {
			args = append(args, n)
		}
		args = append(args, flag(t.Enters), t.Wanted(), lease)
		if lease != "" {
			t.Lease = lease
		}
		stays = stays || lease != "" || t.Wanted() > 0
	}
	keys = append(keys, s.marks)
	if stays {
		var below int64
		number, below = s.numbers.next()
		args[7], args[8] = number, below
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opt.Timeout) // who has left must not leave it open what was taken
	defer cancel()
	said, err := takeScript.Run(ctx, s.client, keys, args...).Int64Slice()
	if err == nil && len(said) != 10 {
		err = fmt.Errorf("the store of limits says %d numbers, not 10", len(said))
	}
	if s.asked(err); err != nil {
		return r, keys, number, err
	}
	r.Requests = level(said[4:7])
	r.Tokens = level(said[7:10])
	if said[0] > 0 {
		r.Refused = &meter.Refusal{Take: int(said[0] - 1), Kind: meter.Kind(said[1]), Used: said[2], Wait: time.Duration(said[3]) * time.Millisecond} //nolint:gosec // the script's kinds are few
		switch r.Refused.Kind {
		case meter.TokensPerDay:
			r.Refused.Until, r.Refused.Wait = day, day.Sub(at)
		case meter.TokensPerMonth:
			r.Refused.Until, r.Refused.Wait = month, month.Sub(at)
		}
	}
	return r, keys, number, nil
}

func flag(is bool) int {
	if is {
		return 1
	}
	return 0
}

func level(said []int64) meter.Level {
	return meter.Level{Limit: said[0], Left: said[1], Reset: time.Duration(said[2]) * time.Millisecond}
}

// asked takes note of how asking a script went. An answer that is an error counts as none:
// the server does not count then. Whether it is back finds probe out.
func (s *Store) asked(err error) {
	if err != nil && !errors.Is(err, context.Canceled) && s.down.CompareAndSwap(false, true) {
		s.opt.Changed(s.said(err))
		s.awake()
	}
}

// reached takes note of how a command beside the scripts went: that it works does not say
// that they do, nor that it is refused that they do not.
func (s *Store) reached(err error) {
	if err != nil && !Refused(err) {
		s.asked(err)
	}
}

// probe finds out whether a store that was away counts again, by a counter of the process's
// own. What was to be settled is settled before: who comes next finds what is really used.
func (s *Store) probe(ctx context.Context) {
	takes := []meter.Take{{Counter: "probe " + s.own, Limits: &meter.Limits{meter.TokensPerMinute: 1_000_000_000}, Tokens: 1}}
	_, _, number, err := s.take(ctx, takes, true)
	s.numbers.end(number)
	if err == nil && s.down.CompareAndSwap(true, false) {
		s.opt.Changed(nil)
	}
}

// Refused reports whether the server has answered, by an error.
func Refused(err error) bool {
	var said redis.Error
	return errors.As(err, &said) && !errors.Is(err, redis.Nil)
}

// brokeOff reports whether a script has begun, and ended by an error of its own.
func brokeOff(err error) bool { return Refused(err) && strings.Contains(err.Error(), "user_script") }

// said is an error in the server's words, but for what it repeats of a command: a password may
// be there.
func (s *Store) said(err error) error {
	if !Refused(err) {
		return err
	}
	text, _, _ := strings.Cut(err.Error(), ", with args beginning with")
	if s.secret != "" {
		text = strings.ReplaceAll(text, s.secret, "…")
	}
	return &refusal{text: text}
}

// refusal is an error of the server's, in words that may be told.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// RedisError says that it is one of the server's.
func (r *refusal) RedisError() {}

// keepAlive has the requests that were taken live as long as the process.
func (s *Store) keepAlive(takes []meter.Take, keys []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range takes {
		if lease := takes[i].Lease; lease != "" && takes[i].Enters {
			set := keys[2*i+1]
			if s.live[set] == nil {
				s.live[set] = make(map[string]bool)
			}
			s.live[set][lease] = true
		}
	}
}

// Len is how many counters there are of requests at once that are under way.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
