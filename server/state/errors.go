package state

import (
	"context"
	"errors"
	"fmt"
)

// What a store can answer. Compare with errors.Is.
var (
	ErrNotFound    = errors.New("there is no such response")
	ErrMissing     = errors.New("a response before it is gone")
	ErrTooLong     = errors.New("the chain is too long")
	ErrUnusable    = errors.New("the response cannot be continued")
	ErrTooLarge    = errors.New("the conversation is larger than the store may be")
	ErrConflict    = errors.New("there is another response of this id")
	ErrUnavailable = errors.New("the store cannot be reached")
	ErrUnreadable  = errors.New("what the store has cannot be read")
)

// MissingError names the response before that is gone. It is ErrMissing.
type MissingError struct{ ID string }

func (e *MissingError) Error() string { return ErrMissing.Error() + ": " + e.ID }

// Is is for errors.Is.
func (e *MissingError) Is(target error) bool { return target == ErrMissing }

// The bounds that a chain can be over.
const (
	DepthBound = "depth"
	BytesBound = "bytes"
)

// TooLongError names the bound that the chain is over. It is ErrTooLong.
type TooLongError struct {
	Bound string // DepthBound or BytesBound
	Limit int64
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("%v: its %s is over %d", ErrTooLong, e.Bound, e.Limit)
}

// Is is for errors.Is.
func (e *TooLongError) Is(target error) bool { return target == ErrTooLong }

// UnusableError says why a response cannot be continued. It is
// ErrUnusable.
type UnusableError struct {
	Status    Status
	Conversed bool // it belongs to a conversation, by which alone it goes on
}

func (e *UnusableError) Error() string {
	if e.Conversed {
		return ErrUnusable.Error() + ": it belongs to a conversation"
	}
	return fmt.Sprintf("%v: its status is %d", ErrUnusable, e.Status)
}

// Is is for errors.Is.
func (e *UnusableError) Is(target error) bool { return target == ErrUnusable }

// Final reports whether a store has decided: it was asked in vain, but was there.
func Final(err error) bool {
	for _, decided := range [...]error{ErrNotFound, ErrMissing, ErrTooLarge, ErrConflict, ErrQueueFull, ErrLost, ErrLocked, ErrNoItem, ErrDuplicate, ErrUnreadable} {
		if errors.Is(err, decided) {
			return true
		}
	}
	return false
}

// Unavailable is ErrUnavailable with its cause, which is for the log only: it may
// tell where the store is.
func Unavailable(cause error) error {
	if errors.Is(cause, ErrUnavailable) {
		return cause
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, cause)
}

// Ended is the error of an operation whose context has ended: ErrUnavailable, and
// context.Canceled when its caller has left, whatever the cause. It is nil while the
// context goes on.
func Ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case err == nil:
		return nil
	case errors.Is(cause, err):
		return Unavailable(cause)
	}
	return fmt.Errorf("%w: %w: %w", ErrUnavailable, err, cause)
}
