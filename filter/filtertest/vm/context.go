package vm

import "time"

// Context is what the module knows by an id: a plugin, or a stream of it.
type Context struct {
	ID     uint32
	plugin Plugin
	stream Stream // nil: the plugin itself
}

// Plugin is what host calls reach of a plugin. All of it is called within
// [Worker.Run].
type Plugin interface {
	// Configuration is the plugin's.
	Configuration() []byte
	// Property finds a property by its path with dots. Numbers are 8 bytes,
	// little endian, as Envoy gives them.
	Property(path string) (string, bool)
	// SetTick sets the period of on_tick; 0 ends it.
	SetTick(period time.Duration)
	// Call begins an HTTP call-out; its answer comes under the token. It is
	// false when the cluster or the headers are wrong.
	Call(cluster string, headers *HeaderMap, body []byte, timeout time.Duration, token uint32) bool
	// Answer is the answer of the call-out whose callback runs; nil outside of
	// one.
	Answer() *Answer
}

// Answer is the answer to an HTTP call-out.
type Answer struct {
	Headers, Trailers *HeaderMap
	Body              []byte
}

// Stream is what host calls reach of an HTTP stream. All of it is called within
// [Worker.Run]. What a method returns as a function is done once the callback
// has returned.
type Stream interface {
	// Headers finds a header map by the ABI's number: nil outside of its phase.
	Headers(kind uint32, write bool) *HeaderMap
	// Body is the part of a body that can be reached now, and what to call when
	// it was changed; nil when there is none.
	Body(response bool) (part *[]byte, changed func())
	// Reply sends a reply of the filter's own.
	Reply(code int, body string, extra *HeaderMap) func()
	// Continue lets go of what is held.
	Continue(response bool) func()
	// Reset cuts the stream.
	Reset() func()
	// Logging says that on_log runs: headers can be read once more.
	Logging() bool
	// Property finds a property of the stream, as [Plugin].Property does.
	Property(path string) (string, bool)
	// SetProperty keeps a property for the stream's life.
	SetProperty(path, value string)
	// Metadata finds dynamic metadata; path is what follows metadata,
	// filter_metadata.
	Metadata(path []string) (string, Status)
}
