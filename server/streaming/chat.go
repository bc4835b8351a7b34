package streaming

import (
	"mime"
	"net/http"

	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/translate"
)

// Chat is the kind of a stream that is translated for a turn. keeper stores how it
// ends; nil: nobody does.
func Chat(turn *translate.Turn, keeper Keeper) Kind { return chat{turn, keeper} }

type chat struct {
	turn *translate.Turn
	kept Keeper
}

func (c chat) keeper() Keeper { return c.kept }

func (c chat) events() Events { return chatEvents{c.turn.Stream()} }

func (chat) receive(s *Stream, ans *upstream.Answer) (flows bool, f *failure.Failure) {
	ans.Keep(false)
	s.keeps = IsEventStream(ans.Header)
	if s.keeps || ans.Status == http.StatusOK {
		s.untyped(!s.keeps)
		return true, nil
	}
	defer ans.Close()
	return false, s.call.Refused(s.ctx, ans)
}

// untyped tells the events that no header says what comes: a whole answer, of which
// the events are made too, an error in its place, or a page.
func (s *Stream) untyped(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if events, ok := s.events.(chatEvents); ok {
		events.Untyped = is
	}
}

// flowed keeps the connection of a completion only, of the kind that was asked for.
func (chat) flowed(s *Stream, ans *upstream.Answer) {
	if o := &s.rec.Outcome; s.keeps && o.Status != "" && !o.Failed() {
		ans.Keep(true)
	}
}

// chatEvents are the events of a translated stream.
type chatEvents struct{ *translate.Stream }

// Release has nothing to do: events are made of their own.
func (chatEvents) Release() {}

// IsEventStream reports whether an answer's header says that it is one.
func IsEventStream(h http.Header) bool {
	v := h.Get("Content-Type")
	if v == "text/event-stream" || v == "text/event-stream; charset=utf-8" { // vLLM's
		return true
	}
	t, _, err := mime.ParseMediaType(v)
	return err == nil && t == "text/event-stream"
}
