package server

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
	"antwort/server/compact"
	"antwort/server/ingress"
	"antwort/server/streaming"
	"antwort/server/turns"
	"antwort/shared/compaction"
	"antwort/shared/failure"
	"antwort/shared/history"
	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/translate"
)

// A conversation is summed up by the model that would have answered: because it is
// asked for (POST /v1/responses/compact, an item compaction_trigger), or because it has
// become longer than the request wants (context_management). All of it is done before
// anything is answered: a summary that fails is a request that fails.

// compacting is what a request has to do with compactions.
type compacting struct {
	ask     compaction.Ask
	past    []byte // the items that a store has put before the input
	expands compaction.Expansion
	memory  *translate.Memory // once it was summed up
	window  []byte            // likewise: the answer to POST /v1/responses/compact
	used    responses.Usage   // by all questions for the summary, also where it failed
}

// isAsked reports whether the answer is a compaction and nothing else.
func (x *exchange) isAsked() bool {
	return x.endpoint.Endpoint == policy.Compact || x.compacts != nil && x.compacts.ask.Triggers
}

// triggers reports whether the answer to a body is to be a compaction.
func triggers(body []byte) bool {
	if !compaction.Concerns(body) {
		return false
	}
	ask, err := compaction.ReadAsk(body)
	return err == nil && ask.Triggers
}

// readCompaction reads what the body says of compactions.
func (x *exchange) readCompaction(body []byte) *failure.Failure {
	if !x.gen.compacts || x.endpoint.Endpoint != policy.Compact && !compaction.Concerns(body) {
		return nil
	}
	ask, err := compaction.ReadAsk(body)
	if err != nil {
		return failure.Of(failure.InvalidRequest, err)
	}
	x.compacts = &compacting{ask: ask}
	return nil
}

// expand puts what compactions stand for in their place, and reports whether it has
// changed the turn.
func (x *exchange) expand(begun *turns.Turn) (changed bool, f *failure.Failure) {
	past := begun.History()
	if !x.gen.compacts || x.compacts == nil && !begun.Compacted {
		return false, nil
	}
	if !x.held.Hold(2 * (len(begun.Body) + len(past))) {
		return false, x.held.Refusal()
	}
	if f = x.prepareSealing(); f != nil {
		return false, f
	}
	ask, err := compaction.ReadAsk(begun.Body)
	if err != nil {
		return false, failure.Of(failure.InvalidRequest, err)
	}
	c := &compacting{ask: ask, past: past}
	field := history.Previous
	if begun.Past != nil && begun.Past.Conversation != "" {
		field = history.Conversation
	}
	if c.expands, err = ask.Expand(past, field, x.open); err != nil {
		return false, failure.Of(failure.InvalidRequest, err)
	}
	if x.compacts = c; begun.Past != nil {
		begun.Past.Items = c.expands.Past
	}
	begun.Body = c.expands.Body
	if ask.Triggers && begun.Background() {
		e := responses.NewError(http.StatusBadRequest, "unsupported_parameter", "a compaction is not made in the background: send background false")
		e.Param = "background"
		return true, failure.Of(failure.InvalidRequest, e)
	}
	return true, nil
}

// sumUp has the conversation summed up, if it is to be. chat has the request for the
// answer, which is made anew when a summary has taken the place of what was in it.
func (x *exchange) sumUp(d *policy.Decision, chat *buffer.Buffer, turn *translate.Turn, begun *turns.Turn) (*translate.Turn, *failure.Failure) {
	c := x.compacts
	if !x.isAsked() {
		over, f := x.isOver(d, chat, turn)
		if f != nil || !over {
			return turn, f
		}
	}
	context := compaction.Gather(c.past, c.ask.Input(), !x.isAsked(), c.expands.Memory)
	if len(context.Items) == 0 {
		if x.isAsked() {
			return turn, failure.Of(failure.InvalidRequest, compaction.NothingToSumUp())
		}
		return turn, nil
	}
	ask := func(before string, items [][]byte) (string, responses.Usage, *failure.Failure) {
		return x.askSummary(d, before, items)
	}
	stop := x.keepAwake(turn)
	summary, used, f := compact.Summarize(ask, context.Items)
	stop()
	if c.used = used; f != nil {
		return turn, f
	}
	m := context.Memory(summary)
	c.memory = &translate.Memory{Sealed: x.seal(m.Append(nil)), Usage: used}
	if x.endpoint.Endpoint == policy.Compact { // here, where the body still is, of which the messages are
		c.window = compaction.AppendWindow(nil, begun.ID, begun.Created, context.Messages, c.memory.Sealed, used)
	}
	if x.isAsked() {
		return turn, nil
	}
	body, past := c.ask.Replace(m.Items(nil)), begun.Past
	if past != nil {
		rest := *past
		rest.Items, past = nil, &rest
	}
	if !x.held.Hold(2 * len(body)) {
		return turn, x.held.Refusal()
	}
	turn.Free()
	x.awaited = nil
	var err *responses.Error
	chat.B, turn, err = x.translator().Continued(chat.B[:0], body, jsontext.Values(body), past, begun.ID, begun.Created)
	if err != nil {
		return nil, failure.Of(failure.InvalidRequest, err)
	}
	turn.BeginWith(c.memory)
	x.awaited = turn
	return turn, nil
}

// countSummaries counts what was used for an answer that failed before anything of it was
// there.
func (x *exchange) countSummaries() {
	if c, o := x.compacts, &x.rec.Outcome; c != nil && c.used != (responses.Usage{}) && !o.HasUsage {
		o.Usage, o.HasUsage = c.used, true
	}
}

// keepAwake gives the client of a streamed request signs of life while nothing can be
// said yet, until stop is called. Over a WebSocket the connection has its own.
func (x *exchange) keepAwake(turn *translate.Turn) (stop func()) {
	every := x.gen.cfg.Server.KeepAliveInterval
	if x.awaited = turn; x.socket != nil || x.job != nil || !turn.Streaming() || every == 0 {
		return func() {}
	}
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() { // which must not look at the call, that changes meanwhile
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stopped:
				return
			case <-tick.C:
				x.saySignOfLife()
			}
		}
	}()
	return func() {
		close(stopped)
		<-done
	}
}

// saySignOfLife writes a comment.
func (x *exchange) saySignOfLife() {
	control := http.NewResponseController(x.w)
	_ = control.SetWriteDeadline(time.Now().Add(x.gen.cfg.Engine.StreamIdleTimeout))
	x.beginEvents()
	n, err := io.WriteString(x.w, streaming.KeepAlive)
	if x.rec.Wrote(int64(n)); err == nil {
		err = control.Flush()
	}
	if err != nil {
		x.rec.Fail(failure.ClientGone, err)
	}
}

// beginEvents sends the header of a stream, unless that was done.
func (x *exchange) beginEvents() {
	x.rec.Streamed = true
	if x.begun() {
		return
	}
	if x.rec.DroppedTools != "" {
		x.header().Set(translate.DroppedToolsField, x.rec.DroppedTools)
	}
	x.header()["Content-Type"] = []string{"text/event-stream"}
	x.header()["Cache-Control"] = []string{"no-cache"}
	x.startNow(http.StatusOK)
}

// begun reports whether the client of a stream has got its header.
func (x *exchange) begun() bool { return x.rec.Streamed && x.rec.Status != 0 && !x.detached }

// failEvents ends a stream that has only begun.
func (x *exchange) failEvents(e *responses.Error) {
	if x.awaited == nil {
		x.write(append(responses.AppendErrorEvent(nil, e, 0), responses.Done...))
		return
	}
	events := x.awaited.Stream()
	out := events.End(nil, e, x.Unix())
	if x.turn.Kept() {
		x.turn.Streams()
		if kept, failed := x.turn.Keep(x.awaited.Outcome()); !kept {
			out = events.Instead(out, failed)
		}
	}
	x.write(out)
}

// isOver reports whether the request is longer than it wants to be. No token is
// shorter than a byte; where nobody counts, one has four.
func (x *exchange) isOver(d *policy.Decision, chat *buffer.Buffer, turn *translate.Turn) (bool, *failure.Failure) {
	limit := x.compacts.ask.Threshold
	if int64(len(chat.B)) <= limit {
		return false, nil
	}
	if x.counts() {
		tokens, f := x.measure(d, chat, turn)
		switch {
		case f == nil:
			return tokens > limit, nil
		case f.Reply != nil && f.Reply.Code == "context_length_exceeded":
			return true, nil
		case f.Kind == failure.ClientGone, f.Kind == failure.Shutdown:
			return false, f
		}
	}
	return compaction.Estimate(chat.B) > limit, nil
}

// askSummary asks a backend to sum items up, after the summary of what stands before
// them.
func (x *exchange) askSummary(d *policy.Decision, before string, items [][]byte) (summary string, used responses.Usage, f *failure.Failure) {
	cfg := &x.gen.cfg.Compaction
	request := compaction.AppendRequest(nil, x.compacts.ask.Body(), before, items, x.gen.instruction, strconv.AppendInt(nil, int64(cfg.MaxOutputTokens), 10))
	if !x.held.Hold(2 * len(request)) {
		return "", used, x.held.Refusal()
	}
	defer x.held.LetGo(2 * len(request))
	chat, turn, err := x.translator().Checked(nil, request, jsontext.Values(request), x.gen.newID(), x.Unix())
	if err != nil {
		err.Param = "input"
		return "", used, failure.Of(failure.InvalidRequest, err)
	}
	defer turn.Free()
	question := buffer.Metered(&x.held)
	question.B = translate.AppendPlain(question.B, chat)
	f = x.inquire(&inquiry{decision: d, turn: turn, target: "/v1/chat/completions", body: question, read: func(said []byte) *failure.Failure {
		var err *responses.Error
		if summary, used, err = translate.ReadText(said); err != nil {
			return failure.Of(failure.UpstreamAnswer, err)
		}
		return nil
	}})
	return summary, used, f
}

// answerCompaction answers with the compaction that was asked for.
func (x *exchange) answerCompaction(turn *translate.Turn, begun *turns.Turn) *failure.Failure {
	if x.endpoint.Endpoint == policy.Compact {
		x.rec.Outcome.Usage, x.rec.Outcome.HasUsage = x.compacts.memory.Usage, true
		x.json(http.StatusOK, x.compacts.window)
		return nil
	}
	if turn.Streaming() && begun.Stored() {
		begun.Streams()
	}
	answer := turn.Compacted(nil, x.compacts.memory, x.Unix())
	x.rec.Outcome = turn.Outcome()
	x.rec.Span.Answered(x.rec.Outcome.Resource)
	kept, failed := begun.Keep(x.rec.Outcome)
	if x.rec.Outcome.Resource, x.awaited = nil, nil; failed != nil {
		return failure.Of(failure.StateUnavailable, failed)
	}
	if !kept {
		turn.NotStored()
		answer = turn.Compacted(answer[:0], x.compacts.memory, x.Unix())
	}
	if !turn.Streaming() {
		x.json(http.StatusOK, answer)
		return nil
	}
	x.rec.Streamed = true
	if x.socket != nil {
		x.sayEvents(append(make([]byte, ingress.Room, ingress.Room+len(answer)), answer...))
		return nil
	}
	x.limitWriting()
	x.beginEvents()
	x.write(answer)
	return nil
}

// sealingKey is what the key is called that compactions are sealed with, where it is kept.
const sealingKey = "compaction"

// prepareSealing has the keys ready that compactions are sealed with: the configuration's, and
// behind them the store's, where there is one, else the process's own. Without keys of the
// configuration it seals, with them it opens what was sealed before there were any.
func (x *exchange) prepareSealing() *failure.Failure {
	if x.gen.sealer.Load() != nil {
		return nil
	}
	own := x.gen.sealing.Load()
	if own == nil {
		fresh := make([]byte, seal.KeySize)
		random(fresh)
		key, f := x.gen.turns.Key(x.r.Context(), sealingKey, fresh)
		if f != nil {
			return f
		}
		if len(key) != seal.KeySize {
			return failure.Of(failure.StateUnavailable, policy.Internal()).Because(errNoKey)
		}
		x.gen.sealing.CompareAndSwap(nil, &key)
		own = x.gen.sealing.Load()
	}
	x.gen.sealer.Store(seal.New(append(policy.SealingKeys(x.gen.cfg), *own), random))
	return nil
}

// errNoKey is that somebody else has written into the store.
var errNoKey = errors.New("what the store has as the key of compactions is none")

// random fills b with random bytes.
func random(b []byte) { _, _ = rand.Read(b) } // never fails, says its documentation

// seal seals a memory for its owner, and open opens what was sealed so.
func (x *exchange) seal(plain []byte) []byte {
	return x.gen.sealer.Load().AppendText(nil, seal.Compaction, policy.Owner(x.gen.cfg, x.rec.Caller), plain)
}

func (x *exchange) open(sealed []byte) ([]byte, bool) {
	return x.gen.sealer.Load().OpenText(seal.Compaction, policy.Owner(x.gen.cfg, x.rec.Caller), sealed)
}
