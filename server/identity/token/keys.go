package token

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"antwort/shared/config"
)

// Times of keeping an issuer's keys.
const (
	askAgain   = 5 * time.Second  // least time between two fetches that tokens ask for
	askWait    = 5 * time.Second  // how long a token waits for such a fetch
	readAgain  = time.Second      // how often a file is read
	retryAfter = time.Second      // first wait after a failure, doubled each time
	retryMax   = 30 * time.Second // longest
	outage     = time.Hour        // how long keys outlive their refresh when there are no new ones
)

// keys are an issuer's, kept fresh. They are fetched before they get old, and
// when a token was signed with one that is not among them.
type keys struct {
	fetch   fetcher
	refresh time.Duration // from one fetch to the next
	again   time.Duration // least time between two that tokens ask for
	lasting time.Duration // how long they are believed after a fetch; 0: until there are others
	log     *slog.Logger
	now     func() time.Time

	ctx  context.Context
	stop context.CancelFunc
	held atomic.Pointer[held]

	mu       sync.Mutex
	running  chan struct{} // closed at the end of the fetch under way; nil: none is
	began    time.Time     // the last one
	failures int           // since the last success
	document []byte        // of the set that is held
	problem  string        // of the last failure
	followed bool          // by run: nobody else hears of failures
}

// held is a key set and when it was fetched last.
type held struct {
	set *keySet
	at  time.Time
}

func newKeys(cfg *config.JWT, opt Options) *keys {
	k := &keys{log: opt.Log, now: opt.Now}
	k.ctx, k.stop = context.WithCancel(context.Background())
	if cfg.JWKSFile != "" {
		k.fetch, k.refresh, k.again = fromFile(cfg.JWKSFile), readAgain, readAgain
	} else {
		k.fetch, k.refresh, k.again, k.lasting = fromURL(cfg.JWKSURL), cfg.JWKSRefresh, askAgain, cfg.JWKSRefresh+outage
	}
	return k
}

// current is the key set, nil when there is none or it is too old.
func (k *keys) current() *keySet {
	h := k.held.Load()
	if h == nil || k.lasting > 0 && k.now().Sub(h.at) > k.lasting {
		return nil
	}
	return h.set
}

// run keeps the keys fresh until they are stopped.
func (k *keys) run() {
	k.mu.Lock()
	k.followed, k.problem = true, ""
	k.mu.Unlock()
	first := time.Duration(0)
	if k.held.Load() != nil {
		first = k.pause()
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-k.ctx.Done():
			return
		}
		<-k.begin()
		timer.Reset(k.pause())
	}
}

// pause is the wait before the next fetch.
func (k *keys) pause() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failures == 0 {
		return k.refresh
	}
	return min(k.refresh, retryMax, retryAfter<<min(k.failures-1, 10))
}

// begin starts a fetch unless one is under way. What it returns is closed at its
// end.
func (k *keys) begin() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.beginLocked()
}

func (k *keys) beginLocked() <-chan struct{} {
	if k.running == nil {
		k.running, k.began = make(chan struct{}), k.now()
		go k.update()
	}
	return k.running
}

// ask fetches the keys because a token's was not among them. It does nothing when
// they have just been fetched, so that wrong tokens do not call the issuer at
// will. It reports whether the keys are as the issuer has them now.
func (k *keys) ask(ctx context.Context) (fresh bool) {
	k.mu.Lock()
	if k.running == nil && k.now().Sub(k.began) < k.again {
		defer k.mu.Unlock()
		return k.failures == 0
	}
	done := k.beginLocked()
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failures == 0
}

// update fetches the keys and takes them over.
func (k *keys) update() {
	document, err := k.fetch(k.ctx)
	at := k.now()
	var set *keySet
	var skipped []string
	same := err == nil && k.document != nil && bytes.Equal(document, k.document) // only update changes it
	if err == nil && !same {
		set, skipped, err = parseKeySet(document)
	}
	k.mu.Lock()
	defer func() {
		close(k.running)
		k.running = nil
		k.mu.Unlock()
	}()
	if err != nil {
		k.failed(err)
		return
	}
	if k.problem != "" {
		k.log.Info("the issuer's keys can be had again")
	}
	k.failures, k.problem = 0, ""
	if same {
		// The same pointer: what was verified with it stays verified.
		k.held.Store(&held{k.held.Load().set, at})
		return
	}
	k.document = document
	k.held.Store(&held{set, at})
	k.log.Info("the issuer's keys", "usable", len(set.keys))
	for _, why := range skipped {
		k.log.Warn("a key of the issuer is of no use", "key", why)
	}
}

func (k *keys) failed(err error) {
	k.failures++
	problem := err.Error()
	news := problem != k.problem
	k.problem = problem
	if news && k.followed && k.ctx.Err() == nil {
		k.log.Error("cannot get the issuer's keys, those from before are used while they last", "problem", problem)
	}
}

// lastProblem is why the last fetch failed.
func (k *keys) lastProblem() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.problem
}
