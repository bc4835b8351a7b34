package envoyrun

import (
	"context"
	"io"
	"log/slog"

	"antwort/shared/config"
)

// Options are what an Envoy is run with.
type Options struct {
	Binary       string // path of Envoy, see Find
	EnvoyVersion string // see Check
	Version      string // of this program
	Module       []byte // the filter
	Workers      int    // threads that serve requests
	Log          *slog.Logger
	// Output takes Envoy's access log, whole lines that have the form of Log's.
	// It may be the writer of Log when it bears concurrent writes.
	Output io.Writer
	// Load reads the configuration again. Its errors tell the user where the
	// mistake is.
	Load   func() (*config.Config, error)
	Reload <-chan struct{} // asks for that at once; nil: nothing does
	Cut    context.Context // ends draining before drain_timeout does; nil: nothing does
}
