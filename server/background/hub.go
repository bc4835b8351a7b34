package background

import "sync"

// hub tells who reads a job's events that there are more. It knows of the jobs that
// run in this process, and of those who read here.
type hub struct {
	mu   sync.Mutex
	jobs map[string]*watched
}

// watched is a job that runs here, or that somebody reads here.
type watched struct {
	here    bool // it runs here
	readers map[chan struct{}]struct{}
}

// of is what is known of a job. mu is held.
func (h *hub) of(id string) *watched {
	j := h.jobs[id]
	if j == nil {
		j = &watched{readers: map[chan struct{}]struct{}{}}
		if h.jobs == nil {
			h.jobs = map[string]*watched{}
		}
		h.jobs[id] = j
	}
	return j
}

// tidy forgets a job that is of no interest. mu is held.
func (h *hub) tidy(id string, j *watched) {
	if !j.here && len(j.readers) == 0 {
		delete(h.jobs, id)
	}
}

// runs says that a job runs here, or no longer does.
func (h *hub) runs(id string, here bool) {
	h.mu.Lock()
	j := h.of(id)
	j.here = here
	h.tidy(id, j)
	h.mu.Unlock()
	h.tell(id)
}

// tell tells the readers of a job that there may be more.
func (h *hub) tell(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.jobs[id]; j != nil {
		for reader := range j.readers {
			select {
			case reader <- struct{}{}:
			default:
			}
		}
	}
}

// read returns where a reader is told that there may be more.
func (h *hub) read(id string) (more <-chan struct{}, leave func()) {
	reader := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.of(id).readers[reader] = struct{}{}
	return reader, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		j := h.of(id)
		delete(j.readers, reader)
		h.tidy(id, j)
	}
}

// isHere reports whether a job runs here.
func (h *hub) isHere(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.jobs[id]
	return j != nil && j.here
}
