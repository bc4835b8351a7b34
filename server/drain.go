package server

import (
	"context"
	"time"

	"antwort/server/dispatch"
)

// lastWords is how long ended exchanges may take to tell their clients.
const lastWords = 2 * time.Second

// drain ends a server that has stopped to serve: what runs may finish until
// drain_timeout or the cut, the rest is told of its end.
func (s *Server) drain() {
	last := s.inForce.Load()
	timeout := last.cfg.Server.DrainTimeout
	s.draining.Store(true)
	s.log.Info("draining", "timeout", timeout.String())
	limit, cancel := context.WithCancel(context.Background())
	defer cancel()
	over := func() {
		s.end(dispatch.ErrShutdown)
		time.AfterFunc(lastWords, cancel)
	}
	deadline := time.AfterFunc(timeout, over)
	defer deadline.Stop()
	defer context.AfterFunc(s.cut, over)()
	if s.door.Drain(limit) != nil {
		s.log.Warn("some clients did not read their answers' end in time")
	}
	s.end(dispatch.ErrShutdown)
	s.door.Close()
	last.pools.CloseIdle(nil)
	s.log.Info("stopped")
}
