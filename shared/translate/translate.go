// Package translate turns Responses requests into Chat Completions requests,
// and the answers back, whole and streamed. It is pure: ids and time come in
// as arguments, bytes go in and out. FIELDS.md lists what becomes of every
// field, item and part.
//
//	request bytes ─ Translator.Request ─► chat request bytes, Turn
//	answer bytes  ─ Turn.Response ─► response resource
//	stream bytes  ─ Stream.Write ─► whole events
package translate

import (
	"sync"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/seal"

	"github.com/valyala/fastjson"
)

// Options say how to translate.
type Options struct {
	DefaultModel string // for requests that name no model
	Model        string // what is sent upstream whatever the request names; empty for none

	FoldSystem           bool   // instructions and the leading system and developer messages become one system message
	ReasoningField       string // of assistant messages that go upstream: "reasoning" or "reasoning_content"
	ReasoningEvents      string // "reasoning_text" or "reasoning"
	ReasoningSummary     string // when thoughts are told as summaries: "auto" is when asked for, "always" or "never"
	DropUnsupportedTools bool   // leave out tools that cannot be lowered, and their calls in the history, instead of refusing them
	RefuseUnknownFields  bool   // refuse top-level fields that are not known, instead of passing them on

	Sealer *seal.Sealer // of the copies of thoughts; nil: they are only coded

	// ContinuousUsage asks for the count of tokens with every piece of a stream, so that
	// one that breaks off is counted too.
	ContinuousUsage bool

	Limits      responses.Limits
	EventBytes  int // the longest event of an upstream stream; 0 means sse.DefaultMax
	AnswerBytes int // all that a stream says; 0 means no limit
	TextBytes   int // text that is translated at once, as limits.text_bytes has it; 0 means no limit

	// ShortFailure ends a stream of more than AnswerBytes without its items, where they are
	// more than 1 MiB: for who must send its end, which says all four times more, at once.
	ShortFailure bool
}

// A Translator translates by one set of options. It may be used by concurrent
// goroutines.
type Translator struct {
	opt   Options
	works sync.Pool // of *requestWork
	turns sync.Pool // of *Turn
}

// New returns a Translator.
func New(opt Options) *Translator {
	t := &Translator{opt: opt}
	t.works.New = func() any { return new(requestWork) }
	t.turns.New = func() any { return new(Turn) }
	return t
}

// A Turn is one request on its way: what its answer must be told.
type Turn struct {
	from      *Translator // nil once it is free
	resource  responses.Resource
	out       responses.Output
	stream    Stream
	streaming bool
	begun     int  // events that are told by Queue and Work
	summaries bool // thoughts are told as summaries
	copies    bool // reasoning items have a copy of their thought
	owner     [16]byte
	model     string
	sent      int   // bytes of the chat request up to its model's end
	medium    place // of the first part that is no text
	hasMedium bool
	converses bool // the history is a conversation's
	raised    []raisedTool
	dropped   string
	maxOutput int64
	escapes   int             // in the arguments of the answer's calls so far
	looks     looks           // at them
	memory    *Memory         // that the answer begins with; nil: none
	state     responses.State // how the answer ended
	outcome   responses.Outcome
}

// Streaming reports whether the client asked for a stream.
func (u *Turn) Streaming() bool { return u.streaming }

// Model returns the model that the client named, or the default.
func (u *Turn) Model() string { return u.model }

// MaxOutput is how many tokens the answer may have, 0 where the request does not say.
func (u *Turn) MaxOutput() int64 { return u.maxOutput }

// DroppedTools names the types of the tools that the request has and that were
// left out, once each and separated by ", ": what an answer's header
// DroppedToolsField says. Empty: none was.
func (u *Turn) DroppedTools() string { return u.dropped }

// DroppedToolsField is the field of an answer to a request of which tools were
// left out.
const DroppedToolsField = "x-antwort-dropped-tools"

// AppendRenamed appends the chat request that was made for this turn with
// another model, for an upstream that has another name for it.
func (u *Turn) AppendRenamed(dst, chat []byte, model string) []byte {
	dst = append(dst, modelMember...)
	dst = jsontext.AppendString(dst, model)
	return append(dst, chat[u.sent:]...)
}

// modelMember is what a chat request begins with.
const modelMember = `{"model":`

// Outcome is how the turn's answer ended, or how far it has come. Its Resource
// is a part of what the last call of Response, Write or End appended.
func (u *Turn) Outcome() responses.Outcome { return u.outcome }

// append appends the resource of an answer that has ended as state says.
func (u *Turn) append(dst []byte) []byte {
	start := len(dst)
	dst = u.resource.Append(dst, &u.state)
	u.ended(dst[start:])
	return dst
}

// ended notes what state says, of which resource tells.
func (u *Turn) ended(resource []byte) {
	s, o := &u.state, &u.outcome
	o.Status, o.Err, o.Resource, o.OutputBytes, o.Apart = s.Status, s.Err, resource, len(s.Output), s.Apart
}

func (u *Turn) readUsage(said *chat.Usage) {
	if !said.Known {
		return
	}
	u.outcome.HasUsage = true
	u.outcome.Usage = responses.Usage{Input: said.Input, Output: said.Output, Total: said.Total, Cached: said.Cached, Reasoning: said.Reasoning}
	if u.memory != nil {
		u.outcome.Usage.Add(u.memory.Usage)
	}
}

// Usage is what the answer has used, as far as it was counted; nil: it was not.
func (u *Turn) Usage() *responses.Usage {
	if !u.outcome.HasUsage {
		return nil
	}
	return &u.outcome.Usage
}

// Free gives back the turn's memory for other requests. Neither the turn nor
// its stream may be used after it. A turn that is not given back, that is large
// or whose stream broke off is left to the garbage collector.
func (u *Turn) Free() {
	t, s := u.from, &u.stream
	u.from, u.outcome.Resource, u.outcome.Apart = nil, nil, responses.Pieces{}
	u.state = responses.State{}
	u.out.Drain(nil)
	if t != nil && u.resource.Held()+u.out.Held() <= keptBytes && s.framer.Between() && len(s.queue) == 0 {
		t.turns.Put(u)
	}
}

// keptBytes is as much as a free turn may hold.
const keptBytes = 16 << 10

// newTurn returns a turn of t without a request.
func (t *Translator) newTurn() *Turn {
	u := t.turns.Get().(*Turn)
	u.from, u.begun, u.memory = t, 0, nil
	u.outcome = responses.Outcome{}
	u.state = responses.State{}
	return u
}

// done keeps the memory of a request's work for another one, but not that of a
// long one.
func (t *Translator) done(w *requestWork, size int) {
	w.opaque = nil // they are the body's
	if size > keptBody {
		*w = requestWork{}
	}
	t.works.Put(w)
}

// keptBody is the longest request whose memory is kept.
const keptBody = 1 << 20

// treeValues is how many values of a request may be parsed that nobody looks at.
const treeValues = 4 << 10

// A Past is what a store adds to a request.
type Past struct {
	Stored       bool   // the answer will be
	Conversation string // the id of the one that it is for; empty for none
	// Background says that nobody waits for the answer, which is made as a stream then.
	// Without a Past such a request is refused.
	Background bool
	// Items are those of the turns before, a JSON array that was checked when it was
	// stored; nil when the request continues none.
	Items []byte
}

// For is the translator of an owner's requests: what is sealed for it opens for it
// alone.
func (t *Translator) For(owner [16]byte) Owned { return Owned{Translator: t, owner: owner} }

// Owned translates the requests of one owner.
type Owned struct {
	*Translator
	tracing
	owner [16]byte
}

// Request translates the body of POST /v1/responses into the body of POST
// /v1/chat/completions, appended to dst, for the owner of no name. id is the random
// part of all ids of the response (letters and digits), now its creation in Unix
// seconds. Neither result refers to body. With an error dst is returned as it was.
func (t *Translator) Request(dst, body []byte, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.For([16]byte{}).Request(dst, body, id, now)
}

// Checked is Request for a body that responses.Check has passed and that has
// about so many values.
func (t *Translator) Checked(dst, body []byte, values int, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.For([16]byte{}).Checked(dst, body, values, id, now)
}

// Continued is Checked where responses are stored; past is nil where none are. What
// is wrong with an item of the past is told of previous_response_id, or of conversation.
func (t *Translator) Continued(dst, body []byte, values int, past *Past, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.For([16]byte{}).Continued(dst, body, values, past, id, now)
}

// Request is Translator's.
func (t Owned) Request(dst, body []byte, id string, now int64) ([]byte, *Turn, *responses.Error) {
	values, err := responses.Count(body, t.opt.Limits)
	if err != nil {
		return dst, nil, err
	}
	return t.Checked(dst, body, values, id, now)
}

// Checked is Translator's.
func (t Owned) Checked(dst, body []byte, values int, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.Continued(dst, body, values, nil, id, now)
}

// Arrived is Request for a body that a Checker has passed as it came: where its long
// strings end is not looked for again. The body is not copied, and changes: what it means
// when read anew is not said.
func (t Owned) Arrived(dst, body []byte, check *jsontext.Checker, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.translate(dst, body, jsontext.ParseInPlace, check.Values(), check.Long(), nil, id, now)
}

// Continued is Translator's.
func (t Owned) Continued(dst, body []byte, values int, past *Past, id string, now int64) ([]byte, *Turn, *responses.Error) {
	return t.translate(dst, body, (*fastjson.Parser).ParseBytes, values, nil, past, id, now)
}

// parseFunc is one of fastjson.Parser's, or ParseInPlace.
type parseFunc func(*fastjson.Parser, []byte) (*fastjson.Value, error)

// translate is Continued for a body of which the long strings are known, or none is.
func (t Owned) translate(dst, body []byte, parse parseFunc, values int, long []jsontext.Span, past *Past, id string, now int64) ([]byte, *Turn, *responses.Error) {
	w := t.works.Get().(*requestWork)
	if w.size = len(body); past != nil {
		w.size += len(past.Items)
	}
	out, u, err := t.translateIn(w, dst, body, parse, values, long, past, id, now)
	t.done(w, w.size)
	return out, u, err
}

// translateIn is translate in the memory of w.
func (t Owned) translateIn(w *requestWork, dst, body []byte, parse parseFunc, values int, long []jsontext.Span, past *Past, id string, now int64) ([]byte, *Turn, *responses.Error) {
	text := body
	if len(long) > 0 {
		w.short = jsontext.AppendShort(w.short[:0], text, long)
		text, parse = w.short, jsontext.ParseInPlace
	}
	if values > treeValues {
		w.outline = responses.AppendOutline(jsontext.Grow(w.outline[:0], len(text)+len(text)/8), text, &w.opaque)
		text, parse = w.outline, jsontext.ParseInPlace
	}
	v, perr := parse(&w.parser, text)
	if perr != nil { // cannot be: Check is stricter
		return dst, nil, responses.NewError(400, "invalid_json", "the request body is not valid JSON")
	}
	if len(long) > 0 || len(w.opaque) > 0 {
		jsontext.Lengthen(v, body, long, w.opaque)
	}
	if err := w.r.Parse(v, t.opt.Limits, t.opt.RefuseUnknownFields); err != nil {
		return dst, nil, err
	}
	switch {
	case past == nil && w.r.Previous != "":
		return dst, nil, responses.NotStored()
	case past == nil && w.r.Converses:
		return dst, nil, responses.NoConversations()
	}
	if past == nil && w.r.Background {
		return dst, nil, responses.NoBackground()
	}
	if w.history, w.past = nil, 0; past != nil {
		w.r.Stored, w.r.Conversation = past.Stored, past.Conversation
		w.r.Background, w.r.Stream = past.Background, w.r.Stream || past.Background
		if err := w.remember(past.Items); err != nil {
			return dst, nil, err
		}
	}
	w.begin(&t.opt, dst)
	w.owner, w.tracing = t.owner, t.tracing
	u := t.newTurn()
	u.owner = t.owner
	err := w.translate(u, id, now)
	out := w.dst
	w.dst = nil
	if err != nil {
		if u.Free(); w.r.Conversation != "" && err.Param == "previous_response_id" {
			err.Param = "conversation"
		}
		return dst, nil, err
	}
	return out, u, nil
}

// remember reads the items of the turns before.
func (w *requestWork) remember(items []byte) *responses.Error {
	if items == nil {
		return nil
	}
	v, err := w.earlier.ParseBytes(items)
	if err != nil { // cannot be: they were checked
		return responses.NewError(500, "internal_error", "the stored conversation cannot be read")
	}
	w.history, w.past = v, len(v.GetArray())
	return nil
}
