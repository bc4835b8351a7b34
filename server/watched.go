package server

import (
	"context"
	"net/http"
	"strconv"

	"antwort/server/buffer"
	"antwort/server/ingress"
	"antwort/server/upstream"
	"antwort/shared/failure"
	"antwort/shared/forward"
	"antwort/shared/responses"
)

// A forwarded stream is cut into events and watched, never rebuilt.

// isWatched reports whether an answer is a stream of events for the client.
func (x *exchange) isWatched(ans *upstream.Answer) bool {
	return ans.Status == http.StatusOK && x.rec.Method != http.MethodHead && isEventStream(ans.Header)
}

// watch passes a stream on.
func (x *exchange) watch(ctx context.Context, cancel context.CancelCauseFunc, ans *upstream.Answer) {
	st := x.newStream(ctx, cancel, func() events {
		ev := &watchedEvents{}
		ev.watch.Framer.Max = int(x.gen.cfg.Limits.EventBytes)
		return ev
	})
	// A backend with the same interval comes first with its own comment.
	st.keepAlive += st.keepAlive / 3
	st.ans = ans
	st.run((*stream).serveWatched)
}

// serveWatched streams the answer that is there, or another one's that comes in
// its place.
func (st *stream) serveWatched() {
	f := st.x.call.Resume(st.ctx, st.ans, func(ans *upstream.Answer) *failure.Failure {
		if !st.x.isWatched(ans) {
			return st.passAnswer(ans)
		}
		st.passHead(ans)
		return st.pump(ans)
	})
	if f != nil {
		st.fail(f)
	}
}

// passHead passes the status and header of a stream on; while another backend
// could answer in its place, only with its first event.
func (st *stream) passHead(ans *upstream.Answer) {
	h := make(http.Header, len(ans.Header)+1)
	copyAnswerHeader(h, ans.Header)
	delete(h, "Content-Length")
	h["X-Request-Id"] = []string{st.x.rec.ID}
	st.x.closeAfter(h)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.head = h
	if st.x.call.MayMove() {
		return
	}
	out := buffer.Get()
	defer out.Put()
	out.B = append(out.B, noRoom[:]...)
	st.write(out, false)
}

// passAnswer passes a whole answer on that came in the place of a stream.
func (st *stream) passAnswer(ans *upstream.Answer) *failure.Failure {
	defer ans.Close()
	out := buffer.Get()
	defer out.Put()
	out.B = append(out.B, noRoom[:]...)
	if f := st.x.call.Read(st.ctx, ans, out, st.x.gen.cfg.Limits.ResponseBodyBytes); f != nil {
		return f
	}
	h := make(http.Header, len(ans.Header)+2)
	copyAnswerHeader(h, ans.Header)
	h["X-Request-Id"] = []string{st.x.rec.ID}
	h["Content-Length"] = []string{strconv.Itoa(len(out.B) - ingress.Room)}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.over {
		st.begin(ans.Status, h)
		st.write(out, true)
	}
	return nil
}

// watchedEvents are the events of a forwarded stream.
type watchedEvents struct{ watch forward.Watch }

func (e *watchedEvents) Write(dst, p []byte, _ int64) ([]byte, error) {
	whole, err := e.watch.Write(p)
	return append(dst, whole...), err
}

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
