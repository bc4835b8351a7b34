package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// agentMessage writes what one of Codex' agents tells another, which comes in the
// conversation of the other, as a message of the user. Its text says who the
// agents are.
func (w *requestWork) agentMessage(o *fastjson.Object, i int) *responses.Error {
	content := o.Get("content")
	if jsontext.IsNull(content) {
		return missing(item(i).of("content"))
	}
	parts := content.GetArray()
	if len(parts) == 0 {
		return responses.WrongType(item(i).of("content"), "an array of parts", content)
	}
	if err := w.beginTurn(); err != nil {
		return err
	}
	w.nextMessage(`{"role":"user","content":[`)
	w.into(w.messages-1, "role", item(i), "type")
	for j, part := range parts {
		if j > 0 {
			w.str(`,`)
		}
		var err *responses.Error
		if w.dst, err = w.appendAgentPart(w.dst, part, place{i, "content", j}); err != nil {
			return err
		}
	}
	w.str(`]}`)
	return nil
}

// appendAgentPart appends a part of such a message. What stands there as
// encrypted_content is sealed by OpenAI only; here it is the argument of the call
// that sent the message, as the model wrote it.
func (w *requestWork) appendAgentPart(dst []byte, part *fastjson.Value, at place) ([]byte, *responses.Error) {
	typ, err := partType(part, at)
	if err != nil {
		return dst, err
	}
	if string(typ) != "encrypted_content" {
		return w.appendPart(dst, part, at)
	}
	w.intoPart("type", at, "type")
	w.intoPart("text", at, "encrypted_content")
	dst = append(dst, `{"type":"text","text":"`...)
	dst, err = appendText(dst, part.Get("encrypted_content"), at, "encrypted_content")
	return append(dst, `"}`...), err
}
