package turns

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"antwort/server/state"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// A Sender is who has sent a request for a conversation, beside the question.
type Sender struct {
	ID   string // the random part of new ids
	Unix int64
	// Body reads the body, as JSON that responses.Check has passed; nil without one.
	Body func() ([]byte, *failure.Failure)
	// Check refuses items and metadata that a request for a response could not have.
	Check func(items, metadata []byte) *failure.Failure
}

// mostItems is how many items come at once, as at OpenAI.
const mostItems = 20

// asking is a question about a conversation.
type asking struct {
	*Turns
	came  context.Context // the request's
	ctx   context.Context // of what is asked of the store
	end   context.CancelFunc
	q     *Question
	from  *Sender
	owner state.Owner
	wire  string // the conversation's id, as it was asked for
	id    string
	item  string // the item's; "": none
}

// AnswerConversation returns the body of the answer to a question about conversations.
func (t *Turns) AnswerConversation(ctx context.Context, q *Question, from *Sender) ([]byte, *failure.Failure) {
	query, err := url.ParseQuery(q.Query)
	if err != nil {
		return nil, failure.Of(failure.InvalidRequest, responses.NewError(http.StatusBadRequest, "invalid_query", "the query is none"))
	}
	if _, f := includes(query); f != nil {
		return nil, f
	}
	a := asking{Turns: t, came: ctx, end: func() {}, q: q, from: from, owner: state.Owner(policy.Owner(t.cfg, q.Caller))}
	a.begin()
	defer func() { a.end() }()
	if q.Endpoint == policy.Conversations {
		return a.create()
	}
	a.wire, a.item, _ = strings.Cut(strings.TrimPrefix(q.Path, policy.Conversations.Name+"/"), "/items/")
	a.wire = strings.TrimSuffix(a.wire, "/items")
	var ok bool
	if a.id, ok = state.ConversationIDOf(a.wire); !ok {
		return nil, conversationMissing(a.wire, "")
	}
	switch q.Endpoint {
	case policy.ConversationItem:
		return a.oneItem()
	case policy.ConversationItems:
		if q.Method == http.MethodPost {
			return a.add()
		}
		return a.list(query)
	}
	switch q.Method {
	case http.MethodPost:
		return a.update()
	case http.MethodDelete:
		if err := t.store.DeleteConversation(a.ctx, a.owner, a.id); err != nil {
			return nil, a.failed(err)
		}
		return []byte(`{"id":"` + a.wire + `","object":"conversation.deleted","deleted":true}`), nil
	}
	return a.show(t.store.GetConversation(a.ctx, a.owner, a.id))
}

// begin gives the store its time anew: a body may come slowly.
func (a *asking) begin() {
	a.end()
	a.ctx, a.end = context.WithTimeout(a.came, a.cfg.State.CommitTimeout)
}

// show is a conversation as it is told.
func (a *asking) show(c *state.Conversation, err error) ([]byte, *failure.Failure) {
	if err != nil {
		return nil, a.failed(err)
	}
	body := append(make([]byte, 0, 128+len(c.Metadata)), `{"id":"conv_`...)
	body = append(body, c.ID...)
	body = append(body, `","object":"conversation","created_at":`...)
	body = strconv.AppendInt(body, c.Created.Unix(), 10)
	body = append(body, `,"metadata":`...)
	return append(append(body, c.Metadata...), '}'), nil
}

// failed is what is told of what the store does not give, or take.
func (a *asking) failed(err error) *failure.Failure {
	switch {
	case errors.Is(err, state.ErrNotFound):
		return conversationMissing(a.wire, "")
	case errors.Is(err, state.ErrNoItem):
		return failure.Of(failure.InvalidRequest, responses.NewError(http.StatusNotFound, "item_not_found",
			"Item with id '"+policy.Clip(a.item, 128)+"' not found in conversation '"+a.wire+"'."))
	case errors.Is(err, state.ErrLocked):
		return failure.Of(failure.InvalidRequest, conversationLocked())
	case errors.Is(err, state.ErrTooLarge):
		return failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large", "the conversation would be larger than the store may be"))
	case errors.Is(a.ctx.Err(), context.DeadlineExceeded):
		return unavailable().Because(err)
	}
	return a.broken(a.came, err)
}

// said is what a body says.
type said struct{ items, metadata []byte }

// read reads the body: a JSON object with items, metadata, or both.
func (a *asking) read(allowed ...string) (s said, f *failure.Failure) {
	body, f := a.from.Body()
	a.begin()
	if f != nil || len(body) == 0 {
		return s, f
	}
	var e *responses.Error
	if body = bytes.TrimSpace(body); body[0] != '{' {
		e = responses.NewError(http.StatusBadRequest, "invalid_json", "the request body must be a JSON object")
	}
	seen := map[string]bool{}
	jsontext.Members(body, func(name, value []byte, _ int) bool {
		field := string(jsontext.Decode(nil, name))
		isNull := string(value) == "null"
		switch {
		case seen[field]:
			e = badField(field, "duplicate_parameter", "is given more than once")
		case !isAllowed(field, allowed):
			e = badField(policy.Clip(field, 64), "unknown_parameter", "unknown parameter")
		case isNull:
		case field == "items" && value[0] != '[':
			e = badField(field, "invalid_type", "must be an array")
		case field == "items":
			s.items = value
		default:
			s.metadata = value
		}
		seen[field] = true
		return e == nil
	})
	if e != nil {
		return s, failure.Of(failure.InvalidRequest, e)
	}
	return s, a.check(&s)
}

func isAllowed(field string, allowed []string) bool {
	for _, name := range allowed {
		if name == field {
			return true
		}
	}
	return false
}

func badField(param, code, message string) *responses.Error {
	e := responses.Invalid(param, message)
	e.Code = code
	return e
}

// check refuses what a request for a response could not have either.
func (a *asking) check(s *said) *failure.Failure {
	n := 0
	jsontext.Elements(s.items, func([]byte) bool {
		n++
		return true
	})
	if n > mostItems {
		return failure.Of(failure.InvalidRequest, badField("items", "array_above_max_length", "has "+strconv.Itoa(n)+" items, the limit is "+strconv.Itoa(mostItems)))
	}
	if n == 0 {
		s.items = nil
	}
	if f := a.roomFor(a.ctx, a.owner, len(s.items)); f != nil {
		return f
	}
	if !a.q.Memory.Hold(copies * len(s.items)) {
		return a.q.Memory.Refusal()
	}
	return a.from.Check(s.items, s.metadata)
}

// batch are the items as they are kept, whose ids name the conversation; first makes
// them others than those of an earlier one.
func (a *asking) batch(items []byte, first int) state.Batch {
	b := state.Batch{ID: a.from.ID, TTL: a.cfg.State.ConversationTTL}
	if items == nil {
		return b
	}
	history.Each(history.KeepApart(make([]byte, 0, len(items)+len(items)/8), items, a.id, first), false, func(id string, raw []byte) {
		b.Items = append(b.Items, state.Item{ID: id, Data: raw})
	})
	return b
}

// create answers POST /v1/conversations.
func (a *asking) create() ([]byte, *failure.Failure) {
	s, f := a.read("items", "metadata")
	if f != nil {
		return nil, f
	}
	a.id = a.from.ID
	c := &state.Conversation{ID: a.id, Owner: a.owner, Created: time.Unix(a.from.Unix, 0), Metadata: metadataOf(s.metadata)}
	return a.show(c, a.store.CreateConversation(a.ctx, c, a.batch(s.items, 0)))
}

// metadataOf is what is kept of metadata.
func metadataOf(given []byte) []byte {
	if given == nil {
		return []byte("{}")
	}
	return bytes.Clone(given)
}

// update answers POST /v1/conversations/{id}.
func (a *asking) update() ([]byte, *failure.Failure) {
	if _, err := a.store.GetConversation(a.ctx, a.owner, a.id); err != nil {
		return nil, a.failed(err)
	}
	s, f := a.read("metadata")
	if f != nil {
		return nil, f
	}
	return a.show(a.store.SetMetadata(a.ctx, a.owner, a.id, metadataOf(s.metadata)))
}

// add answers POST /v1/conversations/{id}/items with the items that it has added.
func (a *asking) add() ([]byte, *failure.Failure) {
	if _, err := a.store.GetConversation(a.ctx, a.owner, a.id); err != nil {
		return nil, a.failed(err)
	}
	s, f := a.read("items")
	if f != nil {
		return nil, f
	}
	b := a.batch(s.items, laterItem())
	var twice *state.DuplicateError
	err := a.store.AddItems(a.ctx, a.owner, a.id, b)
	switch {
	case errors.As(err, &twice):
		at := 0
		for i := range b.Items {
			if b.Items[i].ID == twice.ID {
				at = i
			}
		}
		return nil, failure.Of(failure.InvalidRequest, badField(responses.At("items", at), "duplicate_item",
			"Duplicate item found with id "+twice.ID+". The conversation has it already: leave it out, or send it without its id."))
	case err != nil:
		return nil, a.failed(err)
	}
	items := make([][]byte, len(b.Items))
	for i := range b.Items {
		items[i] = b.Items[i].Data
	}
	return history.AppendList(nil, items, false, true), nil
}

// laterItem is the number of the first of items that come later: such that nobody else
// has it.
func laterItem() int {
	var random [8]byte
	_, _ = rand.Read(random[:])                               // never fails, says its documentation
	return int(binary.BigEndian.Uint64(random[:])>>15+4) << 5 // 54 bits, and room for 32 items
}

// list answers GET /v1/conversations/{id}/items.
func (a *asking) list(query url.Values) ([]byte, *failure.Failure) {
	p, e := pageOf(query)
	if e != nil {
		return nil, failure.Of(failure.InvalidRequest, e)
	}
	items, more, err := a.store.Items(a.ctx, a.owner, a.id, state.Span{
		After: p.After, Limit: p.Limit, Ascending: p.Ascending, Bytes: a.cfg.State.MaxContextBytes,
	})
	switch {
	case errors.Is(err, state.ErrNoItem):
		return nil, failure.Of(failure.InvalidRequest, badField("after", "invalid_value", "is the id of no item of this conversation"))
	case err != nil:
		return nil, a.failed(err)
	}
	size, all := 0, make([][]byte, len(items))
	for i := range items {
		all[i] = items[i].Data
		size += len(items[i].Data)
	}
	if !a.q.Memory.Hold(2 * size) { // the items, and the answer until it is sent
		return nil, a.q.Memory.Refusal()
	}
	return history.AppendList(make([]byte, 0, size+size/4+128), all, more, true), nil
}

// oneItem answers GET and DELETE of one item.
func (a *asking) oneItem() ([]byte, *failure.Failure) {
	if a.q.Method == http.MethodDelete {
		return a.show(a.store.DeleteItem(a.ctx, a.owner, a.id, a.item))
	}
	item, err := a.store.Item(a.ctx, a.owner, a.id, a.item)
	if err != nil {
		return nil, a.failed(err)
	}
	if !a.q.Memory.Hold(2 * len(item)) {
		return nil, a.q.Memory.Refusal()
	}
	return history.AppendItem(nil, item, true), nil
}
