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
	asked := IsEventStream(ans.Header)
	if asked || ans.Status == http.StatusOK && isJSON(ans.Header) {
		f := s.pump(ans)
		if o := &s.rec.Outcome; asked && o.Status != "" && !o.Failed() {
			ans.Keep(true) // it was a completion, and of the kind that was asked for
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

// isJSON reports whether an answer is a whole one, which the events of a stream
// can be made of too.
func isJSON(h http.Header) bool { return policy.MediaType(h.Get("Content-Type")) == "application/json" }

// IsEventStream reports whether an answer's header says that it is one.
func IsEventStream(h http.Header) bool {
	v := h.Get("Content-Type")
	if v == "text/event-stream" || v == "text/event-stream; charset=utf-8" { // vLLM's
		return true
	}
	t, _, err := mime.ParseMediaType(v)
	return err == nil && t == "text/event-stream"
}
