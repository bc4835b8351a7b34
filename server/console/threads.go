package console

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/policy"
)

// Bounds of the view of what is stored.
const (
	maxOwners  = 20 // that are listed
	threadPage = 25
	turnPage   = 10
	itemPage   = 25
	itemBytes  = 4 << 20 // of a page of items, but for the first one
	maxReads   = 2       // questions that read texts at a time
)

// Store is what the view of what is stored asks.
type Store interface {
	state.Threads
	Get(ctx context.Context, owner state.Owner, id string) (*state.Record, error)
	Delete(ctx context.Context, owner state.Owner, id string) error
	Items(ctx context.Context, owner state.Owner, id string, span state.Span) (items []state.Item, more bool, err error)

	// Known is what every owner had when somebody looked last.
	Known() map[state.Owner]state.Used
}

// owned is what an owner has, as the page has it.
type owned struct {
	Digest        string `json:"digest"`
	Tenant        string `json:"tenant,omitempty"` // of callers of the configuration
	Subject       string `json:"subject,omitempty"`
	Everybody     bool   `json:"everybody,omitempty"`
	Responses     int    `json:"responses"`
	Conversations int    `json:"conversations"`
	Bytes         int64  `json:"bytes"`

	owner state.Owner
}

// owners answers with whether there is a store, and who has the most in it.
func (c *Console) owners(w http.ResponseWriter, _ *http.Request) {
	cfg := c.opt.Config()
	answer := map[string]any{"type": cfg.StateType(), "auth": cfg.Auth.Type, "scope": cfg.State.Scope, "texts": cfg.Observability.Capture}
	if c.opt.Store != nil {
		all := []owned{}
		for owner, u := range c.opt.Store.Known() {
			all = append(all, owned{Responses: u.Responses, Conversations: u.Conversations, Bytes: u.Bytes, owner: owner})
		}
		slices.SortFunc(all, func(a, b owned) int {
			if a.Bytes != b.Bytes {
				return int(min(max(b.Bytes-a.Bytes, -1), 1))
			}
			return slices.Compare(a.owner[:], b.owner[:])
		})
		answer["all"] = len(all)
		all = all[:min(maxOwners, len(all))]
		named(cfg, all)
		answer["owners"] = all
	}
	c.answer(w, answer)
}

// named says who owners are, as far as the configuration knows them: they are digests.
func named(cfg *config.Config, all []owned) {
	for i := range all {
		all[i].Digest = hex.EncodeToString(all[i].owner[:])
		all[i].Everybody = cfg.Auth.Type == config.NoAuth && all[i].owner == policy.Owner(cfg, nil)
	}
	for i := range cfg.Auth.APIKeys {
		caller := policy.IdentityOf(&cfg.Auth.APIKeys[i])
		at := slices.IndexFunc(all, func(o owned) bool { return o.owner == policy.Owner(cfg, &caller) })
		if at < 0 {
			continue
		}
		if all[at].Tenant = caller.Tenant; caller.Tenant == "" || cfg.State.Scope == config.SubjectScope {
			all[at].Subject = caller.Subject
		}
	}
}

// place is where a page goes on, as the page has it.
type place struct {
	At int64  `json:"at"`
	ID string `json:"id"`
}

func (p place) of() state.Place {
	if p.ID == "" {
		return state.Place{}
	}
	return state.Place{Created: time.UnixMilli(p.At), ID: p.ID}
}

// stored is a question about what is stored.
type stored struct {
	Digest, Tenant, Subject string // whose
	Thread, Response        string
	After                   place
	Item                    string // after this one
}

// owner is who is meant, by what the configuration makes an owner.
func (q *stored) owner(cfg *config.Config) (owner state.Owner, problem string) {
	switch {
	case q.Digest != "":
		digest, err := hex.DecodeString(q.Digest)
		if err != nil || len(digest) != len(owner) {
			return owner, "that is no owner's digest"
		}
		return state.Owner(digest), ""
	case cfg.Auth.Type == config.NoAuth:
		return policy.Owner(cfg, nil), ""
	case cfg.State.Scope == config.SubjectScope && q.Subject == "":
		return owner, "state.scope is subject: say the subject, and the tenant where the caller has one"
	case cfg.State.Scope == config.TenantScope && q.Tenant != "" && q.Subject != "":
		return owner, "state.scope is tenant: all that its subjects have is the tenant's, so say the tenant alone"
	case q.Tenant+q.Subject == "":
		return owner, "say whose: a tenant, or the subject of a caller without one"
	}
	return policy.Owner(cfg, policy.NewIdentity(q.Subject, q.Tenant, "", nil)), ""
}

// stored answers a question about what is stored, a few at a time and within a time.
func (c *Console) stored(answer func(ctx context.Context, w http.ResponseWriter, owner state.Owner, q *stored, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var q stored
		if c.opt.Store == nil {
			fail(w, http.StatusNotFound, "nothing is stored: state.type is none")
			return
		}
		if !c.question(w, r, &q) {
			return
		}
		owner, problem := q.owner(c.opt.Config())
		if problem != "" {
			fail(w, http.StatusBadRequest, problem)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), askTime)
		defer cancel()
		select {
		case c.reads <- struct{}{}:
			defer func() { <-c.reads }()
		case <-ctx.Done():
			fail(w, http.StatusServiceUnavailable, "others are reading: try again")
			return
		}
		switch err := answer(ctx, w, owner, &q, r); {
		case err == nil:
		case errors.Is(err, state.ErrNotFound), errors.Is(err, state.ErrNoItem):
			fail(w, http.StatusNotFound, "that is not there, or not any more")
		case errors.Is(err, state.ErrUnreadable):
			fail(w, http.StatusConflict, "it is sealed with a key of state.keys that is gone")
		default:
			c.opt.Log.Warn("the console could not ask the store of responses", "problem", err.Error())
			fail(w, http.StatusServiceUnavailable, "the store of responses cannot be asked: the log says why")
		}
	}
}

// thread is a thread as the page has it.
type thread struct {
	ID           string `json:"id"`
	At           int64  `json:"at"`
	Conversation bool   `json:"conversation"`
	Expires      int64  `json:"expires,omitempty"` // 0: never
	Responses    int    `json:"responses"`
	Bytes        int64  `json:"bytes"`
}

// threads answers with a page of an owner's threads.
func (c *Console) threads(ctx context.Context, w http.ResponseWriter, owner state.Owner, q *stored, _ *http.Request) error {
	found, more, err := c.opt.Store.Threads(ctx, owner, q.After.of(), threadPage)
	if err != nil {
		return err
	}
	all := make([]thread, len(found))
	for i, t := range found {
		all[i] = thread{ID: t.ID, At: t.Created.UnixMilli(), Conversation: t.Conversation, Responses: t.Responses, Bytes: t.Bytes}
		if !t.Expires.IsZero() {
			all[i].Expires = t.Expires.UnixMilli()
		}
	}
	c.answer(w, map[string]any{"threads": all, "more": more, "owner": hex.EncodeToString(owner[:])})
	return nil
}

// turn is a response as the page has it. Its texts are shown where the configuration
// allows it, so far as it does.
type turn struct {
	ID          string `json:"id"`
	At          int64  `json:"at"`
	Parent      string `json:"parent,omitempty"`
	Status      string `json:"status,omitempty"`
	Background  bool   `json:"background,omitempty"`
	Unreadable  bool   `json:"unreadable,omitempty"`
	Model       string `json:"model,omitempty"`
	InputTokens int64  `json:"input_tokens"`
	Tokens      int64  `json:"output_tokens"`
	InputBytes  int    `json:"input_bytes"`
	OutputBytes int    `json:"output_bytes"`
	Input       string `json:"input,omitempty"`
	Output      string `json:"output,omitempty"`
}

// turns answers with a page of a thread's responses.
func (c *Console) turns(ctx context.Context, w http.ResponseWriter, owner state.Owner, q *stored, _ *http.Request) error {
	places, more, err := c.opt.Store.Responses(ctx, owner, q.Thread, q.After.of(), turnPage)
	if err != nil {
		return err
	}
	all := []turn{}
	for _, p := range places {
		r, err := c.opt.Store.Get(ctx, owner, p.ID)
		switch {
		case errors.Is(err, state.ErrNotFound):
			continue
		case errors.Is(err, state.ErrUnreadable):
			all = append(all, turn{ID: p.ID, At: p.Created.UnixMilli(), Unreadable: true})
			continue
		case err != nil:
			return err
		}
		all = append(all, c.turn(r))
	}
	c.answer(w, map[string]any{"turns": all, "more": more})
	return nil
}

// statuses are how a response ended, as it says it.
var statuses = [...]string{state.Queued: "queued", state.InProgress: "in_progress", state.Completed: "completed", state.Incomplete: "incomplete", state.Cancelled: "cancelled", state.Failed: "failed"}

func (c *Console) turn(r *state.Record) turn {
	t := turn{ID: r.ID, At: r.Created.UnixMilli(), Parent: r.Parent, Background: r.Flags&state.Background != 0, InputBytes: len(r.Input), OutputBytes: len(r.Output)}
	if int(r.Status) < len(statuses) {
		t.Status = statuses[r.Status]
	}
	var said struct {
		Model string
		Usage struct {
			Input  int64 `json:"input_tokens"`
			Output int64 `json:"output_tokens"`
		}
	}
	shell := state.Record{Shell: r.Shell, Cut: r.Cut, Output: []byte("[]")}
	if json.Unmarshal(shell.AppendResource(nil), &said) == nil {
		t.Model, t.InputTokens, t.Tokens = policy.Clip(said.Model, 128), said.Usage.Input, said.Usage.Output
	}
	t.Input, t.Output = c.shown(r.Input), c.shown(r.Output)
	return t
}

// shown is what may be shown of a text.
func (c *Console) shown(stored []byte) string {
	most := int(c.opt.Config().Observability.Capture)
	if len(stored) <= most {
		return text(stored)
	}
	for most > 0 && !utf8.RuneStart(stored[most]) {
		most--
	}
	return text(stored[:most])
}

// item is an item of a conversation as the page has it.
type item struct {
	ID    string `json:"id"`
	Type  string `json:"type,omitempty"`
	Role  string `json:"role,omitempty"`
	Bytes int    `json:"bytes"`
	Text  string `json:"text,omitempty"`
}

// items answers with a page of a conversation's items.
func (c *Console) items(ctx context.Context, w http.ResponseWriter, owner state.Owner, q *stored, _ *http.Request) error {
	found, more, err := c.opt.Store.Items(ctx, owner, q.Thread, state.Span{After: q.Item, Limit: itemPage, Bytes: itemBytes, Ascending: true})
	if err != nil {
		return err
	}
	all := make([]item, len(found))
	for i, f := range found {
		var said struct{ Type, Role string }
		_ = json.Unmarshal(f.Data, &said) // what is none has neither
		all[i] = item{ID: f.ID, Type: policy.Clip(said.Type, 64), Role: policy.Clip(said.Role, 64), Bytes: len(f.Data), Text: c.shown(f.Data)}
	}
	c.answer(w, map[string]any{"items": all, "more": more})
	return nil
}

// remove removes a response, or a thread as a whole, and logs it.
func (c *Console) remove(ctx context.Context, w http.ResponseWriter, owner state.Owner, q *stored, r *http.Request) error {
	what, id, do := "thread", q.Thread, c.opt.Store.DeleteThread
	if q.Response != "" {
		what, id, do = "response", q.Response, c.opt.Store.Delete
	}
	if !state.IsID(id) {
		return state.ErrNotFound
	}
	err := do(ctx, owner, id)
	log := c.opt.Log.With("what", what, "id", id, "owner", hex.EncodeToString(owner[:]), "client", r.RemoteAddr)
	if err != nil {
		log.Warn("somebody could not delete what is stored, from the console", "problem", err.Error())
		return err
	}
	log.Warn("somebody has deleted what was stored, from the console")
	c.answer(w, map[string]any{"deleted": id})
	return nil
}
