// Package websocket is the connections of clients that send several requests over one
// WebSocket (RFC 6455), each answered by events.
//
//	ingress.Upgrade ─ Accept ─► Conn ─ messages ─► queue ─► Turn ─► whoever answers
//	                             │                            ▲            │
//	                             └ ping, lifetime, drain      └─── Sink ◄──┘
//
// A request for an upgrade enters whose caller is known; out come the bodies of
// requests, one at a time, with the way for their events. One goroutine reads for each
// connection, another one answers while there is something to be answered. What is in a
// request, and what is answered, is not known here.
package websocket

import (
	"encoding/base64"
	"net/http"
	"strings"
	"sync"

	"antwort/shared/responses"

	"github.com/prometheus/client_golang/prometheus"
)

// Set are the connections of a process.
type Set struct {
	mu       sync.Mutex
	all      map[*Conn]struct{}
	places   int
	draining bool
}

// NewSet returns a set without connections. Their number is a metric.
func NewSet(metrics prometheus.Registerer) *Set {
	s := &Set{all: map[*Conn]struct{}{}}
	metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "websocket_connections", Help: "WebSocket connections that are open."}, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(s.places)
	}))
	return s
}

// Take takes a place for a connection, if there are fewer than most; Leave gives it back.
func (s *Set) Take(most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.places >= most || s.draining {
		return false
	}
	s.places++
	return true
}

// Leave gives a place back.
func (s *Set) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places--
}

// Drain ends the connections, each after the turn that is running.
func (s *Set) Drain() {
	s.mu.Lock()
	s.draining = true
	all := make([]*Conn, 0, len(s.all))
	for c := range s.all {
		all = append(all, c)
	}
	s.mu.Unlock()
	for _, c := range all {
		c.End(GoingAway, "the server stops", nil)
	}
}

// add notes a connection. One that comes while the others are ended is too.
func (s *Set) add(c *Conn) {
	s.mu.Lock()
	s.all[c] = struct{}{}
	draining := s.draining
	s.mu.Unlock()
	if draining {
		c.End(GoingAway, "the server stops", nil)
	}
}

func (s *Set) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// Check refuses a request for an upgrade that is not as RFC 6455 section 4.2.1 has it.
func Check(r *http.Request) *responses.Error {
	wrong := func(what string) *responses.Error {
		return responses.NewError(http.StatusUpgradeRequired, "websocket_unsupported", "the request for a WebSocket is not as RFC 6455 has it: "+what)
	}
	keys := r.Header.Values("Sec-Websocket-Key")
	switch {
	case !hasToken(r.Header.Values("Connection"), "upgrade"):
		return wrong("Connection must have upgrade")
	case r.Header.Get("Sec-Websocket-Version") != "13":
		return wrong("Sec-WebSocket-Version must be 13")
	case len(keys) != 1:
		return wrong("Sec-WebSocket-Key must be there once")
	}
	if key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(keys[0])); err != nil || len(key) != 16 {
		return wrong("Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return nil
}

func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}
