package filtertest

import (
	"io"
	"net/http"
	"time"
)

// FailurePolicy says what becomes of new requests after the VM has failed. The
// requests that were open then are answered 503, or cut, under every policy.
type FailurePolicy int

// The policies of a plugin, as Envoy has them.
const (
	FailClosed FailurePolicy = iota // 503 for ever; Envoy's default
	FailOpen                        // requests pass without the filter
	FailReload                      // a new VM, at most one every ReloadInterval
)

// Options configure a [Host]. The zero value of a field stands for Envoy's
// default, where there is one.
type Options struct {
	// Configuration is the plugin's configuration, most often JSON.
	Configuration []byte
	// VMConfiguration and Env are those of the VM (vm_config). Plugins that
	// share a VM share them too.
	VMConfiguration []byte
	Env             map[string]string

	// Upstream answers what passes the filter. It runs in its own goroutine
	// for every request. Panicking with http.ErrAbortHandler resets the
	// upstream connection; [Unreachable] refuses it.
	Upstream http.Handler
	// Clusters are the targets of HTTP call-outs, by cluster name.
	Clusters map[string]http.Handler
	// Routes are path prefixes that have a route; other paths are answered
	// 404 after the filter has seen, and perhaps changed, the path. None:
	// every path has one.
	Routes []string

	// AllowOnHeadersStopIteration is Envoy's setting of that name
	// (allow_on_headers_stop_iteration, Envoy 1.35): with it a filter that
	// pauses in a header callback still gets the body callbacks.
	AllowOnHeadersStopIteration bool
	// BufferLimit is per_connection_buffer_limit_bytes; 0 stands for 1 MiB,
	// negative for no limit. It bounds the streams of HTTP/1 clients; those of
	// HTTP/2 are bounded by Envoy's default stream window, 16 MiB.
	BufferLimit int
	// RouteTimeout is the route's time-out, from the end of the request to
	// the end of the response; 0 stands for 15 s, negative for none.
	RouteTimeout time.Duration
	// FailurePolicy and ReloadInterval say what follows a failed VM; 0 stands
	// for 1 s.
	FailurePolicy  FailurePolicy
	ReloadInterval time.Duration

	// RequestSplit and ResponseSplit choose how bodies are cut into chunks.
	// Without them a request comes as it is read, a response as the handler
	// flushes (or in pieces of at least 4 KiB).
	RequestSplit, ResponseSplit Split
	// EndWithData brings the end of a body with its last bytes, as HTTP/2
	// can. Otherwise it comes in an empty chunk after them, as in HTTP/1.1. A
	// chunk then waits for what follows it, except when a handler flushes.
	EndWithData bool

	// Properties answer get_property, by path with dots between its parts;
	// they go before the host's own.
	Properties map[string]string
	// Metadata gives what filters in front of this one have noted about a
	// request (dynamic metadata), by namespace: envoy.filters.http.jwt_authn has
	// the claims of a verified token, under the name that payload_in_metadata
	// gives. Values are as encoding/json reads them.
	Metadata func(*http.Request) map[string]any
	// Trace receives what passes between host and module, a line each. It is
	// written to while the VM runs and must not call the host.
	Trace io.Writer
	// Log receives what the module logs, a line each; see also [Host.Logs].
	Log io.Writer
}

const (
	defaultBufferLimit    = 1 << 20
	defaultRouteTimeout   = 15 * time.Second
	defaultReloadInterval = time.Second
)

func (o Options) withDefaults() Options {
	if o.BufferLimit == 0 {
		o.BufferLimit = defaultBufferLimit
	}
	if o.RouteTimeout == 0 {
		o.RouteTimeout = defaultRouteTimeout
	}
	if o.ReloadInterval == 0 {
		o.ReloadInterval = defaultReloadInterval
	}
	if o.Upstream == nil {
		o.Upstream = Unreachable
	}
	return o
}
