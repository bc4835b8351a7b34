package translate

import (
	"bytes"
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
	u.output().Quiet = true
	u.begin(nil)
	w := chunkWorks.Get().(*chunkWork)
	v, failed := w.parser.ParseBytes(bytes.TrimPrefix(answer, []byte(byteOrderMark)))
	dst, err := u.answer(dst, w, v, failed, now)
	w.done()
	return dst, err
}

// treeBytes is the largest answer or chunk whose parse tree is made of all of it.
const treeBytes = 16 << 10

// answer translates an answer as it was parsed; its logprobs, when there are many, the
// output has already.
func (u *Turn) answer(dst []byte, w *chunkWork, v *fastjson.Value, failed error, now int64) ([]byte, *responses.Error) {
	if _, err := u.read(nil, w, v, failed, now); err != nil {
		return dst, err
	}
	return u.append(jsontext.Grow(dst, len(u.state.Output)+u.resource.Held()+(1<<10))), nil
}

// read tells the turn's output what a whole answer says, and its state how it
// ends. Events are appended to dst.
func (u *Turn) read(dst []byte, w *chunkWork, v *fastjson.Value, failed error, now int64) ([]byte, *responses.Error) {
	if failed != nil || v.Type() != fastjson.TypeObject {
		return dst, badUpstream("an answer that is not JSON")
	}
	var a chat.Answer
	a.Read(v)
	if a.Err != nil {
		return dst, inBand(a.Err)
	}
	if !a.HasChoice {
		return dst, badUpstream("an answer without choices")
	}
	u.readUsage(&a.Usage)
	out := &u.out
	dst, e := u.whole(dst, out, w, &a)
	if e == nil {
		e = u.unsaid(a.HasText, a.Unread, a.Finish)
	}
	if e != nil {
		return dst, e
	}
	return u.finish(dst, out, a.Finish, now), nil
}

// output is the turn's output, empty.
func (u *Turn) output() *responses.Output {
	u.out.Reset()
	u.escapes, u.looks = 0, looks{values: mostValues}
	u.out.Resource, u.out.ReasoningEvents = &u.resource, u.from.opt.ReasoningEvents
	u.out.ReasoningSummary = u.summaries
	if u.copies {
		u.out.ReasoningCopy = u.appendCopy
	}
	return &u.out
}

// unsaid is the failure of an answer in which nothing was found to say, nil when
// it was truly empty. One that ends with a call has said one.
func (u *Turn) unsaid(hasText bool, unread, finish string) *responses.Error {
	endsInCall := (finish == "tool_calls" || finish == "function_call") && !u.out.HasCall()
	switch {
	case !u.isEmpty() && !endsInCall:
		return nil
	case !hasText:
		return badUpstream("an answer without a message")
	case unread != "":
		return badUpstream("an answer in a form that is not read, in its member " + quote(unread))
	case endsInCall && !u.out.HasMessage():
		return badUpstream("an answer that ends with a tool call and has none")
	}
	return nil
}

func (u *Turn) whole(dst []byte, out *responses.Output, w *chunkWork, a *chat.Answer) ([]byte, *responses.Error) {
	text, err := w.said(a.Reasoning)
	if err != nil {
		return dst, err
	}
	if len(text) > 0 {
		dst = out.Reasoning(dst, text)
	}
	if text, err = w.said(a.Content); err != nil {
		return dst, err
	}
	if len(text) > 0 {
		w.appendLogprobs(a.Logprobs)
		dst = out.Text(dst, text, w.logprobs)
	} else {
		out.DropLogprobs()
	}
	if text, err = w.said(a.Refusal); err != nil {
		return dst, err
	}
	if len(text) > 0 {
		dst = out.Refusal(dst, text)
	}
	place, n := 0, callsOf(a)
	for i := range n {
		if w.isEmptyCall(a, i) {
			a.Unread = "tool_calls"
			continue
		}
		v, err := callOf(a, i)
		if err != nil {
			return dst, err
		}
		var made int
		if dst, made, err = u.wholeCall(dst, out, w, v, place, isCut(a.Finish) && i == n-1); err != nil {
			return dst, err
		}
		place += made
	}
	return dst, nil
}

// wholeCall tells a call of a whole answer, and those that stand behind it in
// its arguments. It returns how many they are.
func (u *Turn) wholeCall(dst []byte, out *responses.Output, w *chunkWork, v toolCall, place int, cut bool) ([]byte, int, *responses.Error) {
	id, err := w.idOf(u, v)
	if err != nil {
		return dst, 0, err
	}
	call, err := u.beginCall(v, string(id.text), place)
	if err != nil {
		return dst, 0, err
	}
	if call.Name == "" {
		return dst, 0, badUpstream("a tool call without a name")
	}
	escaped, said, err := w.arguments(u, v)
	if err != nil {
		return dst, 0, err
	}
	if !u.tells(call.Kind, len(said)) {
		return dst, 0, responses.AnswerTooLarge()
	}
	plain := len(said) == len(escaped) // then there is nothing to escape
	if call.Kind == responses.FunctionCall && u.looks.isOne(said) && said[0] == '{' && !saysNothing(said) || cut && len(trimLeft(said)) == 0 && call.Kind.IsText() {
		dst = out.BeginCall(dst, call)
		if len(escaped) > 0 {
			dst = out.CallDelta(dst, escaped)
		}
		return dst, 1, nil
	}
	all := u.looks.split(said, call.Kind == responses.CustomCall)
	for i, text := range all {
		if i > 0 {
			if err = checkPlace(place + i); err != nil {
				return dst, 0, err
			}
			call.ID = u.resource.ItemID("call_", place+i)
		}
		isCut := cut && i == len(all)-1
		if !call.Kind.IsText() {
			if dst, err = u.clientCall(dst, call, text, isCut); err != nil {
				return dst, 0, err
			}
			continue
		}
		if call.Kind == responses.CustomCall {
			w.input = customInput{held: w.input.held[:0]}
			w.call = w.input.end(w.input.write(w.call[:0], text), isCut)
			text = w.call
		} else if !plain {
			w.call = jsontext.AppendEscaped(jsontext.Grow(w.call[:0], len(text)+len(text)/8), text)
			text = w.call
		}
		dst = out.BeginCall(dst, call)
		if len(text) > 0 {
			dst = out.CallDelta(dst, text)
		}
	}
	return dst, len(all), nil
}

// tells counts the arguments of a call that are told at once, those of a client's tool twice: they
// are parsed and written anew. It is false when they are too long, with those of the answer's other
// calls.
func (u *Turn) tells(kind responses.CallKind, arguments int) bool {
	if !kind.IsText() {
		arguments *= 2
	}
	u.looks.told += arguments
	most := u.from.opt.TextBytes
	return most == 0 || u.looks.told <= most
}

// clientCall tells the call of a tool that the client runs. One that was cut is
// not told: nobody must act on half of it.
func (u *Turn) clientCall(dst []byte, call responses.Call, arguments []byte, cut bool) ([]byte, *responses.Error) {
	value, ok := raiseClient(call.Kind, arguments, u.looks.parses(arguments, u.from.opt.Limits.Values))
	switch {
	case cut && (!ok || !isWhole(arguments)):
		return dst, nil
	case !ok:
		return dst, badUpstream("a call of " + call.Name + " whose arguments do not say what to do")
	}
	return u.out.ClientCall(dst, call, value), nil
}

// callsOf returns how many calls an answer or a chunk has.
func callsOf(a *chat.Answer) int {
	if a.Function != nil {
		return 1
	}
	return len(a.ToolCalls)
}

// callOf returns the call at i.
func callOf(a *chat.Answer, i int) (toolCall, *responses.Error) {
	call := toolCall{function: a.Function}
	if a.Function == nil {
		call.entry = a.ToolCalls[i]
		call.function = call.entry.Get("function")
	}
	if call.entry != nil && call.entry.GetObject() == nil || call.entry == nil && call.function.GetObject() == nil {
		return call, badUpstream("a tool call that is not an object")
	}
	return call, nil
}

// maxCalls is about how many calls an answer may have: each is told in four events, and
// looked for among all.
const maxCalls = 2048

// checkPlace is the failure of a call that has too many before it.
func checkPlace(place int) *responses.Error {
	if place >= maxCalls {
		return badUpstream("more tool calls than any answer has")
	}
	return nil
}

// beginCall reads what a tool call begins with. id is its upstream id, escaped.
// Without one, or with one that is longer than the Responses API allows, it
// gets another, made of its place among the calls. Its Name is empty when there
// is none.
func (u *Turn) beginCall(v toolCall, id string, place int) (responses.Call, *responses.Error) {
	if err := checkPlace(place); err != nil {
		return responses.Call{}, err
	}
	name := v.function.Get("name")
	call := responses.Call{}
	if !jsontext.IsNull(name) {
		if name.Type() != fastjson.TypeString {
			return call, badUpstream("a tool call whose name is not a string")
		}
		call = u.raise(functionName(name.GetStringBytes()))
	}
	if call.ID = id; id == "" || len(id) > maxCallID && utf8.RuneCount(jsontext.Decode(nil, []byte(id))) > maxCallID {
		call.ID = u.resource.ItemID("call_", place)
	}
	return call, nil
}

// functionName returns the name that a call says, without what remains in it of
// the model's own form of a message ("f<|channel|>commentary").
func functionName(said []byte) []byte {
	name, _, _ := bytes.Cut(said, []byte("<|"))
	return bytes.TrimSpace(name)
}
