package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxPages is how many pages may be fed at a time.
const maxPages = 64

// patience is how long a page may take to read what it is told.
const patience = 10 * time.Second

// feed tells all pages the same. What is told is written once, whatever their number.
type feed struct {
	mu     sync.Mutex
	pages  map[chan []byte]bool
	closed bool

	backends []byte // that were told last
	failures int    // of those that were told
}

// join adds a page; nil: there are too many.
func (f *feed) join() chan []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || len(f.pages) >= maxPages {
		return nil
	}
	if f.pages == nil {
		f.pages = make(map[chan []byte]bool)
	}
	page := make(chan []byte, 16)
	f.pages[page] = true
	return page
}

func (f *feed) leave(page chan []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.pages[page] {
		delete(f.pages, page)
		close(page)
	}
}

// close ends all pages' feeds.
func (f *feed) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for page := range f.pages {
		delete(f.pages, page)
		close(page)
	}
}

func (f *feed) watched() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pages) > 0
}

// say tells all pages. One that does not read comes again, and begins anew.
func (f *feed) say(event []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for page := range f.pages {
		select {
		case page <- event:
		default:
			delete(f.pages, page)
			close(page)
		}
	}
}

// sample takes a sample and tells it.
func (c *Console) sample() {
	if latest, ok := c.samples.take(c.opt.Now(), c.opt.Observer.Totals()); ok && c.feed.watched() {
		c.feed.say(event("sample", latest))
	}
}

// tell tells what is now, as far as it has changed.
func (c *Console) tell() {
	t := c.opt.Observer.Totals()
	said := event("now", map[string]any{"at": c.opt.Now().UnixMilli(), "in_flight": t.InFlight, "streams": t.Streams, "requests": t.Requests, "failures": t.Failures})
	c.feed.say(append(append(said, c.flights()...), c.changes(false)...))
}

// maxFlights is how many requests in flight a page is told of.
const maxFlights = 50

// flight is a request in flight as the page has it.
type flight struct {
	ID       string  `json:"id"`
	Endpoint string  `json:"endpoint"`
	Model    string  `json:"model,omitempty"`
	Route    string  `json:"route,omitempty"`
	Age      float64 `json:"age"` // in seconds
	Sent     int64   `json:"sent"`
}

// flights is the event that says what is in flight; those are listed that are it for longest.
func (c *Console) flights() []byte {
	all := c.opt.Observer.Flights(maxFlights)
	list := make([]flight, len(all))
	for i := range all {
		f := &all[i]
		list[i] = flight{f.ID, f.Endpoint, f.Model, f.Route, c.opt.Now().Sub(f.Start).Seconds(), f.Sent}
	}
	return event("flights", list)
}

// changes are the events of what has changed since they were told, or all of it.
func (c *Console) changes(all bool) (events []byte) {
	f := &c.feed
	f.mu.Lock()
	known, before := f.failures, f.backends
	f.mu.Unlock()
	if all {
		known, before = -1, nil
	}
	backends := c.opt.Backends()
	if !bytes.Equal(backends, before) {
		events = append(events, event("backends", json.RawMessage(backends))...)
	}
	last, seen := c.opt.Observer.Failures(known)
	if seen != known {
		list := make([]failed, len(last))
		for i := range last {
			o := &last[i]
			list[i] = failed{o.At.UnixMilli(), o.ID, o.Endpoint, o.Model, o.Route, o.Backend, o.Status, o.Kind.String(), o.Limit, o.Took.Seconds()}
		}
		events = append(events, event("failures", map[string]any{"seen": seen, "last": list})...)
	}
	if !all {
		f.mu.Lock()
		f.failures, f.backends = seen, backends
		f.mu.Unlock()
	}
	return events
}

// failed is a failure as the page has it.
type failed struct {
	At       int64   `json:"at"`
	ID       string  `json:"id"`
	Endpoint string  `json:"endpoint"`
	Model    string  `json:"model,omitempty"`
	Route    string  `json:"route,omitempty"`
	Backend  string  `json:"backend,omitempty"`
	Status   int     `json:"status"`
	Kind     string  `json:"kind"`
	Limit    string  `json:"limit,omitempty"`
	Took     float64 `json:"took"`
}

// event is one event of a stream.
func event(name string, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte("null")
	}
	e := append(make([]byte, 0, len(text)+64), "event: "+name+"\ndata: "...)
	return append(append(e, text...), "\n\n"...)
}

// follow feeds a page until it leaves.
func (c *Console) follow(w http.ResponseWriter, r *http.Request) {
	page := c.feed.join()
	if page == nil {
		fail(w, http.StatusServiceUnavailable, "the console feeds "+strconv.Itoa(maxPages)+" pages at a time, and has as many")
		return
	}
	defer c.feed.leave(page)
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	write := func(events []byte) bool {
		_ = out.SetWriteDeadline(time.Now().Add(patience))
		_, err := w.Write(events)
		return err == nil && out.Flush() == nil
	}
	begin := event("hour", map[string]any{"every": every, "samples": c.samples.all()})
	if !write(append(append(begin, c.flights()...), c.changes(true)...)) {
		return
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case said, more := <-page:
			if !more || !write(said) {
				return
			}
		}
	}
}
