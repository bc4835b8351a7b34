package responses

import "strconv"

// Done ends every stream.
const Done = "data: [DONE]\n\n"

// begin of an event: its name, its type and its sequence number.
func (o *Output) event(dst []byte, name string) []byte {
	dst = AppendEventHead(dst, name, o.seq)
	o.seq++
	return dst
}

// Seq is the sequence number of the next event.
func (o *Output) Seq() int { return o.seq }

// Rewind goes on at a sequence number: events from there on nobody has seen, and those
// before it were told.
func (o *Output) Rewind(seq int) { o.seq = seq }

// AppendEventHead appends the head of an event up to its sequence number; its
// other members and "}\n\n" are to follow.
func AppendEventHead(dst []byte, name string, seq int) []byte {
	dst = appendTexts(dst, "event: ", name, "\ndata: {\"type\":\"", name)
	return appendInt(dst, `","sequence_number":`, int64(seq))
}

func (o *Output) itemIndexEvent(dst []byte, name string) []byte {
	dst = o.event(dst, name)
	return appendInt(dst, `,"output_index":`, int64(o.count-1))
}

func (o *Output) itemEvent(dst []byte, name string) []byte {
	dst = o.itemIndexEvent(dst, name)
	return appendRaw(dst, `,"item_id":"`, o.itemID, `"`)
}

func (o *Output) partEvent(dst []byte, name string) []byte {
	dst = o.itemEvent(dst, name)
	dst = append(dst, o.part.index()...)
	return strconv.AppendInt(dst, int64(o.parts-1), 10)
}

// Begin appends response.created and response.in_progress, unless they were told
// before.
func (o *Output) Begin(dst []byte) []byte {
	if o.seq > 0 {
		return dst
	}
	for _, name := range [...]string{"response.created", "response.in_progress"} {
		dst, _ = o.lifecycle(dst, name, &State{Status: "in_progress"})
	}
	return dst
}

// Queued are how many events Queue and Work append.
const Queued = 3

// Queue appends response.created and response.queued, of a response that nobody
// works on yet. The resource is a part of what was appended.
func (o *Output) Queue(dst []byte) (out, resource []byte) {
	dst, _ = o.lifecycle(dst, "response.created", &State{Status: "queued"})
	return o.lifecycle(dst, "response.queued", &State{Status: "queued"})
}

// Work appends response.in_progress, which follows what Queue has appended.
func (o *Output) Work(dst []byte) []byte {
	o.seq = Queued - 1
	dst, _ = o.lifecycle(dst, "response.in_progress", &State{Status: "in_progress"})
	return dst
}

// End appends the event response.STATUS of a terminal state and [DONE]. A
// failed state is preceded by an error event. The resource is a part of what was
// appended.
func (o *Output) End(dst []byte, s *State) (out, resource []byte) {
	if s.Status == "failed" {
		dst = AppendErrorEvent(dst, s.Err, o.seq)
		o.seq++
	}
	dst, resource = o.lifecycle(dst, "response."+s.Status, s)
	return append(dst, Done...), resource
}

func (o *Output) lifecycle(dst []byte, name string, s *State) (out, resource []byte) {
	dst = o.event(dst, name)
	dst = append(dst, `,"response":`...)
	start := len(dst)
	dst = o.Resource.Append(dst, s)
	return append(dst, "}\n\n"...), dst[start:]
}

// AppendErrorEvent appends an error event. It has the error both flat, as
// OpenAI sends it, and in the object that Open Responses defines.
func AppendErrorEvent(dst []byte, e *Error, seq int) []byte {
	dst = AppendEventHead(dst, "error", seq)
	dst = appendStringOrNull(dst, `,"code":`, e.Code)
	dst = appendString(dst, `,"message":`, e.Message)
	dst = appendStringOrNull(dst, `,"param":`, e.Param)
	dst = append(dst, `,"error":`...)
	dst = e.appendObject(dst)
	return append(dst, "}\n\n"...)
}
