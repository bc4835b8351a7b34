package translate

import "antwort/shared/jsontext"

// assistant is the message that gathers what the assistant said in one turn:
// its reasoning, its text and all its calls belong into one chat message.
// Texts are escaped.
type assistant struct {
	open                               bool
	hasText, hasRefusal                bool
	reasoning, content, refusal, calls []byte
	long                               []longArguments
	pending                            []pendingCall // the calls
}

// reset empties the message; one that is not open is empty.
func (a *assistant) reset() {
	if !a.open {
		return
	}
	a.open, a.hasText, a.hasRefusal = false, false, false
	a.reasoning, a.content, a.refusal, a.calls = a.reasoning[:0], a.content[:0], a.refusal[:0], a.calls[:0]
	a.pending, a.long = a.pending[:0], a.long[:0]
}

// newline separates two texts inside a JSON string.
const newline = `\n`

func (w *requestWork) flushAssistant() {
	a := &w.assistant
	if !a.open || !a.hasText && !a.hasRefusal && len(a.reasoning) == 0 && len(a.calls) == 0 {
		w.unsaid()
		a.reset() // at most a thought that is only encrypted
		return
	}
	w.nextMessage(`{"role":"assistant","content":`)
	if a.hasText || len(a.calls) == 0 && !a.hasRefusal {
		w.quoted(a.content)
	} else {
		w.str(`null`)
	}
	if len(a.reasoning) > 0 {
		w.word(`,"`, w.opt.ReasoningField, `":`)
		w.quoted(a.reasoning)
	}
	if a.hasRefusal {
		w.str(`,"refusal":`)
		w.quoted(a.refusal)
	}
	if len(a.calls) > 0 {
		w.str(`,"tool_calls":[`)
		w.dst = a.appendCalls(w.dst)
		w.str(`]`)
	}
	w.str(`}`)
	w.results.wait(a.pending)
	a.reset()
}

//go:noinline
func (w *requestWork) quoted(escaped []byte) {
	w.dst = append(append(append(w.dst, '"'), escaped...), '"')
}

// beginCall adds a tool call, the item of the input, up to its arguments.
func (a *assistant) beginCall(id []byte, item int, name []byte) {
	a.pending = append(a.pending, pendingCall{id, item})
	if len(a.calls) > 0 {
		a.calls = append(a.calls, ',')
	}
	a.calls = append(a.calls, `{"id":`...)
	a.calls = jsontext.AppendString(a.calls, id)
	a.calls = append(a.calls, `,"type":"function","function":{"name":`...)
	a.calls = jsontext.AppendString(a.calls, name)
	a.calls = append(a.calls, `,"arguments":"`...)
}

// callBytes is about how many bytes a call takes besides its arguments.
const callBytes = 128

// said adds arguments, escaped. Long ones are told where they lie, and written with the
// message.
func (a *assistant) said(arguments []byte, twice bool) {
	switch {
	case len(arguments) >= jsontext.LongString:
		a.long = append(a.long, longArguments{len(a.calls), arguments, twice})
	case twice:
		a.calls = jsontext.AppendTwice(jsontext.GrowTwice(a.calls, len(arguments)+len(arguments)/4), arguments)
	default:
		a.calls = append(jsontext.GrowTwice(a.calls, len(arguments)+callBytes), arguments...)
	}
}

// wrapped adds arguments that are an object whose only text is the given escaped one.
func (a *assistant) wrapped(head string, text []byte) {
	a.calls = jsontext.AppendEscaped(a.calls, head)
	a.said(text, true)
	a.calls = append(a.calls, `\"}`...)
}

// endCall ends it behind its arguments.
func (a *assistant) endCall() { a.calls = append(a.calls, `"}}`...) }

// longArguments are those that are not copied into calls.
type longArguments struct {
	at    int // in calls
	text  []byte
	twice bool // it is to be escaped once more
}

// appendCalls appends the calls.
func (a *assistant) appendCalls(dst []byte) []byte {
	from := 0
	for _, l := range a.long {
		dst = append(dst, a.calls[from:l.at]...)
		if from = l.at; l.twice {
			dst = jsontext.AppendTwice(dst, l.text)
		} else {
			dst = append(dst, l.text...)
		}
	}
	return append(dst, a.calls[from:]...)
}
