package server

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
)

// noRoom is for the sink.
var noRoom [ingress.Room]byte

// refuse ends the answer on an upstream stream that cannot be passed on.
func (st *stream) refuse(err error, out *buffer.Buffer) {
	var cause error // not the upstream's own words: they are not for logs
	e := (*responses.Error)(nil)
	if !errors.As(err, &e) {
		cause = err
		e = responses.NewError(http.StatusBadGateway, "upstream_malformed", "the upstream's stream is not one of server-sent events")
	}
	st.x.rec.Fail(failure.UpstreamStream, cause)
	st.cancel(err)
	if !st.begun {
		st.reply(e, out)
		return
	}
	out.B = st.events.End(out.B, e, st.x.gen.unix())
	st.write(out, true)
}

// end ends the answer with an error: a real status while nothing was written,
// terminal events afterwards.
func (st *stream) end(e *responses.Error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.over {
		return
	}
	out := buffer.Get()
	defer out.Put()
	out.B = append(out.B[:0], noRoom[:]...)
	if !st.begun {
		st.reply(e, out)
		return
	}
	out.B = st.events.End(out.B, e, st.x.gen.unix())
	st.write(out, true)
}

// fail ends the answer with a step that failed.
func (st *stream) fail(f *failure.Failure) {
	st.mu.Lock()
	st.x.rec.Fail(f.Kind, f.Cause)
	if f.Reply == nil {
		st.over = true
	}
	st.mu.Unlock()
	if f.Reply != nil {
		st.end(f.Reply)
	}
}

// reply answers with a whole error instead of a stream.
func (st *stream) reply(e *responses.Error, out *buffer.Buffer) {
	out.B = e.AppendBody(append(out.B[:0], noRoom[:]...))
	h := http.Header{
		"Content-Type":   jsonType,
		"Content-Length": []string{strconv.Itoa(len(out.B) - ingress.Room)},
		"X-Request-Id":   []string{st.x.rec.ID},
	}
	if e.RetryAfter != "" {
		h.Set("Retry-After", e.RetryAfter)
	}
	st.begin(e.Status, h)
	st.write(out, true)
}

func (st *stream) begin(status int, h http.Header) {
	st.begun = true
	st.x.rec.Status = status
	st.x.allowOrigin(h)
	st.out.Begin(status, h)
}

func (st *stream) streamHeader() http.Header {
	return http.Header{
		"Content-Type":  []string{"text/event-stream"},
		"Cache-Control": noCaching,
		"X-Request-Id":  []string{st.x.rec.ID},
	}
}

// write sends out to the client, the header first.
func (st *stream) write(out *buffer.Buffer, last bool) {
	if !st.begun {
		if st.head == nil {
			st.head = st.streamHeader()
		}
		st.begin(http.StatusOK, st.head)
		st.head = nil
	}
	n := len(out.B) - ingress.Room
	if n > 0 && st.x.rec.FirstEvent == 0 && st.x.rec.Status == http.StatusOK {
		st.x.rec.FirstEvent = time.Since(st.x.rec.Start)
	}
	st.writing.Store(int64(time.Since(st.x.rec.Start)))
	var err error
	out.B, err = st.out.Write(out.B, last)
	st.writing.Store(0)
	st.wrote = time.Now()
	if err != nil {
		st.over = true
		st.x.rec.Fail(failure.ClientGone, err)
		st.cancel(dispatch.ErrClientGone)
		return
	}
	st.x.rec.Sent += int64(n)
	if last {
		st.over, st.whole = true, true
		if st.x.rec.Status == http.StatusOK && st.events.Outcome().Failed() {
			st.x.rec.Fail(failure.UpstreamStream, nil) // not the upstream's own words: they are not for logs
		}
	}
}
