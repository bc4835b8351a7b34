package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"antwort/server/explain"
	"antwort/server/observe"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/streamcheck"
)

// Bounds of the bench.
const (
	maxTrials = 4        // at a time
	maxShown  = 16 << 20 // bytes that are shown of one
)

// Trial is a request that the bench sends, and what is seen of it. The server calls its
// methods as the request goes on its way, and nobody looks at it otherwise.
//
//	Caller ─► Upstream ─► Chunk … ─► (the answer, to Write) ─► Ended
type Trial struct {
	start  time.Time
	caller *policy.Identity
	cancel context.CancelFunc

	mu     sync.Mutex
	out    http.ResponseWriter
	flush  *http.ResponseController
	room   int  // bytes that may be shown still
	gone   bool // nobody looks any more
	header http.Header
	status int
	check  *streamcheck.Checker // of a streamed answer
	ended  outcome
}

// Caller is as whom the request is sent.
func (t *Trial) Caller() *policy.Identity { return t.caller }

// Upstream shows the body that goes to the backend, before a backend of the route gives
// the model another name.
func (t *Trial) Upstream(target string, body []byte) {
	t.show("upstream", map[string]any{"target": target, "body": string(body)}, len(body))
}

// Chunk shows bytes of the backend's answer.
func (t *Trial) Chunk(p []byte) {
	if len(p) > 0 {
		t.show("chunk", map[string]any{"text": text(p)}, len(p))
	}
}

// outcome is how a trial has ended.
type outcome struct {
	Failure string  `json:"failure,omitempty"`
	Limit   string  `json:"limit,omitempty"`
	Route   string  `json:"route,omitempty"`
	Backend string  `json:"backend,omitempty"`
	Model   string  `json:"model,omitempty"`
	Retries int     `json:"retries"`
	First   float64 `json:"first,omitempty"` // event, in seconds
	Input   int64   `json:"input"`
	Output  int64   `json:"output"`
	Counted bool    `json:"counted"` // the tokens are
	Dropped string  `json:"dropped,omitempty"`
}

// Ended notes the record of the exchange.
func (t *Trial) Ended(r *observe.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = outcome{
		Limit: r.Limit, Route: r.Route, Backend: r.Backend, Model: r.Model, Retries: r.Retries, First: r.FirstEvent.Seconds(),
		Input: r.Outcome.Usage.Input, Output: r.Outcome.Usage.Output, Counted: r.Outcome.HasUsage, Dropped: r.DroppedTools,
	}
	if r.Failure != failure.None {
		t.ended.Failure = r.Failure.String()
	}
}

// show tells the page what is there now, and ends the trial of a page that has gone: then
// it is false.
func (t *Trial) show(name string, what map[string]any, size int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone || t.room <= 0 {
		return !t.gone
	}
	if t.room -= size; t.room <= 0 {
		what = map[string]any{"cut": true}
	}
	what["ms"] = float64(time.Since(t.start).Microseconds()) / 1000
	_ = t.flush.SetWriteDeadline(time.Now().Add(patience))
	_, err := t.out.Write(event(name, what))
	if err == nil {
		err = t.flush.Flush()
	}
	if err != nil {
		t.gone = true
		t.cancel()
	}
	return !t.gone
}

// The answer comes as to any client.

// Header is for net/http.
func (t *Trial) Header() http.Header { return t.header }

// WriteHeader shows the answer's header.
func (t *Trial) WriteHeader(status int) {
	if t.status != 0 {
		return
	}
	t.status = status
	if strings.HasPrefix(t.header.Get("Content-Type"), "text/event-stream") {
		t.check = new(streamcheck.Checker)
	}
	t.show("head", map[string]any{"status": status, "header": t.header}, 0)
}

// Write shows a piece of the answer.
func (t *Trial) Write(p []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	if t.check != nil {
		_, _ = t.check.Write(p)
	}
	if !t.show("answer", map[string]any{"text": text(p)}, len(p)) {
		return 0, errLeft
	}
	return len(p), nil
}

// Flush has nothing to do: every piece is shown at once.
func (t *Trial) Flush() {}

var errLeft = errors.New("nobody looks any more")

// text is what a page can be shown of bytes.
func text(p []byte) string {
	if utf8.Valid(p) {
		return string(p)
	}
	return string(bytes.ToValidUTF8(p, []byte("\uFFFD")))
}

// asking is what the bench is asked: a request, and as whom it comes.
type asking struct {
	Body    string
	As      caller
	Headers [][2]string
}

// asked reads a question of the bench, one of a few at a time. done ends it; it is nil
// when the question was refused.
func (c *Console) asked(w http.ResponseWriter, r *http.Request) (q *asking, as *policy.Identity, done func()) {
	select {
	case c.trials <- struct{}{}:
	default:
		fail(w, http.StatusServiceUnavailable, "the bench has as many requests on their way as it may: wait for one to end")
		return nil, nil, nil
	}
	done = func() { <-c.trials }
	q = new(asking)
	if !c.question(w, r, q) {
		done()
		return nil, nil, nil
	}
	as, problem := q.As.identity(c.opt.Config())
	for _, h := range q.Headers {
		if !isField(h[0], h[1]) {
			problem = "no header can have the field " + strconv.Quote(h[0]) + " with this value"
		}
	}
	if problem != "" {
		fail(w, http.StatusBadRequest, problem)
		done()
		return nil, nil, nil
	}
	return q, as, done
}

// isField reports whether a message can have such a field (RFC 9110 section 5): nobody
// else has looked at those of the bench.
func isField(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}

// trial sends a request of the bench, and shows what becomes of it until its end.
func (c *Console) trial(w http.ResponseWriter, r *http.Request) {
	q, as, done := c.asked(w, r)
	if done == nil {
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	header := http.Header{"Content-Type": {"application/json"}}
	for _, h := range q.Headers {
		header.Add(h[0], h[1])
	}
	w.Header().Set("Content-Type", "text/event-stream")
	t := &Trial{start: time.Now(), caller: as, cancel: cancel, out: w, flush: http.NewResponseController(w), room: maxShown, header: http.Header{}}
	c.opt.Serve(t, (&http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: policy.Create.Name}, RequestURI: policy.Create.Name, Host: r.Host, RemoteAddr: r.RemoteAddr,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: header, Body: readCloser{strings.NewReader(q.Body)}, ContentLength: int64(len(q.Body)),
	}).WithContext(ctx))
	t.end()
}

// explain answers with what becomes of a request, field by field, by the translation
// itself. Nothing is sent.
func (c *Console) explain(w http.ResponseWriter, r *http.Request) {
	q, as, done := c.asked(w, r)
	if done == nil {
		return
	}
	defer done()
	c.answer(w, explain.Request(&explain.Question{
		Config: c.opt.Config(), Caller: as, Body: []byte(q.Body), Field: valuesIn(q.Headers),
	}))
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// problem is one breach of the rules of streams.
type problem struct {
	Event int    `json:"event"`
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// end shows how it has ended, and the validator's verdict.
func (t *Trial) end() {
	t.room = max(t.room, 1)
	end := map[string]any{"status": t.status, "outcome": t.ended}
	if t.check != nil {
		found := []problem{}
		for _, p := range t.check.Close() {
			found = append(found, problem{p.Event, p.Rule, p.Text})
		}
		end["verdict"] = map[string]any{"events": t.check.Count(""), "items": t.check.Items(), "problems": found}
	}
	t.show("end", end, 0)
}

// caller is as whom the bench sends: one of the callers of the configuration by its
// place, or whoever else could come.
type caller struct {
	Key             *int // of auth.api_keys
	Subject, Tenant string
}

func (a *caller) identity(cfg *config.Config) (*policy.Identity, string) {
	switch {
	case cfg.Auth.Type == config.NoAuth:
		return nil, ""
	case a.Key != nil:
		if *a.Key < 0 || *a.Key >= len(cfg.Auth.APIKeys) {
			return nil, "there is no such caller any more"
		}
		k := &cfg.Auth.APIKeys[*a.Key]
		known := policy.IdentityOf(k)
		return &known, ""
	case a.Subject == "":
		return nil, "say as whom: the subject is missing"
	}
	return policy.NewIdentity(a.Subject, a.Tenant, "", nil), ""
}

// callers answers with as whom the bench may send, and at which port others do; 0: any
// free one. No key is among it.
func (c *Console) callers(w http.ResponseWriter, _ *http.Request) {
	type known struct {
		Subject  string   `json:"subject"`
		Tenant   string   `json:"tenant"`
		Models   []string `json:"models"`
		Delegate bool     `json:"delegate"`
	}
	cfg := c.opt.Config()
	all := []known{}
	for i := range cfg.Auth.APIKeys {
		k := &cfg.Auth.APIKeys[i]
		all = append(all, known{k.Subject, k.Tenant, k.Models, k.Delegate})
	}
	models := []string{}
	if m := cfg.Engine.DefaultModel; m != "" {
		models = append(models, m)
	}
	c.answer(w, map[string]any{"auth": cfg.Auth.Type, "callers": all, "models": models, "port": cfg.Server.Port, "tls": cfg.Server.TLS.On()})
}

func bodyFor(model string) ([]byte, error) {
	body := map[string]string{"input": ""}
	if model != "" {
		body["model"] = model
	}
	return json.Marshal(body)
}
