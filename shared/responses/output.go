package responses

import (
	"bytes"
	"strconv"

	"antwort/shared/jsontext"
)

// An Output builds the items of a response one after another, each in place
// and held once, and tells every step as an event of the stream. Text comes in
// as the escaped inside of a JSON string and is never decoded.
//
// The states: no item open; an item open (open ≠ none); in a message or a
// reasoning item also a part open (part ≠ none). A step that does not fit the
// state closes what is open first, as completed.
type Output struct {
	Resource *Resource
	// ReasoningEvents is the middle of the reasoning events' names:
	// "reasoning_text" (OpenAI) or "reasoning" (Open Responses).
	ReasoningEvents string
	// ReasoningSummary tells thoughts as summaries instead.
	ReasoningSummary bool
	// ReasoningCopy appends the copy of a thought that reasoning items have as
	// encrypted_content; nil: they have none.
	ReasoningCopy func(dst, thought []byte) []byte
	// Quiet makes the items without the events.
	Quiet bool

	seq   int
	count int                      // items begun
	kinds [compactionItem + 1]bool // of which there are

	items []byte // all items, separated by commas, but those in blocks; the last may be open
	pile  blocks // what stands before items, where events are drained
	open  itemKind
	part  partKind
	parts int // parts begun in the open item

	itemID    []byte
	itemStart int    // in all items, as the next ones are
	done      int    // how much is finished items
	partStart int    // the part's {
	textStart int    // the text's first byte
	call      Call   // of the open item
	logprobs  []byte // of the open text part, or of the next one, separated by commas
	told      int    // how much of logprobs the deltas told
	frame     deltaFrame
}

// maxThought is the longest thought, as it is written, of which there is a copy.
const maxThought = 2 << 20

type itemKind uint8

const (
	noItem itemKind = iota
	messageItem
	reasoningItem
	callItem
	compactionItem
)

type partKind uint8

const (
	noPart partKind = iota
	textPart
	refusalPart
	reasoningPart
	summaryPart
)

// Reset empties o for another answer, in the memory that it has.
func (o *Output) Reset() {
	items, logprobs, itemID, frame := o.items[:0], o.logprobs[:0], o.itemID[:0], o.frame.b[:0]
	*o = Output{}
	o.items, o.logprobs, o.itemID, o.frame.b = items, logprobs, itemID, frame
}

// Count returns how many items were begun.
func (o *Output) Count() int { return o.count }

// HasCall reports whether a call was begun.
func (o *Output) HasCall() bool { return o.kinds[callItem] }

// HasMessage reports whether a message was begun.
func (o *Output) HasMessage() bool { return o.kinds[messageItem] }

// Text appends a delta of output text, its logprobs (entries of a logprobs
// array, separated by commas) with it.
func (o *Output) Text(dst, delta, logprobs []byte) []byte {
	if o.open != messageItem || o.part != textPart {
		dst = o.enter(dst, messageItem, textPart)
	}
	o.add(delta)
	o.Logprobs(logprobs)
	untold := bytes.TrimPrefix(o.logprobs[o.told:], []byte(","))
	o.told = len(o.logprobs)
	if o.Quiet {
		return dst
	}
	dst = o.deltaEvent(dst, "response.output_text.delta", delta)
	if len(untold) == 0 {
		return append(dst, `","logprobs":[]}`+"\n\n"...)
	}
	dst = append(dst, `","logprobs":[`...)
	dst = o.tell(dst, untold)
	return append(dst, "]}\n\n"...)
}

// Logprobs adds logprobs that came without text (of a part of a character, of
// an end token) to the open text part, or else to the next one. There are no
// empty deltas: the next delta tells them, or else the part's done events.
func (o *Output) Logprobs(logprobs []byte) {
	if len(logprobs) == 0 {
		return
	}
	if len(o.logprobs) > 0 {
		o.logprobs = append(o.logprobs, ',')
	}
	o.logprobs = append(o.logprobs, logprobs...)
}

// DropLogprobs forgets logprobs whose text has not come.
func (o *Output) DropLogprobs() { o.logprobs, o.told = o.logprobs[:0], 0 }

// Refusal appends a delta of a refusal.
func (o *Output) Refusal(dst, delta []byte) []byte {
	return o.delta(o.enter(dst, messageItem, refusalPart), "response.refusal.delta", delta)
}

// Reasoning appends a delta of a thought.
func (o *Output) Reasoning(dst, delta []byte) []byte {
	if o.ReasoningSummary {
		dst = o.enter(dst, reasoningItem, summaryPart)
		return o.delta(dst, "response.reasoning_summary_text.delta", delta)
	}
	dst = o.enter(dst, reasoningItem, reasoningPart)
	return o.delta(dst, o.reasoningEvent("delta"), delta)
}

func (o *Output) reasoningEvent(last string) string {
	if o.ReasoningEvents == "reasoning" {
		return "response.reasoning." + last
	}
	return "response.reasoning_text." + last
}

func (o *Output) delta(dst []byte, name string, delta []byte) []byte {
	o.add(delta)
	if o.Quiet {
		return dst
	}
	return append(o.deltaEvent(dst, name, delta), "\"}\n\n"...)
}

// BeginMessage opens a message without any text, for an answer that has none.
func (o *Output) BeginMessage(dst []byte) []byte {
	return o.enter(dst, messageItem, textPart)
}

// BeginCall opens a tool call.
func (o *Output) BeginCall(dst []byte, call Call) []byte {
	dst = o.Close(dst, "completed")
	o.call = call
	dst = o.begin(dst, callItem, callKinds[call.Kind].prefix)
	o.textStart = o.size()
	return dst
}

// ClientCall opens a call of a tool that the client runs. value is what it says,
// as JSON; it is told with the whole item.
func (o *Output) ClientCall(dst []byte, call Call, value []byte) []byte {
	dst = o.BeginCall(dst, call)
	o.items = append(jsontext.GrowTwice(o.items, len(value)), value...)
	return dst
}

// CallDelta appends a delta of the open call's arguments or input.
func (o *Output) CallDelta(dst, delta []byte) []byte {
	o.add(delta)
	if o.Quiet {
		return dst
	}
	name := "response.function_call_arguments.delta"
	if o.call.Kind == CustomCall {
		name = "response.custom_tool_call_input.delta"
	}
	return append(o.deltaEvent(dst, name, delta), "\"}\n\n"...)
}

// Compaction appends a compaction item, whose memory is sealed already.
func (o *Output) Compaction(dst, sealed []byte) []byte {
	dst = o.Close(dst, "completed")
	dst = o.begin(dst, compactionItem, "cmp_")
	if !o.Quiet {
		dst = appendTexts(o.itemEvent(dst, "response.compaction.compacting"), "}\n\n")
	}
	o.items = append(o.items, sealed...)
	return o.Close(dst, "")
}

// enter makes sure that an item of the kind with a part of the kind is open.
func (o *Output) enter(dst []byte, item itemKind, part partKind) []byte {
	if o.open != item {
		dst = o.Close(dst, "completed")
		prefix := "msg_"
		if item == reasoningItem {
			prefix = "rs_"
		}
		dst = o.begin(dst, item, prefix)
	}
	if o.part == part {
		return dst
	}
	dst = o.closePart(dst)
	if o.parts > 0 {
		o.items = append(o.items, ',')
	}
	o.part = part
	o.parts++
	o.frame.b = o.frame.b[:0]
	o.partStart = o.size()
	o.items = append(o.items, part.head()...)
	o.textStart = o.size()
	if o.Quiet {
		return dst
	}
	dst = o.partEvent(dst, o.part.event("added"))
	return appendTexts(dst, `,"part":`, part.head(), "\"}}\n\n")
}

func (p partKind) head() string {
	switch p {
	case textPart:
		return `{"type":"output_text","annotations":[],"text":"`
	case refusalPart:
		return `{"type":"refusal","refusal":"`
	case summaryPart:
		return `{"type":"summary_text","text":"`
	default:
		return `{"type":"reasoning_text","text":"`
	}
}

// event is the name of a part's event.
func (p partKind) event(last string) string {
	if p == summaryPart {
		return "response.reasoning_summary_part." + last
	}
	return "response.content_part." + last
}

// index is the member that counts the parts of an item.
func (p partKind) index() string {
	if p == summaryPart {
		return `,"summary_index":`
	}
	return `,"content_index":`
}

// begin opens an item: what stands before its content is written, and the
// item is added with empty content.
func (o *Output) begin(dst []byte, kind itemKind, prefix string) []byte {
	o.open, o.part, o.parts = kind, noPart, 0
	o.kinds[kind] = true
	o.frame.b = o.frame.b[:0]
	o.itemID = o.Resource.appendItemID(o.itemID[:0], prefix, o.count)
	o.count++
	if o.size() > 0 {
		o.items = append(o.items, ',')
	}
	o.itemStart = o.size()
	o.items = append(o.items, `{"id":"`...)
	o.items = append(o.items, o.itemID...)
	switch kind {
	case messageItem:
		o.items = append(o.items, `","type":"message","role":"assistant","content":[`...)
	case reasoningItem:
		o.items = append(o.items, `","type":"reasoning","summary":[`...)
		if !o.ReasoningSummary {
			o.items = append(o.items, `],"content":[`...)
		}
	case callItem:
		o.items = o.call.appendHead(o.items)
	case compactionItem:
		o.items = append(o.items, `","type":"compaction","encrypted_content":"`...)
	}
	if o.Quiet {
		return dst
	}
	dst = o.itemIndexEvent(dst, "response.output_item.added")
	dst = appendRaw(dst, `,"item":`, o.text(o.itemStart, o.size()), "")
	if kind == compactionItem {
		return appendTexts(dst, "\"}}\n\n")
	}
	if kind == callItem && !o.call.Kind.IsText() {
		dst = append(dst, callKinds[o.call.Kind].empty...)
	}
	return appendTexts(dst, o.tail(), "in_progress\"}}\n\n")
}

// tail ends an item's content up to its status.
func (o *Output) tail() string {
	switch {
	case o.open != callItem:
		return `],"status":"`
	case o.call.Kind.IsText():
		return `","status":"`
	default:
		return `,"status":"`
	}
}

func (o *Output) closePart(dst []byte) []byte {
	if o.part == noPart {
		return dst
	}
	textEnd := o.size()
	o.items = append(o.items, '"')
	logprobs := o.logprobs
	if o.part == textPart && len(logprobs) > 0 {
		o.items = append(o.items, `,"logprobs":[`...)
		o.addLogprobs()
		o.items = append(o.items, ']')
	}
	o.items = append(o.items, '}')
	if !o.Quiet {
		switch o.part {
		case textPart:
			dst = o.partEvent(dst, "response.output_text.done")
			dst = o.appendItems(dst, `,"text":"`, o.textStart, textEnd, `","logprobs":[`)
			dst = appendTexts(o.tell(dst, logprobs), "]}\n\n")
		case refusalPart:
			dst = o.partEvent(dst, "response.refusal.done")
			dst = o.appendItems(dst, `,"refusal":"`, o.textStart, textEnd, "\"}\n\n")
		case reasoningPart:
			dst = o.partEvent(dst, o.reasoningEvent("done"))
			dst = o.appendItems(dst, `,"text":"`, o.textStart, textEnd, "\"}\n\n")
		case summaryPart:
			dst = o.partEvent(dst, "response.reasoning_summary_text.done")
			dst = o.appendItems(dst, `,"text":"`, o.textStart, textEnd, "\"}\n\n")
		}
		dst = o.partEvent(dst, o.part.event("done"))
		dst = o.appendItems(dst, `,"part":`, o.partStart, o.size(), "}\n\n")
	}
	if o.part == textPart {
		o.logprobs, o.told = o.logprobs[:0], 0
	}
	o.part = noPart
	return dst
}

// Close finishes the open item, if any, with the status "completed" or
// "incomplete".
func (o *Output) Close(dst []byte, status string) []byte {
	if o.open == noItem {
		return dst
	}
	textEnd := o.size() // of the last part
	dst = o.closePart(dst)
	switch {
	case o.open == compactionItem: // it has no status
		return o.closed(append(o.items, '"', '}'), dst)
	case o.open == callItem:
		dst = o.closeCall(dst)
		o.items = append(o.items, o.tail()...)
	case o.open == reasoningItem && o.ReasoningCopy != nil && textEnd-o.textStart <= maxThought:
		said := jsontext.Decode(nil, o.text(o.textStart, textEnd))
		o.items = append(o.items, `],"encrypted_content":"`...)
		o.items = o.ReasoningCopy(o.items, said)
		o.items = append(o.items, `","status":"`...)
	default:
		o.items = append(o.items, o.tail()...)
	}
	o.items = append(o.items, status...)
	return o.closed(append(o.items, `"}`...), dst)
}

// closed tells the item that is whole now.
func (o *Output) closed(items, dst []byte) []byte {
	o.items = items
	if !o.Quiet {
		dst = o.itemIndexEvent(dst, "response.output_item.done")
		dst = o.appendItems(dst, `,"item":`, o.itemStart, o.size(), "}\n\n")
	}
	o.done = o.size()
	o.open = noItem
	return dst
}

// closeCall tells the whole text of the open call.
func (o *Output) closeCall(dst []byte) []byte {
	if o.Quiet || !o.call.Kind.IsText() {
		return dst
	}
	if o.call.Kind == CustomCall {
		dst = o.itemEvent(dst, "response.custom_tool_call_input.done")
		dst = appendTexts(dst, `,"input":"`)
	} else {
		dst = o.itemEvent(dst, "response.function_call_arguments.done")
		dst = appendString(dst, `,"name":`, o.call.Name)
		dst = appendTexts(dst, `,"arguments":"`)
	}
	return o.appendItems(dst, "", o.textStart, o.size(), "\"}\n\n")
}

// Abandon closes the open item of an answer that broke off as incomplete, so
// that what came of its text is kept. A call stays unfinished: nobody must act
// on half a call.
func (o *Output) Abandon(dst []byte) []byte {
	if o.open == callItem {
		return dst
	}
	return o.Close(dst, "incomplete")
}

// ItemID returns the id of the item at the index: the prefix, the random part of
// the response's ids, and the index.
func (r *Resource) ItemID(prefix string, index int) string {
	return string(r.appendItemID(nil, prefix, index))
}

func (r *Resource) appendItemID(dst []byte, prefix string, index int) []byte {
	dst = appendTexts(dst, prefix, r.id)
	if index < 10 {
		dst = append(dst, '0')
	}
	return strconv.AppendInt(dst, int64(index), 10)
}
