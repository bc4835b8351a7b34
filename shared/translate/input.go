package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// input writes the messages: instructions, then the items of input.
func (w *requestWork) input() *responses.Error {
	if w.r.Instructions.Exists() {
		if w.r.Instructions.Kind() != jsontext.String {
			return responses.WrongType("instructions", "a string", w.r.Instructions)
		}
		w.systemText(w.r.Instructions.Raw())
	}
	if w.r.Input.Kind() != jsontext.Array {
		return w.inputString()
	}
	for i, item := 0, w.r.Input.First(); item.Exists(); i, item = i+1, item.Next() {
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
	if w.r.Input.Kind() != jsontext.String {
		return responses.WrongType("input", "a string or an array of items", w.r.Input)
	}
	w.flushSystem()
	w.nextMessage()
	w.str(`{"role":"user","content":`)
	w.quoted(w.r.Input.Raw())
	w.str(`}`)
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
