package turns

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"

	"antwort/server/state"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// A Task is what is to be done for a job, in whichever process: the request as it
// came, and what else its answer depends on. No credential is in it.
type Task struct {
	RequestID string
	Caller    *Caller             // nil: nobody was asked
	Fields    map[string][]string // of the header: those that decide on the way, and those that go on
	Body      []byte              `json:"-"`
}

// Caller is who has called.
type Caller struct {
	Subject, Tenant string
	Key             string   // its name
	Models          []string // patterns of those that may be used; none: all
}

// Identity is the caller for decisions.
func (t *Task) Identity() *policy.Identity {
	if t.Caller == nil {
		return nil
	}
	return policy.NewIdentity(t.Caller.Subject, t.Caller.Tenant, t.Caller.Key, t.Caller.Models)
}

// bytes is the task as it is stored: a line, and the body as it came.
func (t *Task) bytes() []byte {
	line, err := json.Marshal(t)
	if err != nil {
		panic(err) // there are only texts in it
	}
	return append(append(line, '\n'), t.Body...)
}

// ReadTask reads a task that was stored.
func ReadTask(stored []byte) (*Task, error) {
	line, body, found := bytes.Cut(stored, []byte("\n"))
	t := &Task{Body: body}
	if !found {
		return nil, errors.New("the task has no body")
	}
	return t, json.Unmarshal(line, t)
}

// ID is the random part of the id that a question is about.
func ID(q *Question) string {
	id, _ := state.IDOf(wireID(q.Path))
	return id
}

// Background reports whether nobody waits for the answer.
func (u *Turn) Background() bool { return u.Past != nil && u.Past.Background }

// background says that nobody waits for the answer of a request, which must be stored.
func (b *beginning) background(u *Turn, asked *history.Ask) *failure.Failure {
	if asked.Store == history.No {
		e := responses.NewError(http.StatusBadRequest, "invalid_value", "a response in the background is stored, to be asked for later: leave store out, or send background false")
		e.Param = "store"
		return failure.Of(failure.InvalidRequest, e)
	}
	u.Past.Background, u.Past.Stored, b.explicit, u.ToldStreamed = true, true, true, asked.Stream
	return nil
}

// Accept keeps the request for whoever works on it. queued is its response, and events
// are those that tell of it.
func (u *Turn) Accept(queued responses.Outcome, events []byte, task *Task) *failure.Failure {
	j := &state.Job{Record: *u.ended(queued), Request: task.bytes()}
	if j.Status, j.Flags = state.Queued, state.Background; u.ToldStreamed {
		j.Flags |= state.Streamed
		j.Events = state.Events{First: 0, Last: int64(bytes.Count(events, []byte("\n\n"))) - 1, Data: events}
	}
	if u.hold != nil { // which is the job's from now on
		u.hold.stop()
		j.Flags |= state.Conversed
		j.Joins = &state.Joins{Conversation: u.hold.conversation, Holder: u.hold.holder}
	}
	s := &u.turns.cfg.State
	ctx, cancel := context.WithTimeout(context.Background(), s.CommitTimeout)
	defer cancel()
	var missing *state.MissingError
	err := u.turns.store.Accept(ctx, j, s.Background.Queue)
	if u.hold != nil && (err == nil || !state.Final(err)) { // it may have been kept: else the lock lapses
		u.hold.freed()
	}
	switch {
	case err == nil:
		return nil
	case u.hold != nil && errors.Is(err, state.ErrNotFound):
		return conversationMissing("conv_"+u.hold.conversation, history.Conversation)
	case u.hold != nil && errors.Is(err, state.ErrLost):
		return failure.Of(failure.InvalidRequest, conversationLocked())
	case errors.Is(err, state.ErrQueueFull):
		e := responses.NewError(http.StatusTooManyRequests, "background_queue_full",
			"you have "+strconv.Itoa(s.Background.Queue)+" responses in the background that have not ended: wait for some, or cancel them")
		e.RetryAfter = "10"
		return failure.Of(failure.StateQuota, e)
	case errors.As(err, &missing):
		return failure.Of(failure.InvalidRequest, responses.NoPrevious("resp_"+missing.ID))
	case errors.Is(err, state.ErrTooLarge):
		return failure.Of(failure.TooLarge, responses.NewError(http.StatusRequestEntityTooLarge, "request_too_large", "the store has no room for the request"))
	}
	return unavailable().Because(err)
}

// Record is the record that a turn ends as.
func (u *Turn) Record(o responses.Outcome) *state.Record {
	r := u.ended(o)
	r.Flags, r.Replay = u.job.Flags, u.turns.cfg.State.Background.Replay
	if r.Flags&state.Conversed != 0 {
		r.Joins = &state.Joins{Conversation: u.job.Thread, Holder: r.ID, Items: itemsOf(r)}
	}
	return r
}

// LastWords is how a job ends that has no answer: status says how, and why it failed
// is e. Finished items of its log stay.
func (t *Turns) LastWords(r *state.Record, log []state.Events, status state.Status, e *responses.Error) (events []byte) {
	words, old := "cancelled", []byte(`,"status":"queued","completed_at":null,"error":null`)
	if status == state.Failed {
		words = "failed"
	}
	end := e.AppendResponseError([]byte(`,"status":"` + words + `","completed_at":null,"error":`))
	// It stands in front of all that the request has a say in.
	head := bytes.Replace(r.Shell[:r.Cut], old, end, 1)
	r.Shell, r.Cut = append(head[:len(head):len(head)], r.Shell[r.Cut:]...), len(head)
	r.Status, r.Output = status, doneItems(log)
	r.TTL, r.Replay = t.cfg.StateTTL(), t.cfg.State.Background.Replay
	if r.Flags&state.Conversed != 0 {
		r.TTL, r.Joins = t.cfg.State.ConversationTTL, &state.Joins{Conversation: r.Thread, Holder: r.ID}
	}
	if !r.Flags.Logs() {
		return nil
	}
	seq, name := int(state.Next(log)), "response.incomplete" // of the events that clients know, for one that was cancelled
	if status == state.Failed {
		events = responses.AppendErrorEvent(events, e, seq)
		seq, name = seq+1, "response.failed"
	}
	events = responses.AppendEventHead(events, name, seq)
	events = append(events, `,"response":`...)
	return append(r.AppendResource(events), "}\n\n"...)
}

// doneItems are the items that a log tells the end of, as a JSON array.
func doneItems(log []state.Events) []byte {
	items := []byte("[")
	for _, batch := range log {
		for event := range bytes.SplitSeq(batch.Data, []byte("\n\n")) {
			event, is := bytes.CutPrefix(event, []byte("event: response.output_item.done\n"))
			_, item, has := bytes.Cut(event, []byte(`,"item":`)) // before it there are numbers only
			if !is || !has {
				continue
			}
			if len(items) > 1 {
				items = append(items, ',')
			}
			items = append(items, bytes.TrimSuffix(item, []byte("}"))...)
		}
	}
	return append(items, ']')
}

// Failed is the failure of a request that a job was for, as its resource tells it.
func Failed(f *failure.Failure) *responses.Error {
	if f.Reply == nil {
		return policy.Internal()
	}
	return f.Reply
}

// Interrupted is what is told of a job that was left by who worked on it.
func Interrupted() *responses.Error {
	return responses.NewError(http.StatusInternalServerError, "server_error", "the work on the response was interrupted: send the request again")
}

// TookTooLong is what is told of a job that is worked on for too long.
func TookTooLong() *responses.Error {
	return responses.NewError(http.StatusGatewayTimeout, "server_error", "the work on the response took too long (state.background.max_time)")
}

// cancel ends a job, and returns the response as it stands then.
func (t *Turns) cancel(ctx context.Context, owner state.Owner, id string) (*state.Record, error) {
	return t.store.Cancel(ctx, owner, id, func(r *state.Record, log []state.Events) []byte {
		return t.LastWords(r, log, state.Cancelled, nil)
	})
}

// resource appends a response as it is told now: one that waits was stored as such,
// and is not written anew when somebody begins.
func resource(r *state.Record) []byte {
	body := r.AppendResource(make([]byte, 0, r.Bytes()-len(r.Input)+len("in_progress")))
	if r.Status == state.InProgress {
		body = bytes.Replace(body, []byte(`,"status":"queued",`), []byte(`,"status":"in_progress",`), 1)
	}
	return body
}

// A Replay is a question for the events of a response.
type Replay struct {
	Owner state.Owner
	ID    string
	After int64 // the number of the last event that the client has; -1: none
}

// Events asks for all events of a response in the background.
func (u *Turn) Events() *Replay { return &Replay{Owner: u.record.Owner, ID: u.record.ID, After: -1} }

// Replay reads what events a question asks for; nil when it asks for none.
func (t *Turns) Replay(ctx context.Context, q *Question) (*Replay, *failure.Failure) {
	query, err := url.ParseQuery(q.Query)
	if err != nil || q.Endpoint != policy.Stored || q.Method != http.MethodGet || query.Get("stream") != "true" {
		return nil, nil //nolint:nilnil // Answer says what is wrong
	}
	if _, f := includes(query); f != nil {
		return nil, f
	}
	r := &Replay{Owner: state.Owner(policy.Owner(t.cfg, q.Caller)), After: -1}
	if text := query.Get("starting_after"); text != "" {
		if r.After, err = strconv.ParseInt(text, 10, 32); err != nil || r.After < 0 {
			e := responses.Invalid("starting_after", "must be the sequence number of an event")
			e.Code = "invalid_value"
			return nil, failure.Of(failure.InvalidRequest, e)
		}
	}
	wire := wireID(q.Path)
	id, ok := state.IDOf(wire)
	if r.ID = id; !ok {
		return nil, notFound(wire)
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.State.CommitTimeout)
	defer cancel()
	log, err := t.store.Events(ctx, r.Owner, id, r.After)
	switch {
	case err != nil:
		return nil, t.failed(ctx, err, wire)
	case !log.Flags.Logs():
		return nil, failure.Of(failure.InvalidRequest, responses.NewError(http.StatusBadRequest, "stream_unavailable",
			"Only a response that was created with background and stream can be streamed again."))
	case log.Expired:
		return nil, failure.Of(failure.InvalidRequest, responses.NewError(http.StatusBadRequest, "stream_expired",
			"This response can no longer be streamed: its events were kept for "+t.cfg.State.Background.Replay.String()+" after its end. Get it without stream."))
	}
	return r, nil
}
