package filter

import "time"

// clock tells the time with one host call: time.Now costs two. It takes the
// wall clock anew once in a while, as the host's may be corrected.
type clock struct{ taken time.Time }

const clockValid = 10 * time.Second

// now is the present time, with the monotonic clock's reading.
func (c *clock) now() time.Time {
	if !c.taken.IsZero() {
		if passed := time.Since(c.taken); passed < clockValid {
			return c.taken.Add(passed)
		}
	}
	c.taken = time.Now()
	return c.taken
}

// unix is the present time in seconds.
func (c *clock) unix() int64 { return c.now().Unix() }
