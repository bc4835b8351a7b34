package adopt

import (
	"bytes"
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"
)

// A Stream makes the events of a backend's stream those of the response. They are
// numbered by themselves; what a backend says in between, comments, is left out.
type Stream struct {
	r        *Response
	framer   sse.Framer
	seq      int
	resource []byte // as it was told last; nil: nothing was
	items    []byte // finished ones, separated by commas
	open     opened
	errored  bool // an error was told
	done     bool
	ending   int // where the terminal events begin in what was appended last
	endSeq   int // the number of the first of them
}

// Stream begins the events of an answer. Of a response in the background the first were
// told.
func (r *Response) Stream() *Stream {
	s := &Stream{r: r}
	s.framer.Max = r.EventBytes
	r.ids, r.outcome = nil, responses.Outcome{}
	if r.Queued != nil {
		s.seq, s.resource = responses.Queued, r.Queued
	}
	return s
}

// Write appends the events that p completes.
func (s *Stream) Write(dst, p []byte, _ int64) ([]byte, error) {
	s.framer.Write(p)
	for !s.done {
		ev, ok, err := s.framer.Next()
		if err != nil || !ok {
			return dst, err
		}
		if len(ev.Data) == 0 || ev.Data[0] != '{' {
			continue // a comment, or [DONE]
		}
		if jsontext.Check(ev.Data, s.r.Limits) != nil {
			return dst, responses.NewError(502, "upstream_malformed", "the backend's stream has an event that is no JSON")
		}
		dst = s.take(dst, ev.Data)
		if len(s.items)+s.open.held() > s.r.AnswerBytes {
			return dst, responses.AnswerTooLarge()
		}
	}
	return dst, nil
}

// event is what of an event says what it is about.
type event struct {
	data     []byte
	kind     string
	index    int  // output_index; -1: it has none
	response bool // it has one
	content  int  // content_index
	delta    []byte
}

// take appends what an event has become.
func (s *Stream) take(dst, data []byte) []byte {
	if bytes.IndexByte(data, '\n') >= 0 { // an event of several lines
		data = bytes.ReplaceAll(data, []byte("\n"), []byte(" "))
	}
	ev := event{data: data, index: -1}
	jsontext.Members(data, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "type":
			text, _ := jsontext.Text(value)
			ev.kind = string(text)
		case "output_index":
			if n, err := strconv.Atoi(string(value)); err == nil && n < maxItems {
				ev.index = n
			}
		case "response":
			ev.response = value[0] == '{'
		case "content_index":
			ev.content, _ = strconv.Atoi(string(value))
		case "delta":
			ev.delta, _ = jsontext.Text(value)
		}
		return true
	})
	switch ev.kind {
	case "":
		return dst
	case "response.created", "response.queued", "response.in_progress":
		if s.r.Queued != nil {
			return dst // it was told
		}
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		if !ev.response {
			return dst // it ends nothing
		}
		s.done, s.ending, s.endSeq = true, len(dst), s.seq
		return append(s.append(dst, &ev), responses.Done...)
	case "error":
		s.errored = true
	default:
		s.open.add(&ev)
	}
	return s.append(dst, &ev)
}

// maxItems is how many items an answer may have.
const maxItems = 1 << 16

// append appends an event. Its response, or its item, is the last of its members.
func (s *Stream) append(dst []byte, ev *event) []byte {
	dst = responses.AppendEventHead(dst, ev.kind, s.seq)
	s.seq++
	var response, item []byte
	jsontext.Members(ev.data, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "type", "sequence_number":
			return true
		case "response":
			if value[0] == '{' {
				response = value
				return true
			}
		case "item":
			if value[0] == '{' {
				item = value
				return true
			}
		}
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		if string(name) == "item_id" {
			text, _ := jsontext.Text(value)
			if ours := s.r.itemID(string(text), ev.index); ours != "" {
				value = strconv.AppendQuote(nil, ours)
			}
		}
		dst = append(dst, value...)
		return true
	})
	if item != nil {
		dst = append(dst, `,"item":`...)
		start := len(dst)
		if ev.index < 0 {
			dst = append(dst, item...)
		} else {
			dst = s.r.appendItem(dst, item, ev.index)
		}
		switch {
		case ev.kind == "response.output_item.done":
			s.finished(dst[start:])
			s.open = opened{}
		case ev.kind == "response.output_item.added" && ev.index >= 0:
			s.open.begin(item, s.r.ids[ev.index][1], ev.index)
		}
	}
	if response != nil {
		dst = append(dst, `,"response":`...)
		start := len(dst)
		dst = s.r.appendResource(dst, response, nil)
		s.noteResource(ev, dst[start:])
	}
	return append(dst, "}\n\n"...)
}

// finished keeps an item for a stream that breaks.
func (s *Stream) finished(item []byte) {
	if len(s.items) > 0 {
		s.items = append(s.items, ',')
	}
	s.items = append(s.items, item...)
}

// noteResource notes what a resource says.
func (s *Stream) noteResource(ev *event, resource []byte) {
	if !s.done {
		s.resource = append(s.resource[:0:0], resource...)
		return
	}
	s.r.note(resource)
	s.r.outcome.Status = ev.kind[len("response."):]
}

// Release ends the use of what Write was given, and of the outcome's resource.
func (s *Stream) Release() {
	s.framer.Release()
	s.r.outcome.Resource = nil
}

// Start has nothing to say: the first event is the backend's.
func (s *Stream) Start(dst []byte) []byte { return dst }

// Started reports whether anything was told of the response.
func (s *Stream) Started() bool { return s.resource != nil }

// Done reports that nothing more will come.
func (s *Stream) Done() bool { return s.done }

// Held is how many bytes the stream holds.
func (s *Stream) Held() int {
	return len(s.framer.Rest()) + cap(s.items) + cap(s.resource) + s.open.held()
}

// Outcome is how the response ended, or how far it has come.
func (s *Stream) Outcome() responses.Outcome { return s.r.outcome }

// End appends what ends a stream whose bytes have ended (cause nil) or broke: an error,
// the response that has failed, with its finished items, and [DONE].
func (s *Stream) End(dst []byte, cause *responses.Error, _ int64) []byte {
	if s.done {
		return dst
	}
	if s.done = true; cause == nil {
		cause = responses.NewError(502, "upstream_cut", "the upstream ended the stream before the response was complete")
	}
	s.ending, s.endSeq = len(dst), s.seq
	return s.fail(dst, cause)
}

// fail appends the events of a failure.
func (s *Stream) fail(dst []byte, cause *responses.Error) []byte {
	if !s.errored {
		dst = responses.AppendErrorEvent(dst, cause, s.seq)
		s.seq++
	}
	s.r.outcome = responses.Outcome{Usage: s.r.outcome.Usage, HasUsage: s.r.outcome.HasUsage, Status: "failed", Err: cause}
	if s.resource != nil {
		dst = responses.AppendEventHead(dst, "response.failed", s.seq)
		s.seq++
		dst = append(dst, `,"response":`...)
		dst = append(s.endAs(dst, &ending{status: "failed", err: cause, items: s.items}), "}\n\n"...)
	}
	return append(dst, responses.Done...)
}

// endAs appends the resource as it ends without the backend.
func (s *Stream) endAs(dst []byte, end *ending) []byte {
	start := len(dst)
	dst = s.r.appendResource(dst, s.resource, end)
	o := &s.r.outcome
	o.Status, o.Err, o.Resource = end.status, end.err, dst[start:]
	return dst
}

// Instead replaces the terminal events that Write or End has just appended to dst: by
// those of a failure, or, without one, by themselves of an answer that is not stored.
func (s *Stream) Instead(dst []byte, failed *responses.Error) []byte {
	if failed != nil {
		s.r.Stored = false
		s.seq, s.errored = s.endSeq, false
		return s.fail(dst[:s.ending], failed)
	}
	if resource := s.r.outcome.Resource; resource != nil {
		at, rest := s.ending+bytes.Index(dst[s.ending:], resource), 0
		rest = len(dst) - at - len(resource)
		dst = s.r.unstore(dst, at)
		s.r.outcome.Resource = dst[at : len(dst)-rest]
	}
	return dst
}

// Left appends the resource of an answer whose client has left, with what there is of
// it. The stream is done then.
func (s *Stream) Left(dst []byte) []byte {
	s.done = true
	return s.endAs(dst, &ending{status: "cancelled", items: s.open.append(s.items)})
}
