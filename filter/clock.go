package filter

import "time"

// clock tells the time with one host call: time.Now costs two. It takes the
// wall clock anew once in a while, as the host's may be corrected.
type clock struct {
	taken  instant
	passed time.Duration // since started, when it was taken
}

// An instant is a time in nanoseconds since 1970, measured by the monotonic
// clock. A time.Time would bring its methods into the module: what a struct
// holds that is in an interface can be printed, 60 KB of it.
type instant int64

const clockValid = 10 * time.Second

// started is where the monotonic clock is read from.
var started = time.Now()

// now is the present time.
func (c *clock) now() instant {
	passed := time.Since(started)
	if c.taken == 0 || passed-c.passed > clockValid {
		c.taken, c.passed = instant(time.Now().UnixNano()), passed
	}
	return c.taken + instant(passed-c.passed)
}

// unix is the present time in seconds.
func (c *clock) unix() int64 { return c.now().unix() }

func (t instant) unix() int64 { return int64(t) / int64(time.Second) }

// since is how long ago an earlier instant was.
func (t instant) since(earlier instant) time.Duration { return time.Duration(t - earlier) }
