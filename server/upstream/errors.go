package upstream

import (
	"errors"
	"os"
)

// Kind says where an exchange with the upstream failed.
type Kind int

// The places where an exchange can fail, in the order in which it comes to them.
const (
	Connect   Kind = iota // no connection: nothing was sent
	Closed                // the connection ended before an answer's header
	Timeout               // no header within Request.HeaderTimeout
	Malformed             // what came is no HTTP answer
	Body                  // the request's own body could not be read
)

func (k Kind) String() string {
	return [...]string{"connect", "closed", "timeout", "malformed", "body"}[k]
}

// Error is how Client.Do fails. Its text may name addresses: it is for logs.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Kind.String() + ": " + e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
