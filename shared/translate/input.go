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
		w.systemText(text)
	}
	if w.r.Input.GetArray() == nil {
		return w.inputString()
	}
	for i, item := range w.r.Input.GetArray() {
		if err := w.item(item, i); err != nil {
			return err
		}
	}
	w.flushSystem()
	w.flushAssistant()
	w.flushMedia()
	if w.messages == 0 {
		return emptyInput()
	}
	return nil
}

func (w *requestWork) inputString() *responses.Error {
	w.flushSystem()
	start := len(w.dst)
	w.nextMessage()
	w.str(`{"role":"user","content":"`)
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
	return nil
}

func emptyInput() *responses.Error {
	return invalidValue("input", "is empty, and there are no instructions: there is nothing to answer")
}

// nextMessage separates the next message from the one before.
func (w *requestWork) nextMessage() {
	if w.messages > 0 {
		w.str(`,`)
	}
	w.messages++
}

// systemText takes the text of instructions or of a system or developer
// message. Chat templates want one system message, at the beginning: with
// FoldSystem the leading ones become one.
func (w *requestWork) systemText(text []byte) {
	if w.opt.FoldSystem && !w.begun {
		if w.hasSystem {
			w.system = append(w.system, newline+newline...)
		}
		w.hasSystem = true
		w.system = append(w.system, text...)
		return
	}
	w.beginTurn()
	w.nextMessage()
	w.str(`{"role":"system","content":`)
	w.quoted(text)
	w.str(`}`)
}

// flushSystem ends the leading system messages.
func (w *requestWork) flushSystem() {
	w.begun = true
	if !w.hasSystem {
		return
	}
	w.hasSystem = false
	w.nextMessage()
	w.str(`{"role":"system","content":`)
	w.quoted(w.system)
	w.str(`}`)
}

// beginTurn ends what must stand before a message that is not the assistant's.
func (w *requestWork) beginTurn() {
	w.flushSystem()
	w.flushAssistant()
	w.flushMedia()
}

// beginAssistant ends what must stand before the assistant's message.
func (w *requestWork) beginAssistant() {
	w.flushSystem()
	w.flushMedia()
	w.assistant.open = true
}
