package translate

import (
	"slices"
	"unicode/utf8"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// Response translates a whole chat answer (HTTP status 2xx) into the response
// resource, appended to dst. now is in Unix seconds. The error is a 502 for
// what is not a chat answer.
func (u *Turn) Response(dst, answer []byte, now int64) ([]byte, *responses.Error) {
	if len(answer) > treeBytes {
		w := u.Whole()
		w.Write(answer)
		return w.End(dst, now)
	}
	w := chunkWorks.Get().(*chunkWork)
	defer w.done()
	u.output().Quiet = true
	return u.answer(dst, w, answer, now)
}

// treeBytes is the largest answer or chunk whose parse tree is made of all of it.
const treeBytes = 16 << 10

// answer translates an answer whose logprobs, when there are many, the output has
// already.
func (u *Turn) answer(dst []byte, w *chunkWork, answer []byte, now int64) ([]byte, *responses.Error) {
	if len(answer) > treeBytes {
		w.reserve(len(answer))
		u.out.Reserve(len(answer))
	}
	v, err := w.parser.ParseBytes(answer)
	if err != nil || v.Type() != fastjson.TypeObject {
		return dst, badUpstream("an answer that is not JSON")
	}
	a := chat.Read(v)
	if a.Err != nil {
		return dst, inBand(a.Err)
	}
	if !a.HasChoice {
		return dst, badUpstream("an answer without choices")
	}
	u.readUsage(a.Usage)
	out := &u.out
	if e := u.whole(out, w, a); e != nil {
		return dst, e
	}
	_, state := u.finish(nil, out, a.Finish, now)
	dst = slices.Grow(dst, len(state.Output)+u.resource.Held()+(1<<10))
	start := len(dst)
	dst = u.resource.Append(dst, state)
	u.ended(state, dst[start:])
	return dst, nil
}

// output is the turn's output, empty.
func (u *Turn) output() *responses.Output {
	u.out.Reset()
	u.out.Resource, u.out.ReasoningEvents = &u.resource, u.from.opt.ReasoningEvents
	return &u.out
}

func (u *Turn) whole(out *responses.Output, w *chunkWork, a chat.Answer) *responses.Error {
	text, err := w.fragment(a.Reasoning)
	if err != nil {
		return err
	}
	if len(text) > 0 {
		out.Reasoning(nil, text)
	}
	if text, err = w.fragment(a.Content); err != nil {
		return err
	}
	if len(text) > 0 {
		w.appendLogprobs(a.Logprobs)
		out.Text(nil, text, w.logprobs)
	} else {
		out.DropLogprobs()
	}
	if text, err = w.fragment(a.Refusal); err != nil {
		return err
	}
	if len(text) > 0 {
		out.Refusal(nil, text)
	}
	for i, v := range a.ToolCalls {
		id, err := w.fragment(v.Get("id"))
		if err != nil {
			return err
		}
		call, err := u.beginCall(v, string(id), i)
		if err != nil {
			return err
		}
		if call.Name == "" {
			return badUpstream("a tool call without a name")
		}
		if text, err = w.arguments(v); err != nil {
			return err
		}
		out.BeginCall(nil, call)
		if call.Custom {
			var input customInput
			w.decoded = jsontext.Decode(w.decoded[:0], text)
			text = input.end(input.write(nil, w.decoded), isCut(a.Finish) && i == len(a.ToolCalls)-1)
		}
		out.CallDelta(nil, text)
	}
	return nil
}

// beginCall reads what a tool call begins with. id is its upstream id, escaped.
// Without one, or with one that is longer than the Responses API allows, it
// gets another, made of its place among the calls. Its Name is empty when there
// is none.
func (u *Turn) beginCall(v *fastjson.Value, id string, place int) (responses.Call, *responses.Error) {
	name := v.Get("function", "name")
	call := responses.Call{}
	if !jsontext.IsNull(name) {
		if name.Type() != fastjson.TypeString {
			return call, badUpstream("a tool call whose name is not a string")
		}
		call = u.raise(name.GetStringBytes())
	}
	if call.ID = id; id == "" || len(id) > maxCallID && utf8.RuneCount(jsontext.Decode(nil, []byte(id))) > maxCallID {
		call.ID = u.resource.ItemID("call_", place)
	}
	return call, nil
}
