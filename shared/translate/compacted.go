package translate

import (
	"bytes"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// A conversation that gets too long becomes a compaction item, which is the answer, or
// what the answer begins with. What is in it, and who has summed the conversation up,
// is not known here.

// A Memory is a compaction item before it is one.
type Memory struct {
	Sealed []byte          // its encrypted_content, of characters that JSON leaves as they are
	Usage  responses.Usage // of what made it
}

// BeginWith says that the turn's answer begins with a compaction item.
func (u *Turn) BeginWith(m *Memory) { u.memory = m }

// begin appends what the answer begins with.
func (u *Turn) begin(dst []byte) []byte {
	if u.memory != nil {
		dst = u.out.Compaction(dst, u.memory.Sealed)
	}
	return dst
}

// isEmpty reports whether the model has said nothing.
func (u *Turn) isEmpty() bool { return u.out.Count() == 0 || u.memory != nil && u.out.Count() == 1 }

// Compacted appends the answer that is a compaction item and nothing else: events, or
// the resource. now is in Unix seconds.
func (u *Turn) Compacted(dst []byte, m *Memory, now int64) []byte {
	u.output().Quiet = !u.streaming
	u.outcome = responses.Outcome{HasUsage: true, Usage: m.Usage}
	u.state = responses.State{Status: "completed", CompletedAt: now, Usage: &u.outcome.Usage}
	if u.streaming {
		dst = u.out.Compaction(u.out.Begin(dst), m.Sealed)
		u.state.Output, u.state.Apart = u.out.Items()
		out, resource := u.out.End(dst, &u.state)
		u.ended(resource)
		return out
	}
	u.out.Compaction(nil, m.Sealed)
	u.state.Output, u.state.Apart = u.out.Items()
	return u.append(dst)
}

// AppendPlain appends a chat request without tools, for an answer that is a text.
func AppendPlain(dst, chat []byte) []byte {
	start := len(dst)
	jsontext.Members(chat, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "tools", "tool_choice", "parallel_tool_calls":
		default:
			dst = appendNamed(dst, start, string(name), value)
		}
		return true
	})
	return append(dst, '}')
}

// cutMark tells who reads a text that its model was not done with it.
const cutMark = " […] (cut at its limit of tokens)"

// ReadText reads the text of a whole chat answer, without its thought, and its usage.
// A text that ended at its limit of tokens says so at its end. The error is a 502 for
// what is none, says nothing, or was filtered.
func ReadText(answer []byte) (text string, used responses.Usage, err *responses.Error) {
	var parser fastjson.Parser
	v, broken := parser.ParseBytes(bytes.TrimPrefix(answer, []byte(byteOrderMark)))
	if broken != nil || v.Type() != fastjson.TypeObject {
		return "", used, badUpstream("an answer that is not JSON")
	}
	var a chat.Answer
	a.Read(v)
	if a.Err != nil {
		return "", used, inBand(a.Err)
	}
	used = responses.Usage{Input: a.Usage.Input, Output: a.Usage.Output, Total: a.Usage.Total, Cached: a.Usage.Cached, Reasoning: a.Usage.Reasoning}
	said := []byte(nil)
	if a.Content != nil {
		said = a.Content.GetStringBytes()
	}
	said = withoutThought(said)
	switch {
	case a.Finish == "content_filter":
		return "", used, badUpstream("an answer that was filtered")
	case len(said) == 0:
		return "", used, badUpstream("an answer without a text")
	case a.Finish == "length":
		return string(said) + cutMark, used, nil
	}
	return string(said), used, nil
}

// withoutThought is what follows a thought that the server has left in the text: nothing
// follows one that does not end.
func withoutThought(said []byte) []byte {
	const begin, end = "<think>", "</think>"
	if i := bytes.LastIndex(said, []byte(end)); i >= 0 {
		said = said[i+len(end):]
	}
	if said = bytes.TrimSpace(said); bytes.HasPrefix(said, []byte(begin)) {
		return nil
	}
	return said
}
