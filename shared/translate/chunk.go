package translate

import (
	"bytes"
	"sync"

	"antwort/shared/chat"
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// chunkWork is what reading one answer or chunk needs. It is pooled, so that a
// waiting stream holds none of it.
type chunkWork struct {
	parser   fastjson.Parser
	text     []byte // the fragment read last, escaped
	decoded  []byte
	logprobs []byte
	split    chat.Splitter   // of a long chunk
	told     []byte          // its logprobs, rendered
	call     []byte          // what a call of a whole answer says, escaped
	input    customInput     // where it is of a custom tool
	long     bool            // it has read a long answer or chunk
	mends    int             // how many broken characters were mended
	rest     []byte          // what the splitter has left
	spans    []jsontext.Span // the long strings in it, where they are right
}

var chunkWorks = sync.Pool{New: func() any { return new(chunkWork) }}

// done gives w back. What a long answer needed is left to the garbage collector.
func (w *chunkWork) done() {
	w.told, w.mends, w.rest, w.spans = nil, 0, nil, nil
	if w.long {
		*w = chunkWork{}
	}
	chunkWorks.Put(w)
}

// parse parses what a splitter has left of an answer or a chunk. Its long strings, where
// they are right, the parser does not see, nor are they copied. mark is what may stand
// before it.
func (w *chunkWork) parse(split *chat.Splitter, mark string) (*fastjson.Value, error) {
	text := split.Rest()
	parse := jsontext.ParseInPlace // nobody else reads it
	w.long = w.long || len(text) > treeBytes
	long, ok := split.Long()
	if ok && len(long) > 0 {
		if w.text, ok = jsontext.AppendShortUnchecked(w.text[:0], text, long); ok {
			w.rest, w.spans = text, long
			text, parse = w.text, (*fastjson.Parser).ParseBytes
		}
	}
	v, err := parse(&w.parser, bytes.TrimPrefix(text, []byte(mark)))
	if err == nil && len(w.spans) > 0 {
		jsontext.Lengthen(v, w.rest, long, nil)
	}
	return v, err
}

// sound returns a long string that is known to be right as it lies there, and how many
// escapes it has. It is false of another value.
func (w *chunkWork) sound(v *fastjson.Value) (text []byte, escapes int, ok bool) {
	if text, ok = jsontext.LongInside(v); ok {
		for _, s := range w.spans {
			if &w.rest[s.From] == &text[0] {
				return text, s.Escapes, true
			}
		}
	}
	return nil, 0, false
}

// said is fragment without a copy of a long string.
func (w *chunkWork) said(v *fastjson.Value) ([]byte, *responses.Error) {
	if text, _, ok := w.sound(v); ok {
		return text, nil
	}
	return w.fragment(v)
}

// fragment returns the escaped inside of a string, empty when v is absent or
// null. It is valid until the next call.
func (w *chunkWork) fragment(v *fastjson.Value) ([]byte, *responses.Error) {
	if err := w.raw(v); err != nil || jsontext.Inside(w.text) {
		return w.text, err
	}
	return w.mend()
}

// raw makes the escaped inside of a string w.text, whatever is in it.
func (w *chunkWork) raw(v *fastjson.Value) *responses.Error {
	w.text = w.text[:0]
	if jsontext.IsNull(v) {
		return nil
	}
	var ok bool
	if w.text, ok = jsontext.AppendRaw(w.text, v); !ok {
		return badUpstream("text that is not a string")
	}
	return nil
}

// maxMends is how many broken characters are mended of one answer or chunk, maxMended how long
// a text may be of which some are.
const (
	maxMends  = 128 << 10
	maxMended = 8 << 20
)

// mend makes the fragment read last one that is right.
func (w *chunkWork) mend() ([]byte, *responses.Error) {
	if len(w.text) > maxMended {
		return nil, badUpstream("a long text with broken characters")
	}
	w.decoded = append(w.decoded[:0], w.text...)
	var left int
	if w.text, left = jsontext.AppendRepaired(w.text[:0], w.decoded, maxMends-w.mends); left < 0 {
		return nil, badUpstream("text with more broken characters than any")
	}
	w.mends = maxMends - left
	return w.text, nil
}

// arguments returns the escaped text of a tool call's arguments, and what it means, both valid
// until the next call; some servers send an object instead of its text. All those of an answer
// together have no more escapes than Limits.ArgumentEscapes.
func (w *chunkWork) arguments(u *Turn, call toolCall) (text, said []byte, err *responses.Error) {
	limit := u.from.opt.Limits.ArgumentEscapes()
	most := max(limit-u.escapes, 1)
	if limit == 0 {
		most = 0
	}
	v := call.function.Get("arguments")
	text, n, counted := w.sound(v)
	switch {
	case counted:
	case v.GetObject() != nil:
		size, backslashes := jsontext.Measure(v)
		if most := u.from.opt.TextBytes; most > 0 && size > most {
			return nil, nil, responses.AnswerTooLarge()
		}
		if limit > 0 && backslashes > most {
			return nil, nil, tooManyEscapes()
		}
		jsontext.LookAt(v)
		said = jsontext.AppendValue(jsontext.Grow(w.decoded[:0], size), v)
		text = jsontext.AppendEscaped(jsontext.Grow(w.text[:0], len(said)+len(said)/8), said)
		w.decoded, w.text = said, text
	default:
		if err := w.raw(v); err != nil {
			return nil, nil, err
		}
		text = w.text
	}
	if !counted {
		ok := false
		if n, ok = jsontext.Escapes(text, most); !ok && (limit == 0 || n <= most) {
			if text, err = w.mend(); err != nil {
				return nil, nil, err
			}
			n, _ = jsontext.Escapes(text, most)
		}
	}
	if u.escapes += n; limit > 0 && u.escapes > limit {
		return nil, nil, tooManyEscapes()
	}
	if said == nil {
		said = w.decode(text)
	}
	return text, said, nil
}

func tooManyEscapes() *responses.Error {
	return badUpstream("tool calls with more escapes than the limit")
}

// isEmptyCall reports whether the call at i says nothing but an id, which is then
// w.text. Most pieces have arguments, which is seen without a look at the rest.
func (w *chunkWork) isEmptyCall(a *chat.Answer, i int) bool {
	if a.Function != nil {
		return false
	}
	v := a.ToolCalls[i]
	if said := v.Get("function").Get("arguments"); !jsontext.IsNull(said) && !(jsontext.IsString(said) && jsontext.IsEmpty(said)) || !a.IsEmptyCall(i) {
		return false
	}
	w.text = w.text[:0]
	return w.raw(v.Get("id")) == nil
}

// callWordBytes is how long an id may be that is kept, and a name, as they are written.
const callWordBytes = 1 << 10

// sentID is the id that a piece of a call has. Many are compared: by their sums, which are 0
// of none.
type sentID struct {
	sum  uint64
	text []byte // escaped; nothing of a long one, which is not told
}

// idOf returns the id of a call, valid until the next call. It is the first to look at the
// name, which is told four times: its escapes count as those of the arguments do.
func (w *chunkWork) idOf(u *Turn, call toolCall) (id sentID, err *responses.Error) {
	if name := call.function.Get("name"); jsontext.IsString(name) {
		size, backslashes := jsontext.Measure(name)
		if size > callWordBytes {
			return id, badUpstream("a tool call with a name of more than 1 KiB")
		}
		u.escapes += backslashes
	}
	if err = w.raw(call.entry.Get("id")); err != nil {
		return id, err
	}
	id = sentID{jsontext.Sum(w.text), w.text}
	if len(w.text) > callWordBytes {
		id.text = nil
	} else if !jsontext.Inside(w.text) {
		id.text, err = w.mend()
	}
	return id, err
}

// appendLogprobs renders the entries of a chat answer's logprobs as those of
// output_text.logprobs into w.logprobs, behind those of a long chunk.
func (w *chunkWork) appendLogprobs(entries []*fastjson.Value) {
	w.logprobs = append(w.logprobs[:0], w.told...)
	for _, entry := range entries {
		if entry.GetObject() == nil {
			continue
		}
		if len(w.logprobs) > 0 {
			w.logprobs = append(w.logprobs, ',')
		}
		w.appendLogprob(entry)
		w.logprobs = append(w.logprobs, `,"top_logprobs":[`...)
		for i, top := range entry.GetArray("top_logprobs") {
			if i > 0 {
				w.logprobs = append(w.logprobs, ',')
			}
			w.appendLogprob(top)
			w.logprobs = append(w.logprobs, '}')
		}
		w.logprobs = append(w.logprobs, `]}`...)
	}
}

// appendLogprob renders one entry up to its closing brace.
func (w *chunkWork) appendLogprob(v *fastjson.Value) {
	w.logprobs = append(w.logprobs, `{"token":`...)
	w.logprobs = jsontext.AppendString(w.logprobs, v.GetStringBytes("token"))
	w.logprobs = append(w.logprobs, `,"logprob":`...)
	w.logprobs = appendNumber(w.logprobs, v.Get("logprob"))
	w.logprobs = append(w.logprobs, `,"bytes":[`...)
	for i, b := range v.GetArray("bytes") {
		if i > 0 {
			w.logprobs = append(w.logprobs, ',')
		}
		w.logprobs = appendNumber(w.logprobs, b)
	}
	w.logprobs = append(w.logprobs, ']')
}

// appendNumber appends a number as it came. fastjson takes more than JSON has
// (inf, nan, 1.2.3): those become 0.
func appendNumber(dst []byte, v *fastjson.Value) []byte {
	start := len(dst)
	if v != nil && v.Type() == fastjson.TypeNumber {
		dst = v.MarshalTo(dst)
		if jsontext.IsNumber(dst[start:]) {
			return dst
		}
	}
	return append(dst[:start], '0')
}
