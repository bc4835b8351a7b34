package config

import (
	"time"
)

// Routing is when a backend is left out for a while.
type Routing struct {
	EjectAfter   int           // failures in a row
	EjectTime    time.Duration // doubles with each further ejection in a row
	MaxEjectTime time.Duration
	ModelsTime   time.Duration // 0: lists of models are not kept
}

// Route is where some requests go. The first one that matches counts.
type Route struct {
	Name     string // what logs, metrics and Envoy's clusters call it
	Match    Match
	Balance  string // LeastRequest or Affinity
	MaxLoad  int    // with Affinity: load of one backend, in per cent of its share
	Backends []Backend
}

// Match says which requests a route is for: those that fit all that is set.
type Match struct {
	Models  []string // names or patterns with *
	Tenants []string
	Headers []HeaderMatch
}

// HeaderMatch is a field that a request must have once, with this value.
type HeaderMatch struct {
	Name  string // lower case
	Value string
}

// Backend is one of those that a route's requests go to.
type Backend struct {
	_ [0]func() // no ==, as for Config

	URL         string // like Engine.BackendURL
	Provider    Provider
	Weight      int
	Priority    int    // lower ones first
	Model       string // the name that is sent upstream; "": as the client said
	MaxRequests int    // like Engine.MaxRequests
	APIKey      Secret // after ResolveSecrets
	APIKeyFile  string
	APIKeyEnv   string

	ConnectTimeout    time.Duration
	ResponseTimeout   time.Duration
	StreamIdleTimeout time.Duration

	Protocol  string // like Engine.Protocol
	Transport string // like Engine.Transport
	TLS       BackendTLS
}

// DefaultRoute is the name of the route that engine.backend_url is.
const DefaultRoute = "default"

// all reports whether every request matches.
func (m *Match) all() bool { return len(m.Models)+len(m.Tenants)+len(m.Headers) == 0 }

func routeAt(i int) string                 { return entryAt("routes", i) }
func backendAt(route string, i int) string { return entryAt(route+".backends", i) }

// Values of routes[].balance.
const (
	LeastRequest = "least_request"
	Affinity     = "affinity"
)

// Bounds of the list.
const (
	maxRoutes   = 200
	maxBackends = 64
	maxMatches  = 100
	maxRequests = 1_000_000

	defaultMaxLoad = 200
)
