package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// input writes the messages: instructions, then the items of input.
func (w *requestWork) input() *responses.Error {
	if w.r.Instructions != nil {
		w.scratch = w.scratch[:0]
		text, ok := jsontext.AppendRaw(w.scratch, w.r.Instructions)
		if !ok {
			return responses.WrongType("instructions", "a string", w.r.Instructions)
		}
		w.scratch = text
		w.mappedInto("instructions", w.systemMessage(), "content")
		w.systemText(text)
	}
	items := w.r.Input.GetArray()
	w.items = items
	if w.past > 0 {
		w.items = append(w.history.GetArray(), items...)
	} else if items == nil {
		return w.inputString()
	}
	start := len(w.dst)
	for i, item := range w.items {
		if err := w.item(item, i-w.past); err != nil {
			return err
		}
	}
	if items == nil { // a text, or nothing
		if err := w.beginTurn(); err != nil {
			return err
		}
		if err := w.inputString(); err != nil {
			return err
		}
	}
	w.flushSystem()
	w.flushAssistant()
	if err := w.lateResults(); err != nil {
		return err
	}
	w.flushMedia()
	w.insertLate(start)
	if w.messages == 0 {
		return emptyInput()
	}
	return nil
}

func (w *requestWork) inputString() *responses.Error {
	w.flushSystem()
	start := len(w.dst)
	w.nextMessage(`{"role":"user","content":"`)
	var ok bool
	if w.dst, ok = jsontext.AppendRaw(w.dst, w.r.Input); !ok {
		if w.r.Input.Type() != fastjson.TypeArray {
			return responses.WrongType("input", "a string or an array of items", w.r.Input)
		}
		w.dst = w.dst[:start] // an empty array
		if w.messages--; w.messages == 0 {
			return emptyInput()
		}
		return nil
	}
	w.str(`"}`)
	w.mappedInto("input", w.messages-1, "content")
	return nil
}

func emptyInput() *responses.Error {
	return invalidValue("input", "is empty, and there are no instructions: there is nothing to answer")
}

// nextMessage begins the next message, behind a comma when it is not the first.
//
//go:noinline
func (w *requestWork) nextMessage(head string) {
	if w.messages > 0 {
		w.dst = append(w.dst, ',')
	}
	w.messages++
	w.dst = append(w.dst, head...)
}

// systemText takes the text of instructions or of a system or developer
// message. Chat templates want one system message, at the beginning: with
// FoldSystem all of them become one, in their order.
func (w *requestWork) systemText(text []byte) {
	switch {
	case !w.opt.FoldSystem:
		w.nextMessage(`{"role":"system","content":`)
		w.quoted(text)
		w.str(`}`)
	case !w.begun:
		w.system = appendFolded(w.system, w.hasSystem, text)
		w.hasSystem = true
	default:
		w.late = appendFolded(w.late, w.hasLate, text)
		w.hasLate = true
	}
}

func appendFolded(dst []byte, more bool, text []byte) []byte {
	dst = jsontext.GrowTwice(dst, len(newline+newline)+len(text))
	if more {
		dst = append(dst, newline+newline...)
	}
	return append(dst, text...)
}

// flushSystem ends the leading system messages.
func (w *requestWork) flushSystem() {
	w.begun = true
	if !w.hasSystem {
		return
	}
	w.hasSystem = false
	w.nextMessage(`{"role":"system","content":`)
	w.quoted(w.system)
	w.systemEnd = len(w.dst) - 1
	w.str(`}`)
}

// insertLate puts the text of system messages that came later behind that of
// the leading ones. start is where the messages begin in dst.
func (w *requestWork) insertLate(start int) {
	switch {
	case !w.hasLate:
	case w.systemEnd > 0:
		w.insert(w.systemEnd, append([]byte(newline+newline), w.late...))
	default:
		message := append([]byte(`{"role":"system","content":"`), w.late...)
		message = append(message, `"}`...)
		if w.messages++; w.messages > 1 {
			message = append(message, ',')
		}
		w.insert(start, message)
		w.shifted()
	}
}

// insert puts a text into what is written.
func (w *requestWork) insert(at int, text []byte) {
	w.dst = append(w.dst, text...)
	copy(w.dst[at+len(text):], w.dst[at:])
	copy(w.dst[at:], text)
}

// beginTurn ends what must stand before a message that is not the assistant's.
func (w *requestWork) beginTurn() *responses.Error {
	w.flushSystem()
	w.flushAssistant()
	if err := w.settle(); err != nil {
		return err
	}
	w.flushMedia()
	return nil
}

// beginAssistant ends what must stand before the assistant's message.
func (w *requestWork) beginAssistant() *responses.Error {
	w.flushSystem()
	if err := w.settle(); err != nil {
		return err
	}
	w.flushMedia()
	w.assistant.open = true
	return nil
}
