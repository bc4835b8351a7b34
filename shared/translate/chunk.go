package translate

import (
	"slices"
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
	split    chat.Splitter // of a long chunk
	told     []byte        // its logprobs, rendered
	long     bool          // it has read a long answer or chunk
}

var chunkWorks = sync.Pool{New: func() any { return new(chunkWork) }}

// done gives w back. What a long answer needed is left to the garbage collector.
func (w *chunkWork) done() {
	w.told = nil
	if w.long {
		*w = chunkWork{}
	}
	chunkWorks.Put(w)
}

// reserve makes room for an answer of n bytes.
func (w *chunkWork) reserve(n int) {
	w.long = true
	w.text = slices.Grow(w.text[:0], n)
}

// fragment returns the escaped inside of a string, empty when v is absent or
// null. It is valid until the next call.
func (w *chunkWork) fragment(v *fastjson.Value) ([]byte, *responses.Error) {
	if jsontext.IsNull(v) {
		return nil, nil
	}
	var ok bool
	if w.text, ok = jsontext.AppendRaw(w.text[:0], v); !ok {
		return nil, badUpstream("text that is not a string")
	}
	if !jsontext.Inside(w.text) {
		w.decoded = append(w.decoded[:0], w.text...)
		w.text = jsontext.AppendRepaired(w.text[:0], w.decoded)
	}
	return w.text, nil
}

// arguments returns the escaped text of a tool call's arguments; some servers
// send an object instead of its text.
func (w *chunkWork) arguments(call toolCall) ([]byte, *responses.Error) {
	v := call.function.Get("arguments")
	if v.GetObject() == nil {
		return w.fragment(v)
	}
	jsontext.LookAt(v)
	w.decoded = jsontext.AppendValue(w.decoded[:0], v)
	w.text = jsontext.AppendEscaped(w.text[:0], w.decoded)
	return w.text, nil
}

// isEmptyCall reports whether the call at i says nothing but an id, which is then
// w.text. Most pieces have arguments, which is seen without a look at the rest.
func (w *chunkWork) isEmptyCall(a *chat.Answer, i int) bool {
	if a.Function != nil {
		return false
	}
	v := a.ToolCalls[i]
	if text, err := w.fragment(v.Get("function").Get("arguments")); err != nil || len(text) > 0 || !a.IsEmptyCall(i) {
		return false
	}
	w.text = w.text[:0]
	_, err := w.fragment(v.Get("id"))
	return err == nil
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
