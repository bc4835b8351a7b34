package streaming

import (
	"net/http"
	"strconv"

	"antwort/server/buffer"
	"antwort/server/header"
	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/forward"
	"antwort/shared/responses"
)

// IsWatched reports whether an answer to a request of this method is a stream of
// events for the client, to be cut into events and watched, never rebuilt.
func IsWatched(method string, ans *upstream.Answer) bool {
	return ans.Status == http.StatusOK && method != http.MethodHead && IsEventStream(ans.Header)
}

// Watched is the kind of a stream that is forwarded; replay says that it is of events
// that are read again.
func Watched(limits config.Limits, replay bool) Kind {
	return watched{int(limits.EventBytes), limits.ResponseBodyBytes, replay}
}

type watched struct {
	event  int   // longest event, in bytes
	answer int64 // longest whole answer, in bytes
	replay bool
}

func (w watched) events() Events {
	ev := &watchedEvents{}
	ev.watch.Framer.Max, ev.watch.Most, ev.watch.Replay = w.event, int(w.answer), w.replay
	return ev
}

// receive passes a stream's header on, or a whole answer that came in its place.
func (w watched) receive(s *Stream, ans *upstream.Answer) (flows bool, f *failure.Failure) {
	if !IsWatched("", ans) {
		return false, w.passWhole(s, ans)
	}
	s.passHead(ans)
	return true, nil
}

// keeper is nobody: the backend stores its responses, or does not.
func (watched) keeper() Keeper { return nil }

func (watched) flowed(*Stream, *upstream.Answer) {}

// passHead passes the status and header of a stream on; while another backend
// could answer in its place, only with its first event.
func (s *Stream) passHead(ans *upstream.Answer) {
	h := make(http.Header, len(ans.Header)+1)
	header.CopyAnswer(h, ans.Header)
	delete(h, "Content-Length")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.head = h
	if s.call.MayMove() || s.phase.over() {
		return
	}
	out := newOut()
	defer out.Put()
	s.write(out, false)
}

func (w watched) passWhole(s *Stream, ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	out := buffer.Metered(s.memory)
	defer out.Put()
	out.B = append(out.B, noRoom[:]...)
	if f := s.call.Read(s.ctx, ans, out, w.answer); f != nil {
		return f
	}
	h := make(http.Header, len(ans.Header)+2)
	header.CopyAnswer(h, ans.Header)
	h["Content-Length"] = []string{strconv.Itoa(len(out.B) - len(noRoom))}
	s.mu.Lock()
	defer s.mu.Unlock()
	if ans.Status >= http.StatusBadRequest {
		s.rec.Fail(failure.UpstreamStatus, nil)
	}
	if !s.phase.over() {
		s.begin(ans.Status, h)
		s.write(out, true)
	}
	return nil
}

// watchedEvents are the events of a forwarded stream.
type watchedEvents struct{ watch forward.Watch }

func (e *watchedEvents) Write(dst, p []byte, _ int64) ([]byte, error) {
	events, err := e.watch.Write(p)
	return append(dst, events...), err
}

// Held is what has come of an event that has not ended, and the finished items.
func (e *watchedEvents) Held() int { return e.watch.Held() }

// Ending is the event of a failure, with the finished items.
func (e *watchedEvents) Ending() int { return e.watch.Held() }

func (e *watchedEvents) Release() { e.watch.Release() }

// Start has nothing to say: the first event is the upstream's.
func (e *watchedEvents) Start(dst []byte) []byte { return dst }

func (e *watchedEvents) End(dst []byte, cause *responses.Error, _ int64) []byte {
	return e.watch.End(dst, cause)
}

// Done is never true before the upstream's own end: what follows the terminal
// event, [DONE] or not, passes too.
func (e *watchedEvents) Done() bool { return false }

func (e *watchedEvents) Outcome() responses.Outcome { return e.watch.Outcome() }
