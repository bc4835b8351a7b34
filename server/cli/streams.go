package cli

import "io"

// Exit codes of every subcommand.
const (
	exitOK    = 0 // done
	exitRun   = 1 // failed while running
	exitUsage = 2 // wrong command line or configuration: a retry cannot help
)

// streams are the standard streams of the process, or a test's buffers.
type streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// usageError marks a wrong command line or configuration.
type usageError struct{ cause error }

func (e *usageError) Error() string { return e.cause.Error() }
func (e *usageError) Unwrap() error { return e.cause }

// usage marks err as the user's to mend: the process ends with exit code 2.
func usage(err error) error { return &usageError{err} }
