package translate

import "antwort/shared/jsontext"

// assistant is the message that gathers what the assistant said in one turn:
// its reasoning, its text and all its calls belong into one chat message.
// Texts are escaped.
type assistant struct {
	open                               bool
	hasText, hasRefusal                bool
	reasoning, content, refusal, calls []byte
	pending                            []pendingCall // the calls
}

// reset empties the message; one that is not open is empty.
func (a *assistant) reset() {
	if !a.open {
		return
	}
	a.open, a.hasText, a.hasRefusal = false, false, false
	a.reasoning, a.content, a.refusal, a.calls = a.reasoning[:0], a.content[:0], a.refusal[:0], a.calls[:0]
	a.pending = a.pending[:0]
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
		w.dst = append(w.dst, a.calls...)
		w.str(`]`)
	}
	w.str(`}`)
	w.results.pending = append(w.results.pending[:0], a.pending...)
	a.reset()
}

//go:noinline
func (w *requestWork) quoted(escaped []byte) {
	w.dst = append(append(append(w.dst, '"'), escaped...), '"')
}

// call adds a tool call, the item of the input. Arguments are the escaped inside
// of a JSON string.
func (a *assistant) call(id []byte, item int, name, arguments []byte) {
	a.pending = append(a.pending, pendingCall{id, item})
	if len(a.calls) > 0 {
		a.calls = append(a.calls, ',')
	}
	a.calls = append(a.calls, `{"id":`...)
	a.calls = jsontext.AppendString(a.calls, id)
	a.calls = append(a.calls, `,"type":"function","function":{"name":`...)
	a.calls = jsontext.AppendString(a.calls, name)
	a.calls = append(a.calls, `,"arguments":"`...)
	a.calls = append(a.calls, arguments...)
	a.calls = append(a.calls, `"}}`...)
}
