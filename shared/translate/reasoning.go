package translate

import (
	"unicode/utf8"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/thought"

	"github.com/valyala/fastjson"
)

// reasoning takes a thought of the history: the whole one, or the copy of it
// that this gateway made, or else its summary. What somebody else has encrypted
// is not for us to read.
func (w *requestWork) reasoning(o *fastjson.Object, i int) *responses.Error {
	if err := w.beginAssistant(); err != nil {
		return err
	}
	found, err := w.thoughts(o, i, "content", "reasoning_text")
	if found || err != nil {
		return err
	}
	if v := o.Get("encrypted_content"); jsontext.IsString(v) {
		encoded := jsontext.Bytes(v)
		if isOurs(encoded) {
			if w.copied += len(encoded); w.copied > maxCopied {
				return responses.Invalid(item(i).of("encrypted_content"), "is more than this server opens in one request")
			}
			if text, ok := w.open(encoded); ok {
				w.into(w.messages, w.opt.ReasoningField, item(i), "encrypted_content")
				a := w.nextThought()
				a.reasoning, _, err = w.appendDecoded(a.reasoning, text, false, item(i), "encrypted_content")
				return err
			}
		}
		if w.opt.Sealer != nil && len(encoded) > 0 {
			return notOpened(i)
		}
	}
	_, err = w.thoughts(o, i, "summary", "summary_text")
	return err
}

// maxCopied is how many bytes of copies are opened in one request: their thoughts are some
// hundred thousand tokens.
const maxCopied = 4 << 20

// isOurs reports whether a copy begins as ours do, whose first byte is small. Line ends
// are no part of it.
func isOurs(encoded []byte) bool {
	return len(encoded) > 0 && (encoded[0] == 'A' || encoded[0] == '\n' || encoded[0] == '\r')
}

// open returns the thought of a copy. One that is only coded is from before there were
// keys, or from a client, which may tell thoughts in clear as well.
func (w *requestWork) open(encoded []byte) (text []byte, ok bool) {
	if w.opt.Sealer != nil {
		text, ok = w.opt.Sealer.OpenText(seal.Thought, w.owner, encoded)
	}
	if !ok {
		text, ok = thought.Open(encoded)
	}
	return text, ok && utf8.Valid(text)
}

// appendCopy appends the copy of a thought, for clients to send back.
func (u *Turn) appendCopy(dst, said []byte) []byte {
	if s := u.from.opt.Sealer; s != nil {
		return s.AppendText(dst, seal.Thought, u.owner, said)
	}
	return thought.AppendCopy(dst, said)
}

// notOpened refuses an item whose thought would be lost in silence.
func notOpened(i int) *responses.Error {
	err := responses.NewError(400, "invalid_encrypted_content", "the encrypted content of the reasoning item cannot be opened: it was changed, or sealed for somebody else or with a key that is not here")
	err.Param = item(i).of("encrypted_content")
	return err
}

// thoughts takes the parts of a list, and reports whether there are any.
func (w *requestWork) thoughts(o *fastjson.Object, i int, list, partOf string) (bool, *responses.Error) {
	v := o.Get(list)
	if jsontext.IsNull(v) {
		return false, nil
	}
	if v.Type() != fastjson.TypeArray {
		return false, responses.WrongType(item(i).of(list), "an array", v)
	}
	parts := v.GetArray()
	for j, part := range parts {
		at := place{i, list, j}
		if typ, err := partType(part, at); err != nil {
			return false, err
		} else if string(typ) != partOf && string(typ) != "text" {
			return false, unknownPart(at, typ)
		}
		w.lookedAt(at, "type")
		w.into(w.messages, w.opt.ReasoningField, at, "text")
		a := w.nextThought()
		var err *responses.Error
		if a.reasoning, err = appendText(a.reasoning, part.Get("text"), at, "text"); err != nil {
			return false, err
		}
	}
	return len(parts) > 0, nil
}

// nextThought is the assistant's message, ready for another thought.
func (w *requestWork) nextThought() *assistant {
	a := &w.assistant
	if len(a.reasoning) > 0 {
		a.reasoning = append(a.reasoning, newline...)
	}
	return a
}
