package translate

import (
	"sync"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// chunkWork is what reading one answer or chunk needs. It is pooled, so that a
// waiting stream holds none of it.
type chunkWork struct {
	doc      jsontext.Document
	text     []byte // the fragment read last, escaped, when it is not as it came
	decoded  []byte
	logprobs []byte
}

var chunkWorks = sync.Pool{New: func() any { return new(chunkWork) }}

// fragment returns the escaped inside of a string, empty when v is absent or
// null. It is valid until the next call.
func (w *chunkWork) fragment(v jsontext.Value) ([]byte, *responses.Error) {
	if v.IsNull() {
		return nil, nil
	}
	if v.Kind() != jsontext.String {
		return nil, badUpstream("text that is not a string")
	}
	text := v.Raw()
	if !jsontext.Inside(text) {
		w.text = jsontext.AppendRepaired(w.text[:0], text)
		text = w.text
	}
	return text, nil
}

// arguments returns the escaped text of a tool call's arguments; some servers
// send an object instead of its text.
func (w *chunkWork) arguments(call jsontext.Value) ([]byte, *responses.Error) {
	v := call.Get("function").Get("arguments")
	if v.Kind() != jsontext.Object {
		return w.fragment(v)
	}
	w.decoded = v.Append(w.decoded[:0])
	w.text = jsontext.AppendEscaped(w.text[:0], w.decoded)
	return w.text, nil
}

// appendLogprobs renders the entries of a chat answer's logprobs as those of
// output_text.logprobs into w.logprobs.
func (w *chunkWork) appendLogprobs(entries jsontext.Value) {
	w.logprobs = w.logprobs[:0]
	for entry := entries.First(); entry.Exists(); entry = entry.Next() {
		if entry.Kind() != jsontext.Object {
			continue
		}
		if len(w.logprobs) > 0 {
			w.logprobs = append(w.logprobs, ',')
		}
		w.appendLogprob(entry)
		w.logprobs = append(w.logprobs, `,"top_logprobs":[`...)
		list := entry.Get("top_logprobs").As(jsontext.Array)
		for i, top := 0, list.First(); top.Exists(); i, top = i+1, top.Next() {
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
func (w *chunkWork) appendLogprob(v jsontext.Value) {
	w.logprobs = append(w.logprobs, `{"token":`...)
	w.logprobs = jsontext.AppendString(w.logprobs, v.Get("token").Text())
	w.logprobs = append(w.logprobs, `,"logprob":`...)
	w.logprobs = appendNumber(w.logprobs, v.Get("logprob"))
	w.logprobs = append(w.logprobs, `,"bytes":[`...)
	list := v.Get("bytes").As(jsontext.Array)
	for i, b := 0, list.First(); b.Exists(); i, b = i+1, b.Next() {
		if i > 0 {
			w.logprobs = append(w.logprobs, ',')
		}
		w.logprobs = appendNumber(w.logprobs, b)
	}
	w.logprobs = append(w.logprobs, ']')
}

// appendNumber appends a number as it came. A lenient document has more than
// JSON (inf, nan, 1.2.3): those become 0.
func appendNumber(dst []byte, v jsontext.Value) []byte {
	if v.Kind() == jsontext.Number && jsontext.Check(v.Raw(), jsontext.Limits{}) == nil {
		return append(dst, v.Raw()...)
	}
	return append(dst, '0')
}
