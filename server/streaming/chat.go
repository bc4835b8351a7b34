package streaming

import (
	"mime"
	"net/http"

	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/translate"
)

// Chat is the kind of a stream that is translated for a turn.
func Chat(turn *translate.Turn) Kind { return chat{turn} }

type chat struct{ turn *translate.Turn }

func (c chat) events() Events { return chatEvents{c.turn.Stream()} }

func (c chat) take(s *Stream, ans *upstream.Answer) *failure.Failure {
	ans.Keep(false)
	if IsEventStream(ans.Header) {
		f := s.pump(ans)
		if o := &s.rec.Outcome; o.Status != "" && !o.Failed() {
			ans.Keep(true) // it was a completion
		}
		return f
	}
	defer ans.Close()
	if ans.Status != http.StatusOK {
		return s.call.Refused(s.ctx, ans)
	}
	return failure.Of(failure.UpstreamAnswer, policy.NotStreamed())
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
