package trace

import (
	"context"
	"encoding/hex"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"
)

// The fields of W3C Trace Context, as net/http writes them.
const (
	parentField = "Traceparent"
	stateField  = "Tracestate"
)

// Parent is the span that a request came from; the zero value is none.
type Parent struct{ of otel.SpanContext }

// Take reads a request's context, and takes it out of its header: whoever is asked next
// gets another one. What is no context is nobody's.
func (t *Tracer) Take(h http.Header) Parent {
	if t == nil {
		return Parent{}
	}
	p := read(h)
	delete(h, parentField)
	delete(h, stateField)
	return p
}

func read(h http.Header) Parent {
	if len(h[parentField]) != 1 {
		return Parent{}
	}
	carrier := fields{h[parentField][0], strings.Join(h[stateField], ",")}
	return Parent{otel.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), carrier))}
}

// fields are the two fields of a context.
type fields [2]string

// Get returns one of them.
func (f fields) Get(name string) string {
	switch name {
	case "traceparent":
		return f[0]
	case "tracestate":
		return f[1]
	}
	return ""
}

// Set does nothing: contexts are written by Append.
func (f fields) Set(string, string) {}

// Keys are the names of both.
func (f fields) Keys() []string { return []string{"traceparent", "tracestate"} }

// appendParent appends the value of traceparent (version 00).
func appendParent(dst []byte, sc otel.SpanContext) []byte {
	tid, sid := sc.TraceID(), sc.SpanID()
	dst = append(hex.AppendEncode(append(dst, "00-"...), tid[:]), '-')
	dst = append(hex.AppendEncode(dst, sid[:]), "-00"...)
	if sc.IsSampled() {
		dst[len(dst)-1] = '1'
	}
	return dst
}
