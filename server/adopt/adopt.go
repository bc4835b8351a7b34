// Package adopt makes the responses of a backend that keeps none those of a server
// that does: what a request goes on from is sent along, and what is the server's to
// say of a response stands in the place of the backend's words.
//
//	request bytes, history ─ AppendRequest ─► the backend's request
//	whole answer ─ Response.Response ─► resource bytes
//	stream bytes ─ Response.Stream ─► event bytes
//
// Ours are the ids of the response and of its items, and the members store,
// previous_response_id, conversation and background; all else is the backend's, byte
// for byte. Requests enter whose JSON was checked; what a backend sends is checked
// here. No store and no connection is known.
package adopt

import (
	"bytes"
	"slices"
	"strconv"

	"antwort/shared/history"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// Terms are what a server says of a response by itself.
type Terms struct {
	ID           string // the random part of its ids
	Previous     string // the id of the response that it goes on from, as the request has it; "": none
	Conversation string // the id of the one that it is for; "": none
	Stored       bool   // it will be

	// Queued is the resource of a response in the background, which was told already;
	// nil: somebody waits for the answer.
	Queued []byte

	Limits      jsontext.Limits // of what the backend sends
	EventBytes  int             // the longest event
	AnswerBytes int             // the longest answer
}

// A Response is one that is made elsewhere, and adopted.
type Response struct {
	Terms
	ids     [][2]string // of the items, in their order: the backend's and ours
	outcome responses.Outcome
	stored  int // where the outcome's resource says that it is stored; 0: it does not say so
}

// New adopts a response that is to come.
func New(t Terms) *Response { return &Response{Terms: t} }

// Outcome is how the response ended. Its Resource is a part of what was appended last.
func (r *Response) Outcome() responses.Outcome { return r.outcome }

// Free has nothing to give back.
func (r *Response) Free() {}

// Response appends the resource that a whole answer has become.
func (r *Response) Response(dst, answer []byte, _ int64) ([]byte, *responses.Error) {
	if answer = bytes.TrimSpace(answer); jsontext.Check(answer, r.Limits) != nil || answer[0] != '{' {
		return dst, noResponse()
	}
	start := len(dst)
	dst = r.appendResource(dst, answer, nil)
	switch r.note(dst[start:]); r.outcome.Status {
	case "completed", "incomplete", "failed", "cancelled":
		return dst, nil
	}
	return dst[:start], noResponse()
}

// noResponse is the failure of an answer that is none of the Responses API, or of a
// response that has not ended.
func noResponse() *responses.Error {
	return responses.NewError(502, "upstream_invalid_answer", "the backend's answer is no response that has ended")
}

// Unstored appends the resource of a whole answer again, of one that is not stored.
func (r *Response) Unstored(dst []byte) []byte {
	start := len(dst)
	dst = r.unstore(append(dst, r.outcome.Resource...), start)
	r.outcome.Resource = dst[start:]
	return dst
}

// unstore says of the resource at start, which is the outcome's, that it is not stored.
func (r *Response) unstore(dst []byte, start int) []byte {
	if r.stored == 0 {
		return dst
	}
	at := start + r.stored
	if r.stored < r.outcome.OutputAt {
		r.outcome.OutputAt += len("false") - len("true")
	}
	r.stored = 0
	return slices.Replace(dst, at, at+len("true"), []byte("false")...)
}

// note makes the outcome that of a resource.
func (r *Response) note(resource []byte) {
	o := &r.outcome
	o.Resource, o.Err = resource, nil
	jsontext.Members(resource, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "status":
			text, _ := jsontext.Text(value)
			o.Status = string(text)
		case "error":
			o.Err = errorOf(value)
		}
		return true
	})
	o.Usage, o.HasUsage = responses.FindUsage(resource)
}

// errorOf reads an error, nil for null.
func errorOf(value []byte) (e *responses.Error) {
	jsontext.Members(value, func(name, value []byte, _ int) bool {
		if e == nil {
			e = &responses.Error{}
		}
		text, _ := jsontext.Text(value)
		switch string(name) {
		case "code":
			e.Code = string(jsontext.Decode(nil, text))
		case "message":
			e.Message = string(jsontext.Decode(nil, text))
		}
		return true
	})
	return e
}

// An ending is what a resource says that its backend has not: that it was broken off.
type ending struct {
	status string
	err    *responses.Error
	items  []byte // separated by commas
}

// appendResource appends a resource with our words in the place of the backend's; end
// is how it ends instead, nil: as it says.
func (r *Response) appendResource(dst, resource []byte, end *ending) []byte {
	said := map[string]bool{}
	start := len(dst)
	write := func(name string) {
		if said[name] = true; name == "store" && r.Stored {
			r.stored = len(dst) - start
		}
		dst = r.appendOurs(dst, name)
	}
	r.stored = 0
	dst = replace(dst, resource, func(out []byte, name string, value []byte) ([]byte, bool) {
		dst = out
		switch {
		case name == "conversation" && r.Conversation == "" && string(value) == "null":
			return dst, false
		case slices.Contains(ourMembers, name):
			write(name)
			return dst, true
		case name == "created_at" && r.Queued != nil:
			return append(dst, createdAt(r.Queued)...), true
		case name == "output":
			said[name] = true
			dst = r.appendOutput(dst, value, start, end)
			return dst, true
		case end == nil:
			return dst, false
		case name == "status":
			return append(append(append(dst, '"'), end.status...), '"'), true
		case name == "error":
			return end.err.AppendResponseError(dst), true
		}
		return dst, false
	})
	for _, name := range members {
		if said[name] || name == "conversation" && r.Conversation == "" {
			continue
		}
		if dst = bytes.TrimRight(dst[:len(dst)-1], " \n\r\t"); dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), `":`...)
		if name == "output" {
			dst = r.appendOutput(dst, nil, start, end)
		} else {
			write(name)
		}
		dst = append(dst, '}')
	}
	return dst
}

// members are those that every response has here, and ourMembers all of them but its output.
var (
	members    = [...]string{"id", "store", "previous_response_id", "background", "conversation", "output"}
	ourMembers = members[:len(members)-1]
)

// appendOurs appends the value of a member that is ours.
func (r *Response) appendOurs(dst []byte, name string) []byte {
	switch name {
	case "id":
		return append(append(append(dst, `"resp_`...), r.ID...), '"')
	case "store":
		return strconv.AppendBool(dst, r.Stored)
	case "background":
		return strconv.AppendBool(dst, r.Queued != nil)
	case "conversation":
		if r.Conversation == "" {
			return append(dst, "null"...)
		}
		return append(jsontext.AppendString(append(dst, `{"id":`...), r.Conversation), '}')
	default:
		if r.Previous == "" {
			return append(dst, "null"...)
		}
		return jsontext.AppendString(dst, r.Previous)
	}
}

func createdAt(resource []byte) (value []byte) {
	jsontext.Members(resource, func(name, v []byte, _ int) bool {
		if string(name) == "created_at" {
			value = v
		}
		return value == nil
	})
	return value
}

// appendOutput appends the items of a resource that begins at start.
func (r *Response) appendOutput(dst, output []byte, start int, end *ending) []byte {
	o := &r.outcome
	o.OutputAt = len(dst) - start
	dst = append(dst, '[')
	if end != nil {
		dst = append(dst, end.items...)
	} else {
		i := 0
		jsontext.Elements(output, func(raw []byte) bool {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = r.appendItem(dst, raw, i)
			i++
			return true
		})
	}
	dst = append(dst, ']')
	o.OutputBytes = len(dst) - start - o.OutputAt - len("[]")
	return dst
}

// appendItem appends an item with our id; index is its place in the output.
func (r *Response) appendItem(dst, raw []byte, index int) []byte {
	dst, theirs, ours := history.AppendAnswered(dst, raw, r.ID, index)
	for len(r.ids) <= index {
		r.ids = append(r.ids, [2]string{})
	}
	r.ids[index] = [2]string{theirs, ours}
	return dst
}

// itemID is our id of the item that an event is about.
func (r *Response) itemID(theirs string, index int) string {
	if index >= 0 && index < len(r.ids) && r.ids[index][0] == theirs {
		return r.ids[index][1]
	}
	for _, id := range r.ids {
		if id[0] == theirs && theirs != "" {
			return id[1]
		}
	}
	return ""
}

// replace appends an object with other values for some of its members: those that value
// appends, and says so.
func replace(dst, object []byte, value func(dst []byte, name string, given []byte) ([]byte, bool)) []byte {
	from := 0
	jsontext.Members(object, func(name, given []byte, at int) bool {
		dst = append(dst, object[from:at]...)
		var replaced bool
		if dst, replaced = value(dst, string(name), given); !replaced {
			dst = append(dst, given...)
		}
		from = at + len(given)
		return true
	})
	return append(dst, object[from:]...)
}
