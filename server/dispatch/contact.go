package dispatch

import (
	"context"
	"net/http"
	"time"

	"antwort/server/buffer"
	"antwort/server/upstream"
	"antwort/shared/policy"

	"github.com/valyala/fastjson"
)

// contactDelay is the longest wait between two tries to reach a backend.
const contactDelay = 5 * time.Second

// Contact asks every backend for its models until it answers, or ctx ends:
// anything but a failure of its own is a contact. It returns at once. One answer of
// any of them is enough for Contacted: a route whose backends are away must not
// take the others out of service, each request is told.
func (ps *Pools) Contact(ctx context.Context) {
	for _, p := range ps.all {
		for _, b := range p.backends {
			go p.contact(ctx, b)
		}
	}
}

func (p *Pool) contact(ctx context.Context, b *Backend) {
	log := p.from.log.With("route", p.Name, "backend", b.URL)
	for attempt := 1; ; attempt++ {
		problem := b.greet(ctx, p.from.hop)
		if problem == "" {
			p.contacted.Store(true)
			if p.from.contacted.Swap(true) {
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
func (b *Backend) greet(ctx context.Context, hop string) string {
	header := upstream.AppendField([]byte("User-Agent: antwort\r\nAccept: application/json\r\n"), policy.HopField, hop)
	if b.Authorization != "" {
		header = upstream.AppendField(header, "Authorization", b.Authorization)
	}
	ans, err := b.client.Do(ctx, &upstream.Request{Method: http.MethodGet, Target: "/v1/models", Header: header, Repeatable: true, HeaderTimeout: contactDelay})
	if err != nil {
		return err.Error()
	}
	defer ans.Close()
	if ans.Status == http.StatusLoopDetected {
		return "the backend's address leads back here"
	}
	if ans.Status >= 500 {
		return "status " + http.StatusText(ans.Status)
	}
	if ans.Status == http.StatusOK {
		b.learnModels(ans)
	}
	return "" // there is someone
}

// learnModels reads the names of the models that the backend lists, when they are
// few bytes.
func (b *Backend) learnModels(ans *upstream.Answer) {
	buf := buffer.Get()
	defer buf.Put()
	ans.SetReadDeadline(time.Now().Add(contactDelay))
	if err := buf.ReadAll(ans, buffer.Kept); err != nil {
		return
	}
	var p fastjson.Parser
	list, err := p.ParseBytes(buf.B)
	if err != nil {
		return
	}
	names := make(map[string]bool)
	for _, m := range list.GetArray("data") {
		if id := m.GetStringBytes("id"); len(id) > 0 && len(id) <= 256 && len(names) < maxModels {
			names[string(id)] = true
		}
	}
	b.models.Store(&names)
}
