// Package forward watches a Responses stream that passes from an upstream to a
// client unchanged (provider vllm-responses): only whole events pass, and a
// stream that is cut can be ended as the protocol wants.
//
//	upstream's bytes ─► Watch ─► whole events, as they came ─► client
//	                      └─► usage, how it ended
package forward

import (
	"bytes"
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"

	"github.com/valyala/fastjson"
)

// A Watch follows one stream. The zero value is ready to use.
type Watch struct {
	Framer sse.Framer // its Max may be set before the first Write
	Most   int        // bytes of finished items, which are kept for a stream that breaks; 0: no limit
	Replay bool       // the events of a response in the background are read again, perhaps none are left

	resource []byte // the last response.created, .queued or .in_progress event's data
	items    []byte // finished items, separated by commas
	seq      int    // the last sequence number
	errored  bool   // an error event passed
	terminal bool   // a terminal event passed
	passed   bool   // any event passed
	goesOn   bool   // the response is in the background: it does not end with its stream
	outcome  responses.Outcome
}

// Write takes the next bytes of the stream and returns those that are whole
// events now, comments included, as they came. They are valid, and p must stay
// as it is, until Release. The error says that an event is too long, or, as a
// *responses.Error, that all items together are; the stream must then be ended.
func (w *Watch) Write(p []byte) (whole []byte, err error) {
	w.Framer.Write(p)
	for {
		ev, ok, err := w.Framer.Next()
		if err != nil || !ok {
			return whole, err
		}
		if whole == nil {
			whole = ev.Raw
		} else {
			whole = whole[:len(whole)+len(ev.Raw)] // events of one Write lie one after the other
		}
		switch {
		case len(ev.Data) > 0 && ev.Data[0] == '{':
			w.see(ev)
		case w.Replay && !w.passed && string(ev.Data) == "[DONE]": // nothing was left
			w.terminal = true
		}
		if w.Most > 0 && len(w.items) > w.Most {
			return whole, responses.AnswerTooLarge()
		}
	}
}

// Release ends the use of what Write was given and has returned. A stream that
// waits between two events holds nothing of it.
func (w *Watch) Release() {
	w.Framer.Release()
	w.outcome.Resource = nil
}

// Held returns how many bytes of the stream the watch holds.
func (w *Watch) Held() int { return len(w.Framer.Rest()) + cap(w.items) + cap(w.resource) }

// Passed reports whether any event has passed.
func (w *Watch) Passed() bool { return w.passed }

// Done reports whether a terminal event has passed.
func (w *Watch) Done() bool { return w.terminal }

// Outcome is how the stream ended, by its terminal event or by End, or why it is
// about to: an error event says so first. Its Resource is a part of what Write or
// End returned, and valid until Release.
func (w *Watch) Outcome() responses.Outcome { return w.outcome }

var parsers fastjson.ParserPool

func (w *Watch) see(ev sse.Event) {
	w.passed = true
	switch name := string(ev.Name); name {
	case "", "error", "response.created", "response.queued", "response.in_progress", "response.output_item.done",
		"response.completed", "response.incomplete", "response.failed", "response.cancelled":
		w.read(ev.Data)
	default: // the many: deltas
		if n, ok := sequenceNumber(ev.Data); ok {
			w.seq = n
		}
	}
}

func (w *Watch) read(data []byte) {
	p := parsers.Get()
	defer parsers.Put(p)
	v, err := p.ParseBytes(data)
	if err != nil {
		return
	}
	if n := v.Get("sequence_number"); n != nil {
		w.seq = n.GetInt()
	}
	switch string(v.GetStringBytes("type")) {
	case "error":
		w.errored = true
		if said := v.Get("error"); said.GetObject() != nil {
			v = said
		}
		w.outcome.Err = errorOf(v)
	case "response.created", "response.queued", "response.in_progress":
		w.resource = append(w.resource[:0], data...)
		w.goesOn = v.GetBool("response", "background")
	case "response.output_item.done":
		if item := v.Get("item"); item.GetObject() != nil {
			if len(w.items) > 0 {
				w.items = append(w.items, ',')
			}
			w.items = item.MarshalTo(w.items) // not looked at, so as it came
		}
	case "response.completed", "response.incomplete", "response.failed", "response.cancelled":
		w.terminal = true
		w.resource, w.items = nil, nil
		w.ended(data, v)
	}
}

// ended notes the outcome that a terminal event tells.
func (w *Watch) ended(data []byte, v *fastjson.Value) {
	o := &w.outcome
	o.Status = string(v.GetStringBytes("type"))[len("response."):]
	o.Resource, _ = jsontext.LastMember(data, "response")
	o.Usage, o.HasUsage = responses.FindUsage(o.Resource)
	if said := v.Get("response", "error"); said.GetObject() != nil {
		o.Err = errorOf(said)
	}
}

// errorOf reads the code and message of an error.
func errorOf(v *fastjson.Value) *responses.Error {
	return &responses.Error{Code: string(v.GetStringBytes("code")), Message: string(v.GetStringBytes("message"))}
}

// sequenceNumber finds the sequence number of an event without nested objects:
// in a JSON string the quotes of the key would be escaped.
func sequenceNumber(data []byte) (int, bool) {
	_, after, ok := bytes.Cut(data, []byte(`"sequence_number":`))
	if !ok {
		return 0, false
	}
	after = bytes.TrimLeft(after, " \t")
	end := 0
	for end < len(after) && after[end] >= '0' && after[end] <= '9' {
		end++
	}
	n, err := strconv.Atoi(string(after[:end]))
	return n, err == nil
}

// End appends what ends the stream when its bytes have ended (cause nil) or
// broke (cause says why). After a terminal event those are the bytes still
// held; else error, response.failed with the finished items, and [DONE],
// numbered on from what passed. Half an event never passes. A response in the
// background goes on without its stream, so nothing is said of it then: who reads it
// asks again for the rest.
func (w *Watch) End(dst []byte, cause *responses.Error) []byte {
	if w.terminal {
		if cause == nil {
			dst = append(dst, w.Framer.Rest()...)
		}
		return dst
	}
	w.terminal = true
	if cause == nil {
		cause = responses.NewError(502, "upstream_cut", "the upstream ended the stream before the response was complete")
	}
	if w.goesOn || w.Replay {
		w.outcome.Err = cause
		return dst
	}
	if w.passed {
		w.seq++
	}
	if !w.errored {
		dst = responses.AppendErrorEvent(dst, cause, w.seq)
		w.seq++
	}
	w.outcome.Status, w.outcome.Err = "failed", cause
	dst = w.appendFailed(dst, cause)
	return append(dst, responses.Done...)
}

// appendFailed appends response.failed: the resource as it last passed, with
// what a failure changes. Without any resource there is nothing to show.
func (w *Watch) appendFailed(dst []byte, cause *responses.Error) []byte {
	v, err := fastjson.ParseBytes(w.resource)
	if err != nil {
		return dst
	}
	resource := v.GetObject("response")
	if resource == nil {
		return dst
	}
	dst = responses.AppendEventHead(dst, "response.failed", w.seq)
	dst = append(dst, `,"response":`...)
	start := len(dst)
	dst = responses.AppendFailed(dst, resource, w.items, cause)
	w.outcome.Resource = dst[start:]
	return append(dst, "}\n\n"...)
}
