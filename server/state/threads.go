package state

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// Threads is for whoever looks at what an owner has, a page at a time: threads, and the
// responses of one. A thread is a response with all that continue it, or a conversation
// with the responses of it.
type Threads interface {
	// Threads returns up to limit threads, the newest first, those after a place, and
	// whether there are more.
	Threads(ctx context.Context, owner Owner, after Place, limit int) (threads []Thread, more bool, err error)

	// Responses returns where up to limit responses of a thread are, the oldest first,
	// those after a place, and whether there are more; none of a thread that is not there.
	Responses(ctx context.Context, owner Owner, thread string, after Place, limit int) (places []Place, more bool, err error)

	// DeleteThread removes a thread for good, with all that is in it, whoever works on it.
	DeleteThread(ctx context.Context, owner Owner, id string) error
}

// Place is where something stands among its like. The zero value is before all.
type Place struct {
	Created time.Time // in milliseconds
	ID      string
}

// Compare orders places by time.
func (p Place) Compare(other Place) int {
	return cmp.Or(p.Created.Compare(other.Created), strings.Compare(p.ID, other.ID))
}

// Thread is what is known of one beside its responses.
type Thread struct {
	Place
	Conversation bool
	Expires      time.Time // zero: never
	Responses    int
	Bytes        int64 // as Used counts
}

// First keeps those of many that come first.
type First[T any] struct {
	Most    int
	Compare func(a, b T) int
	All     []T // in their order
}

// Add takes one in, if it is among them.
func (f *First[T]) Add(one T) {
	at, _ := slices.BinarySearchFunc(f.All, one, f.Compare)
	if at >= f.Most {
		return
	}
	if f.All = slices.Insert(f.All, at, one); len(f.All) > f.Most {
		f.All = f.All[:f.Most]
	}
}

// Cut takes one more than a page has off, and reports whether there was one.
func Cut[T any](all []T, limit int) (page []T, more bool) {
	return all[:min(limit, len(all))], len(all) > limit
}
