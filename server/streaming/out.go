package streaming

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/ingress"
	"antwort/shared/failure"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// noRoom is for the sink.
var noRoom [ingress.Room]byte

// newOut lends a buffer for what is written at once.
func newOut() *buffer.Buffer {
	out := buffer.Get()
	out.B = append(out.B, noRoom[:]...)
	return out
}

// refuse ends the answer on an upstream stream that cannot be passed on.
func (s *Stream) refuse(err error, out *buffer.Buffer) {
	var cause error // not the upstream's own words: they are not for logs
	e := (*responses.Error)(nil)
	if !errors.As(err, &e) {
		cause = err
		e = responses.NewError(http.StatusBadGateway, "upstream_malformed", "the upstream's stream is not one of server-sent events")
	}
	s.cancel(err)
	s.end(failure.Of(failure.UpstreamStream, e).Because(cause), out)
}

// fail ends the answer with a step that failed.
func (s *Stream) fail(f *failure.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := newOut()
	defer out.Put()
	s.end(f, out)
}

// end ends the answer with a failure: in a whole error with a real status while
// nothing was written, in terminal events after what is in out afterwards.
func (s *Stream) end(f *failure.Failure, out *buffer.Buffer) {
	s.rec.Fail(f.Kind, f.Cause)
	do := s.phase.end(f)
	if do == explain && s.inEvents {
		do = conclude
	}
	switch do {
	case explain:
		s.reply(f, out)
	case conclude:
		out.B = s.events.End(out.B, f.Reply, s.Unix())
		if s.ended(out); !s.phase.over() {
			s.write(out, true)
		}
	}
}

// reply answers with a whole error instead of a stream.
func (s *Stream) reply(f *failure.Failure, out *buffer.Buffer) {
	e := f.Reply
	out.B = e.AppendBody(append(out.B[:0], noRoom[:]...))
	h := http.Header{
		"Content-Type":   []string{"application/json"},
		"Content-Length": []string{strconv.Itoa(len(out.B) - ingress.Room)},
	}
	for _, field := range f.Fields {
		h.Set(field[0], field[1])
	}
	if e.RetryAfter != "" {
		h.Set("Retry-After", e.RetryAfter)
	}
	s.begin(e.Status, h)
	s.write(out, true)
}

// begin sends status and header.
func (s *Stream) begin(status int, h http.Header) {
	s.Dress(h)
	s.phase.begin()
	s.rec.Status = status
	s.out.Begin(status, h)
}

// write sends out to the client, the header first.
func (s *Stream) write(out *buffer.Buffer, last bool) {
	if !s.phase.begun() {
		if s.head == nil {
			s.head = http.Header{"Content-Type": []string{"text/event-stream"}, "Cache-Control": []string{"no-cache"}}
			if s.rec.DroppedTools != "" {
				s.head.Set(translate.DroppedToolsField, s.rec.DroppedTools)
			}
		}
		s.begin(http.StatusOK, s.head)
		s.head = nil
	}
	if last && !s.apart(out) {
		return
	}
	n := len(out.B) - ingress.Room
	if last && s.rec.Span.Sampled() {
		o := s.events.Outcome()
		s.rec.Span.Answered(o.Resource, o.Apart...)
	}
	if n > 0 && s.rec.FirstEvent == 0 && s.rec.Status == http.StatusOK {
		s.rec.FirstEvent = time.Since(s.rec.Start)
	}
	s.writing.Store(int64(time.Since(s.rec.Start)))
	var err error
	out.B, err = s.out.Write(out.B, last)
	s.writing.Store(0)
	if err != nil {
		s.phase.gone()
		s.rec.Fail(failure.ClientGone, err)
		s.cancel(dispatch.ErrClientGone)
		return
	}
	s.phase.wrote(time.Now(), last)
	s.rec.Wrote(int64(n))
	if last && s.rec.Status == http.StatusOK && s.events.Outcome().Failed() {
		s.keepOutcome()
		s.rec.Fail(failure.UpstreamStream, nil) // not the upstream's own words: they are not for logs
	}
}
