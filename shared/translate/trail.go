//go:build !wasip1

package translate

import (
	"slices"
	"strings"

	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// A Trail is what a translation tells of its own work: where each field of one
// request went. Every place that moves a field tells it, where the request is
// traced; for all others the trail is nil, which costs them a comparison, and the
// filter is built without any of it.
//
// What shows by itself no place tells: what is echoed stands in the resource, what is
// refused in the error, and of what nobody has told nothing comes.
type Trail struct {
	Notes []Note

	media   int   // parts of tools' results that have no message yet
	waiting []int // the notes of them
	tools   int   // that are sent so far
}

// A Note is what one place of the translation has done with one field.
type Note struct {
	From string // path in the request; "previous_response_id" of what a store has put before the input; "" of what is added
	Fate Fate
	To   string // path in the chat request; "" for none
	Why  string // may be empty

	message int // the one that To is in
}

// Fate is what became of a field, in the words of FIELDS.md.
type Fate string

// The fates that places tell.
const (
	Mapped  Fate = "mapped"  // it became what stands at To
	Passed  Fate = "passed"  // it went to To as it is
	Read    Fate = "read"    // it said how the rest is meant
	Lossy   Fate = "lossy"   // nothing comes of it
	Dropped Fate = "dropped" // it was left out, for a reason of this request or of the configuration
	Added   Fate = "added"   // no field of the request is it from
)

// The messages of which it is not known yet which ones they will be; and what is in none.
const (
	noMessage     = -1 - iota
	foldedMessage // the system message that all of them become
	mediaMessage  // that of the parts that follow tools' results
)

// tracing is the trail of what is being translated; nil: nobody wants to know.
type tracing struct{ trail *Trail }

// Tracing is the translator, which tells the trail of its next request.
func (t Owned) Tracing(trail *Trail) Owned {
	t.trail = trail
	return t
}

// AppendResource appends the resource that the answer begins with.
func (u *Turn) AppendResource(dst []byte) []byte {
	return u.resource.Append(dst, &responses.State{Status: "in_progress"})
}

func (t *Trail) note(from string, fate Fate, to, why string, message int) {
	t.Notes = append(t.Notes, Note{from, fate, to, why, message})
}

// member is a note of a member of an object, which keeps its name.
func (t *Trail) member(of, member, to string) {
	t.note(responses.Of(of, member), Mapped, to+member, "", noMessage)
}

// lookedAt is a note of a member of what stands at a place.
func (t *Trail) lookedAt(at place, member string) {
	t.note(at.of(member), Read, "", "", noMessage)
}

// into is a note of such a member that went into a message.
func (t *Trail) into(message int, to string, at place, member string) {
	t.note(at.of(member), Mapped, to, "", message)
}

// intoPart is a note of a member of a part, which became one of the message. A part of a
// tool's result has no message yet.
func (t *Trail) intoPart(message int, to string, at place, member string) {
	part := at.part
	if at.list == "output" {
		part, message = t.media, mediaMessage
		t.waiting = append(t.waiting, len(t.Notes))
	}
	t.into(message, responses.Of(responses.At("content", part), to), at, member)
}

// intoCall is a note of a member of an item, which became a call of the assistant's message.
func (t *Trail) intoCall(w *requestWork, to string, i int, member string) {
	t.into(w.messages, responses.Of(responses.At("tool_calls", len(w.assistant.pending)), to), item(i), member)
}

// included is a note of the n-th entry of include, from 1; 0 is none.
func (t *Trail) included(n int, to string) {
	switch {
	case n == 0:
	case to == "":
		t.note(responses.At("include", n-1), Read, "", "", noMessage)
	default:
		t.note(responses.At("include", n-1), Mapped, to, "", noMessage)
	}
}

// toolTo is a note of a member of a tool, which went into the one that was begun last.
func (t *Trail) toolTo(tool *responses.Tool, member, to string) {
	t.note(responses.Of(tool.Path(), member), Mapped, responses.Of(responses.At("tools", t.tools-1), to), "", noMessage)
}

// end makes the paths of what is in messages, which all stand in their places now.
func (t *Trail) end() {
	for i := range t.Notes {
		if n := &t.Notes[i]; n.message != noMessage {
			n.To = responses.Of(responses.At("messages", max(n.message, 0)), n.To)
		}
	}
}

// The places tell by these methods. Each takes what it is given as it is, so that
// nothing is made where nobody wants to know.

// ended says that the chat request is written.
func (t tracing) ended() {
	if t.trail != nil {
		t.trail.end()
	}
}

// mapped says what a field became.
func (t tracing) mapped(from, to string) {
	if t.trail != nil {
		t.trail.note(from, Mapped, to, "", noMessage)
	}
}

// mappedMember says what a member of an object became.
func (t tracing) mappedMember(of, member, to string) {
	if t.trail != nil {
		t.trail.member(of, member, to)
	}
}

// passed says that a field goes on under its own name; of is empty for one of the request.
func (t tracing) passed(of, name string) {
	if t.trail != nil {
		t.trail.note(of+name, Passed, of+name, "", noMessage)
	}
}

// added says what no field of the request has become.
func (t tracing) added(to, why string) {
	if t.trail != nil {
		t.trail.note("", Added, to, why, noMessage)
	}
}

// leftOut says why a field was left out.
func (t tracing) leftOut(from, why string) {
	if t.trail != nil {
		t.trail.note(from, Dropped, "", why, noMessage)
	}
}

// looked says that a field was read.
func (t tracing) looked(from string) {
	if t.trail != nil {
		t.trail.note(from, Read, "", "", noMessage)
	}
}

// lookedAt says that a member of what stands at a place was read.
func (t tracing) lookedAt(at place, member string) {
	if t.trail != nil {
		t.trail.lookedAt(at, member)
	}
}

// skipped says why an item was left out.
func (t tracing) skipped(at place, why string) {
	if t.trail != nil {
		t.trail.note(at.path(), Dropped, "", why, noMessage)
	}
}

// into says to which member of which message a member of what stands at a place went.
func (t tracing) into(message int, to string, at place, member string) {
	if t.trail != nil {
		t.trail.into(message, to, at, member)
	}
}

// mappedInto says to which member of which message a field went.
func (t tracing) mappedInto(from string, message int, to string) {
	if t.trail != nil {
		t.trail.note(from, Mapped, to, "", message)
	}
}

// included says what the entry of include became that was the n-th to be there, from 1;
// 0 is none.
func (t tracing) included(n int, to string) {
	if t.trail != nil {
		t.trail.included(n, to)
	}
}

// intoPart says to which member of a part of the message that was begun last a member of
// a part went.
func (w *requestWork) intoPart(to string, at place, member string) {
	if w.trail != nil {
		w.trail.intoPart(w.messages-1, to, at, member)
	}
}

// gathered says that a part of a tool's result waits for its message.
func (t tracing) gathered() {
	if t.trail != nil {
		t.trail.media++
	}
}

// gatheredInto says that the message that was begun last has what was gathered.
func (w *requestWork) gatheredInto() {
	if w.trail == nil {
		return
	}
	for _, i := range w.trail.waiting {
		w.trail.Notes[i].message = w.messages - 1
	}
	w.trail.media, w.trail.waiting = 0, w.trail.waiting[:0]
}

// intoCall says to which member of the next call of the assistant's message a member of
// an item went.
func (w *requestWork) intoCall(to string, i int, member string) {
	if w.trail != nil {
		w.trail.intoCall(w, to, i, member)
	}
}

// systemMessage is the one that the next system text is for.
func (w *requestWork) systemMessage() int {
	if w.opt.FoldSystem {
		return foldedMessage
	}
	return w.messages
}

// unsaid says that the assistant's message is not sent.
func (w *requestWork) unsaid() {
	if w.trail == nil || !w.assistant.open {
		return
	}
	for i := len(w.trail.Notes) - 1; i >= 0; i-- {
		n := &w.trail.Notes[i]
		if n.message >= 0 && n.message < w.messages {
			return // it is of the message before
		}
		if n.message == w.messages {
			*n = Note{From: n.From, Fate: Lossy, Why: "the assistant's message would say nothing, and is not sent", message: noMessage}
		}
	}
}

// shifted says that a message was put before all others.
func (t tracing) shifted() {
	if t.trail == nil {
		return
	}
	for i := range t.trail.Notes {
		if n := &t.trail.Notes[i]; n.message >= 0 {
			n.message++
		}
	}
}

// idMember is the member of an item that has the id of its call.
func idMember(o *fastjson.Object) string {
	if o.Get("call_id") == nil {
		return "id"
	}
	return "call_id"
}

// leftOutTools says which tools of a list were left out.
func (t tracing) leftOutTools(list []*fastjson.Value, tools []responses.Tool, path string) {
	if t.trail != nil {
		t.trail.leftOutTools(list, tools, path)
	}
}

func (t *Trail) leftOutTools(list []*fastjson.Value, tools []responses.Tool, path string) {
	for i := range list {
		at := responses.At(path, i)
		if !slices.ContainsFunc(tools, func(tool responses.Tool) bool { return tool.Path() == at }) {
			t.note(at, Dropped, "", "nobody here runs it, and translation.unsupported_tools is drop", noMessage)
		}
	}
}

// toolTo says what a member of a tool, or of its namespace, became in the one that was begun
// last.
func (t tracing) toolTo(tool *responses.Tool, member, to string) {
	if t.trail != nil {
		t.trail.toolTo(tool, member, to)
	}
}

// toolMember says that a member of a tool is one of its function, under the same name.
func (t tracing) toolMember(tool *responses.Tool, member string) {
	if t.trail != nil {
		t.trail.toolTo(tool, member, "function."+member)
	}
}

// toldTool says that a tool is begun, and what became of it but for members that are
// written as they are.
func (t tracing) toldTool(tool *loweredTool) {
	if t.trail != nil {
		t.trail.noteTool(tool)
	}
}

func (t *Trail) noteTool(tool *loweredTool) {
	t.tools++
	if tool.IsClientRun() {
		t.toolTo(tool.Tool, "type", "function.name")
		t.note(responses.Of(tool.Path(), "execution"), Read, "", "", noMessage)
	} else {
		t.toolTo(tool.Tool, "type", "type")
		t.toolTo(tool.Tool, "name", "function.name")
	}
	if tool.namespace != nil {
		t.toolTo(tool.namespace, "type", "type")
		t.toolTo(tool.namespace, "name", "function.name")
	}
}

// toldChoice says what tool_choice became.
func (w *requestWork) toldChoice(choice *responses.ToolChoice) {
	if w.trail == nil {
		return
	}
	switch {
	case choice.Allowed:
		w.looked("tool_choice.type")
		w.mapped("tool_choice.mode", "tool_choice")
		for _, ref := range choice.Tools {
			w.looked(strings.TrimSuffix(strings.TrimSuffix(ref.Path, ".name"), ".type") + ".type")
			w.mapped(ref.Path, responses.Of(responses.At("tools", w.toolset.sentAs(ref)), "function.name"))
		}
	case len(choice.Tools) > 0:
		to := "tool_choice.type"
		if responses.IsClientRun(choice.Tools[0].Type) {
			to = "tool_choice.function.name"
		}
		w.mapped("tool_choice.type", to)
		w.mapped("tool_choice.name", "tool_choice.function.name")
		w.mapped("tool_choice.namespace", "tool_choice.function.name")
	default:
		w.mapped("tool_choice", "tool_choice")
	}
}

// notAllowed says that a tool is not sent.
func (w *requestWork) notAllowed(t *loweredTool) {
	if w.trail != nil {
		w.leftOut(t.Path(), "tool_choice does not allow it")
	}
}

// sentAs is the index of the tool among those that are sent.
func (s *toolset) sentAs(ref responses.ToolRef) (n int) {
	for i := range s.lowered[:s.names[s.nameOfRef(ref)]] {
		if s.lowered[i].allowed {
			n++
		}
	}
	return n
}
