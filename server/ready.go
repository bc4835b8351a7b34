package server

import (
	"context"
	"net/http"
	"slices"
	"time"

	"antwort/server/buffer"
	"antwort/server/upstream"

	"github.com/valyala/fastjson"
)

func (x *exchange) health() { x.text(http.StatusOK, "ok\n") }

// readiness is about this server, not the upstream's present state: later
// outages, the issuer's too, are told to each request, and must not take all
// pods away at once.
func (g *generation) readiness() (status int, text string) {
	switch {
	case g.draining.Load():
		return http.StatusServiceUnavailable, "shutting down\n"
	case !g.contacted.Load():
		return http.StatusServiceUnavailable, "waiting for the first contact with the upstream\n"
	case g.tokens != nil && !g.tokens.HadKeys():
		return http.StatusServiceUnavailable, "waiting for the keys of the tokens' issuer\n"
	}
	return http.StatusOK, "ok\n"
}

func (x *exchange) ready() { x.text(x.gen.readiness()) }

func (x *exchange) text(status int, body string) {
	x.header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.begin(status)
	x.write([]byte(body))
}

// contactDelay is the longest wait between two tries to reach the upstream.
const contactDelay = 5 * time.Second

// contact asks every backend for its models until it answers: anything but a
// failure of its own is a contact. One answer of any of them makes the server
// ready: a route whose backends are away must not take the others out of
// service, each request is told. It ends with the configuration.
func (g *generation) contact(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(g.retired, cancel)
	for _, p := range g.pools {
		for _, b := range p.backends {
			go g.contactBackend(ctx, p, b)
		}
	}
}

func (g *generation) contactBackend(ctx context.Context, p *pool, b *backend) {
	log := g.log.With("route", p.Name, "backend", b.URL)
	for attempt := 1; ; attempt++ {
		problem := g.greet(ctx, b)
		if problem == "" {
			p.contacted.Store(true)
			if g.contacted.Swap(true) {
				log.Info("upstream answers")
			} else {
				log.Info("upstream answers: ready")
			}
			return
		}
		if ctx.Err() != nil {
			return
		}
		log.Warn("no contact with the upstream yet", "problem", problem, "attempt", attempt)
		if !sleep(ctx, backoff(100*time.Millisecond, contactDelay, attempt)) {
			return
		}
	}
}

// maxModels bounds the labels that a backend can cause.
const maxModels = 32

// greet returns what is wrong, "" when the backend answered.
func (g *generation) greet(ctx context.Context, b *backend) string {
	header := []byte("User-Agent: antwort\r\nAccept: application/json\r\n")
	if b.auth != "" {
		header = upstream.AppendField(header, "Authorization", b.auth)
	}
	ans, err := b.client.Do(ctx, &upstream.Request{Method: http.MethodGet, Target: "/v1/models", Header: header, Repeatable: true, HeaderTimeout: contactDelay})
	if err != nil {
		return err.Error()
	}
	defer ans.Close()
	if ans.Status >= 500 {
		return "status " + http.StatusText(ans.Status)
	}
	buf := buffer.Get()
	defer buf.Put()
	ans.SetReadDeadline(time.Now().Add(contactDelay))
	if readInto(buf, ans, buffer.Kept) != nil || ans.Status != http.StatusOK {
		return "" // there is someone
	}
	var p fastjson.Parser
	list, err := p.ParseBytes(buf.B)
	if err != nil {
		return ""
	}
	names := make(map[string]bool)
	for _, m := range list.GetArray("data") {
		if id := m.GetStringBytes("id"); len(id) > 0 && len(id) <= 256 && len(names) < maxModels {
			names[string(id)] = true
		}
	}
	b.models.Store(&names)
	return ""
}

// modelLabel is the model's name when it is one of few that are known.
func (x *exchange) modelLabel() string {
	if x.model == "" || x.backend == nil {
		return "other"
	}
	names := x.backend.models.Load()
	if x.model == x.gen.cfg.Engine.DefaultModel || names != nil && (*names)[x.model] || slices.Contains(x.pool.Match.Models, x.model) {
		return x.model
	}
	return "other"
}
