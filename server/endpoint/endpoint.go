// Package endpoint finds what a path of the server is.
//
//	path ─► Table.Find ─► Endpoint, and who answers it
//
// Whoever answers requests fills a [Table] with the endpoints that there are in a
// configuration, and asks it once for each request. What an answer is, is not known here.
package endpoint

import (
	"net/http"

	"antwort/shared/failure"
	"antwort/shared/policy"
)

// Endpoint is one kind of request, and who answers it.
type Endpoint[Exchange any] struct {
	*policy.Endpoint
	Quiet  bool // logged at debug level only
	Open   bool // needs no credential
	Routed bool // what becomes of it depends on routes
	Answer func(Exchange) *failure.Failure
}

// Table are the endpoints of a configuration.
type Table[Exchange any] struct {
	API                    map[*policy.Endpoint]*Endpoint[Exchange]
	Passed                 *policy.Passed                  // those of engine.pass
	Pass                   func(Exchange) *failure.Failure // answers those
	Health, Ready, Metrics *Endpoint[Exchange]
	Unknown                *Endpoint[Exchange]
}

// Probe is an endpoint for who looks after the server.
func Probe[Exchange any](path string, answer func(Exchange) *failure.Failure) *Endpoint[Exchange] {
	return &Endpoint[Exchange]{Endpoint: &policy.Endpoint{Name: path, Allow: "GET, HEAD"}, Quiet: true, Open: true, Answer: answer}
}

// Find returns the endpoint of a path, which is still escaped.
func (t *Table[Exchange]) Find(path string) *Endpoint[Exchange] {
	switch {
	case path == t.Health.Name, path == "/health": // as servers of models call it
		return t.Health
	case path == t.Ready.Name:
		return t.Ready
	case t.Metrics != nil && path == t.Metrics.Name:
		return t.Metrics
	}
	if e := policy.Find(path); e != nil {
		return t.API[e]
	}
	if passed := t.Passed.Find(path); passed != nil {
		return &Endpoint[Exchange]{Endpoint: passed, Routed: true, Answer: t.Pass}
	}
	return t.Unknown
}

// IsPreflight reports whether a request is what a browser asks before it sends the
// request of a page.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}
