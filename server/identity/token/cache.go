package token

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"antwort/shared/policy"
)

// maxCached bounds the tokens that are remembered: about a megabyte.
const maxCached = 4096

// cache remembers who the bearers of verified tokens are, until the tokens
// expire. The least used goes first. It holds digests, not tokens.
type cache struct {
	mu    sync.Mutex
	set   *keySet // that the tokens were verified with
	byUse *list.List
	all   map[digest]*list.Element
}

type digest = [sha256.Size]byte

type cached struct {
	digest digest
	caller *policy.Identity
	expiry time.Time
}

func newCache() *cache { return &cache{byUse: list.New(), all: make(map[digest]*list.Element)} }

// get returns nil for what has not been verified with these keys, or expired.
func (c *cache) get(d digest, set *keySet, now time.Time) *policy.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.all[d]
	if e == nil || c.set != set {
		return nil
	}
	entry := e.Value.(*cached)
	if !now.Before(entry.expiry) {
		c.remove(e)
		return nil
	}
	c.byUse.MoveToFront(e)
	return entry.caller
}

// expiry is when a token that is remembered expires; zero when it is not.
func (c *cache) expiry(d digest) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.all[d]; e != nil {
		return e.Value.(*cached).expiry
	}
	return time.Time{}
}

// put remembers a token. Other keys than before make it forget all others: one
// of them may have been signed with a key that was withdrawn.
func (c *cache) put(d digest, set *keySet, caller *policy.Identity, expiry time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.set != set {
		c.set = set
		c.byUse.Init()
		clear(c.all)
	}
	if e := c.all[d]; e != nil {
		c.remove(e)
	}
	c.all[d] = c.byUse.PushFront(&cached{d, caller, expiry})
	if c.byUse.Len() > maxCached {
		c.remove(c.byUse.Back())
	}
}

func (c *cache) remove(e *list.Element) {
	delete(c.all, e.Value.(*cached).digest)
	c.byUse.Remove(e)
}
