package state

import "slices"

// Walk puts a chain together, from its end to its beginning, and refuses what
// Store.Chain refuses as soon as it shows.
type Walk struct {
	Bounds Bounds

	turns []Turn // the newest first
	bytes int64
	next  string // the parent of the last one; "": it was the first response
}

// Begin takes what is known of the newest response before its content is read.
func (w *Walk) Begin(status Status, flags Flags, depth int) error {
	if !status.Continuable() || flags&Conversed != 0 {
		return &UnusableError{status, flags&Conversed != 0}
	}
	if limit := w.Bounds.Depth; limit > 0 && depth > limit {
		return &TooLongError{DepthBound, int64(limit)}
	}
	return nil
}

// Room refuses a turn of so many bytes that the chain would be too long with it.
func (w *Walk) Room(bytes int) error {
	w.bytes += int64(bytes)
	if limit := w.Bounds.Bytes; limit > 0 && w.bytes > limit {
		return &TooLongError{BytesBound, limit}
	}
	return nil
}

// Add takes the response before the last one, which Room has taken.
func (w *Walk) Add(t Turn, parent string) {
	w.turns = append(w.turns, t)
	w.next = parent
}

// End returns the whole chain when there is nothing more to come.
func (w *Walk) End() ([]Turn, error) {
	switch {
	case len(w.turns) == 0:
		return nil, ErrNotFound
	case w.next != "":
		return nil, &MissingError{w.next}
	}
	slices.Reverse(w.turns)
	return w.turns, nil
}
