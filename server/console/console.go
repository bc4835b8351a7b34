// Package console is the window on the admin port: one page, and what it asks.
//
//	observe, dispatch, … ─► Console ─ samples, feed ─► page
//	page ─ questions ─► guard ─► Console ─► the code that does the work ─► answers
//
// A page of this origin may come in, with the token where the port is on an address that
// others reach. Nothing here changes the configuration, and what requests and answers say
// is shown in the bench only, and of what is stored as far as observability.capture allows
// it. What is stored can be deleted, which is logged. Every
// page asks the server; no page is told what it may not ask for.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"antwort/server/observe"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// Path is where the console is.
const Path = "/console"

// Options are what a console shows, and how.
type Options struct {
	Local    bool // the port is on a loopback address
	Version  string
	Config   func() *config.Config // in force
	Observer *observe.Observer
	Backends func() []byte // their state, as JSON
	Decider  func() *policy.Decider
	Limits   func() Limiter // of the configuration in force
	Store    Store          // of responses; nil: there is none
	Log      *slog.Logger
	Serve    func(*Trial, *http.Request) // answers a request of the bench
	Now      func() time.Time
}

// Console is the console of one process. It is safe for concurrent use.
type Console struct {
	opt     Options
	started time.Time
	mux     http.ServeMux
	samples samples
	feed    feed
	trials  chan struct{} // that are on their way
	reads   chan struct{} // of texts, that are on their way
	used    used
}

// page are the files of the page.
//
//go:embed page
var page embed.FS

// New makes a console. Run must be called for it to have samples.
func New(opt Options) *Console {
	c := &Console{opt: opt, started: opt.Now(), trials: make(chan struct{}, maxTrials), reads: make(chan struct{}, maxReads)}
	c.file("GET "+Path, "index.html", "text/html; charset=utf-8")
	c.mux.Handle("GET "+Path+"/{$}", http.RedirectHandler(Path, http.StatusMovedPermanently))
	files, err := fs.ReadDir(page, "page")
	if err != nil {
		panic(err) // they are in the program
	}
	for _, f := range files {
		kind := "text/javascript; charset=utf-8"
		switch name := f.Name(); name[len(name)-3:] {
		case "css":
			kind = "text/css; charset=utf-8"
		case "svg":
			kind = "image/svg+xml"
		case "tml":
			continue
		}
		c.file("GET "+Path+"/"+f.Name(), f.Name(), kind)
	}
	c.api("GET", "about", c.about)
	c.api("GET", "feed", c.follow)
	c.api("GET", "routes", c.routes)
	c.api("POST", "decide", c.decide)
	c.api("GET", "callers", c.callers)
	c.api("POST", "trial", c.trial)
	c.api("POST", "explain", c.explain)
	c.api("GET", "limits", c.limits)
	c.api("GET", "owners", c.owners)
	c.api("POST", "threads", c.stored(c.threads))
	c.api("POST", "turns", c.stored(c.turns))
	c.api("POST", "items", c.stored(c.items))
	c.api("POST", "remove", c.stored(c.remove))
	return c
}

// file serves a file of the page. There is nothing in it that is anybody's: it is for
// whoever can connect.
func (c *Console) file(pattern, name, kind string) {
	text, err := page.ReadFile("page/" + name)
	if err != nil {
		panic(err) // it is in the program
	}
	c.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
	})
}

// api answers a question of the page, once it is known to be one.
func (c *Console) api(method, name string, answer http.HandlerFunc) {
	c.mux.HandleFunc(method+" "+Path+"/api/"+name, func(w http.ResponseWriter, r *http.Request) {
		if c.admits(w, r) {
			answer(w, r)
		}
	})
}

// ServeHTTP answers what is asked at Path and below it.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dress(w.Header())
	c.mux.ServeHTTP(w, r)
}

// Run takes samples, and feeds the pages, until ctx ends.
func (c *Console) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	defer c.feed.close()
	c.sample()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if n%every == 0 {
			c.sample()
		}
		if c.feed.watched() {
			c.tell()
		}
	}
}

// about is what the page begins with.
func (c *Console) about(w http.ResponseWriter, _ *http.Request) {
	cfg := c.opt.Config()
	c.answer(w, map[string]any{
		"version":  c.opt.Version,
		"provider": cfg.Engine.Provider,
		"started":  c.started.UnixMilli(),
	})
}

// answer answers with a value as JSON.
func (c *Console) answer(w http.ResponseWriter, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		fail(w, http.StatusInternalServerError, "this cannot be shown")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n'))
}

// maxQuestion bounds the body of a question, in bytes.
const maxQuestion = 4 << 20

// question reads the body of a question. It is false when that was refused.
func (c *Console) question(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxQuestion))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "the question is not the JSON that was expected")
		return false
	}
	return true
}
