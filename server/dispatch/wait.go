package dispatch

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"antwort/server/upstream"
)

// backoff doubles with each attempt; the random part keeps clients apart.
func backoff(base, limit time.Duration, attempt int) time.Duration {
	d := limit
	if attempt < 16 {
		d = min(base<<(attempt-1), limit)
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // a pause is no secret
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter reads seconds or an HTTP date (RFC 9110 section 10.2.3).
func retryAfter(v string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now)), true
	}
	return 0, false
}

// Discard closes an answer that is not wanted; a short one is read to its end,
// so that the connection can be kept.
func Discard(ans *upstream.Answer) {
	ans.SetReadDeadline(time.Now().Add(discardTime))
	_, _ = io.CopyN(io.Discard, ans, discardBytes)
	ans.Close()
}

const (
	discardTime  = 100 * time.Millisecond
	discardBytes = 16 << 10
)
