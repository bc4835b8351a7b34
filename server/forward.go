package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"antwort/server/upstream"
	"antwort/shared/config"
	"antwort/shared/forward"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// Provider vllm-responses: a request goes on as it came, but perhaps with
// another model, and the answer comes back as it is. A stream is cut into events
// and watched, never rebuilt.

// forward answers any request of the API. With pool nil the model decides where
// it goes.
func (x *exchange) forward(p *pool) {
	a := &attempts{pool: p, body: getBuffer()}
	a.request = upstream.Request{
		Method:     x.method,
		Target:     x.path,
		Repeatable: x.method == http.MethodGet || x.method == http.MethodHead,
	}
	a.repeatable = a.request.Repeatable
	if x.r.URL.RawQuery != "" {
		// HTTP/2 lets spaces pass, which would end the target here.
		a.request.Target += "?" + strings.ReplaceAll(x.r.URL.RawQuery, " ", "%20")
	}
	attach := x.attachBody
	if x.mustRead(p) {
		attach = x.attachRead
	}
	if f := attach(a); f != nil {
		a.drop()
		x.give(f)
		return
	}
	if a.pool.provider == config.VLLM { // the model has led there
		a.drop()
		x.notStored()
		return
	}
	x.forwardTo(a)
}

// forwardTo answers with the first backend's answer that is whole, or has begun
// to be the client's.
func (x *exchange) forwardTo(a *attempts) {
	a.request.Header, a.own = x.forwardHeader()
	x.attempt(a)
	ctx, cancel := x.work()
	watched := false
	defer func() {
		if !watched {
			cancel(nil)
			a.drop()
		}
	}()
	for {
		ans, f := x.call(ctx)
		if f == nil && x.isWatched(ans) {
			watched = true
			x.watch(ctx, cancel, ans)
			return
		}
		if f == nil {
			f = x.passWhole(ctx, ans)
		}
		if f == nil {
			return
		}
		if !x.another(f) {
			x.give(f)
			return
		}
	}
}

// isWatched reports whether an answer is a stream of events for the client.
func (x *exchange) isWatched(ans *upstream.Answer) bool {
	return ans.Status == http.StatusOK && x.method != http.MethodHead && isEventStream(ans.Header)
}

// watch passes a stream on.
func (x *exchange) watch(ctx context.Context, cancel context.CancelCauseFunc, ans *upstream.Answer) {
	st := x.newStream(ctx, cancel, func() events {
		ev := &watchedEvents{}
		ev.watch.Framer.Max = int(x.s.cfg.Limits.EventBytes)
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
	ans := st.ans
	for {
		st.passHead(ans)
		if !st.pump(ans) {
			return
		}
		var f *failed
		if ans, f = st.x.call(st.ctx); f != nil {
			st.fail(f)
			return
		}
		if !st.x.isWatched(ans) {
			st.passAnswer(ans)
			return
		}
	}
}

// attachBody reads what of the body comes at once; more is streamed.
func (x *exchange) attachBody(a *attempts) *failed {
	req, buf := &a.request, a.body
	limit := x.s.cfg.Limits.RequestBodyBytes
	length := x.r.ContentLength
	switch {
	case length == 0:
		return nil
	case length > limit:
		return tooLarge(limit)
	}
	up := &upload{x: x, left: limit}
	buf.grow(int(min(max(length, 0), inlineBody)) + 1)
	for len(buf.b) <= inlineBody {
		buf.grow(512)
		n, err := up.Read(buf.b[len(buf.b):cap(buf.b)])
		buf.b = buf.b[:len(buf.b)+n]
		if err == io.EOF {
			req.Body = buf.b
			return nil
		}
		if err != nil {
			return x.readError(err, limit)
		}
	}
	req.Body, req.Stream, req.Length = buf.b, up, length
	x.upload = up
	// An answer that comes before the body's end is passed on at once.
	_ = http.NewResponseController(x.w).EnableFullDuplex()
	req.Unblock = up.unblock
	return nil
}

// inlineBody is the largest body that is held instead of streamed, in bytes.
const inlineBody = 64 << 10

// upload is a request's body on its way, within the limit. A goroutine of the
// upstream's client may read it.
type upload struct {
	x    *exchange
	left int64

	reading sync.Mutex // held by Read
	slow    bool       // the client was, under reading

	mu       sync.Mutex
	read     bool // to its end
	released bool // by unblock
}

func (u *upload) Read(p []byte) (int, error) {
	u.reading.Lock()
	defer u.reading.Unlock()
	n, err := u.x.r.Body.Read(p)
	u.slow = errors.Is(err, os.ErrDeadlineExceeded)
	if u.left -= int64(n); u.left < 0 {
		return 0, errTooLarge
	}
	if err == io.EOF {
		u.mu.Lock()
		u.read = true
		u.x.unlimitReading()
		u.mu.Unlock()
	}
	return n, err
}

// unblock makes a Read that waits for the client return.
func (u *upload) unblock() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.released = true
	if !u.read {
		_ = http.NewResponseController(u.x.w).SetReadDeadline(time.Unix(1, 0))
	}
}

// clientLeft tells whether the end of the request's context means that: to
// net/http a read that took too long looks the same. u may be nil.
func (u *upload) clientLeft() bool {
	if u == nil {
		return true
	}
	u.reading.Lock() // a Read that failed returns at once
	slow := u.slow
	u.reading.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	return !slow && !u.released
}

func (u *upload) wholeRead() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.read
}

// closeAfter makes an answer the connection's last when the request's body was
// not read to its end: the rest of it must not be taken for a request.
func (x *exchange) closeAfter(h http.Header) {
	if x.upload != nil && !x.upload.wholeRead() && x.r.ProtoMajor == 1 {
		h["Connection"] = []string{"close"}
	}
}

// passWhole passes an answer that is no stream of events on.
func (x *exchange) passWhole(ctx context.Context, ans *upstream.Answer) *failed {
	defer ans.Close()
	head := getBuffer()
	defer head.put()
	if ans.Length > 0 {
		head.grow(int(min(ans.Length, wholeAnswer)) + 1)
	}
	more := true
	for more && len(head.b) < wholeAnswer {
		head.grow(512)
		var f *failed
		if more, f = x.readMore(ctx, ans, head); f != nil {
			return f
		}
	}
	copyAnswerHeader(x.header(), ans.Header)
	x.header()["X-Request-Id"] = []string{x.id}
	if !more && x.method != http.MethodHead {
		x.header()["Content-Length"] = []string{strconv.Itoa(len(head.b))}
	}
	if ans.Status == http.StatusOK && x.route == x.s.routes.responses && !more {
		x.readUsage(head.b)
	}
	x.begin(ans.Status)
	for {
		x.write(head.b)
		if x.failure != "" || !more {
			return nil
		}
		head.b = head.b[:0]
		var f *failed
		if more, f = x.readMore(ctx, ans, head); f != nil {
			x.note(f.kind, f.cause)
			panic(http.ErrAbortHandler) // the client must not take it for the end
		}
	}
}

// wholeAnswer is the largest answer that is held before it is passed on, so
// that one which breaks off still becomes an error with a status.
const wholeAnswer = 256 << 10

// readMore reads once into the free part of buf. It returns false at the end.
func (x *exchange) readMore(ctx context.Context, ans *upstream.Answer, buf *buffer) (bool, *failed) {
	ans.SetReadDeadline(time.Now().Add(x.idle()))
	n, err := ans.Read(buf.b[len(buf.b):cap(buf.b)])
	buf.b = buf.b[:len(buf.b)+n]
	switch err {
	case nil:
		return true, nil
	case io.EOF:
		return false, nil
	default:
		return false, x.broken(ctx, err)
	}
}

var usageParsers fastjson.ParserPool

// readUsage looks for the token counts of a whole response.
func (x *exchange) readUsage(body []byte) {
	p := usageParsers.Get()
	defer usageParsers.Put(p)
	if v, err := p.ParseBytes(body); err == nil {
		if x.model == "" {
			x.model = string(v.GetStringBytes("model"))
		}
		x.usage, x.hasUsage = responses.ReadUsage(v.Get("usage"))
	}
}

// passHead passes the status and header of a stream on; while another backend
// could answer in its place, only with its first event.
func (st *stream) passHead(ans *upstream.Answer) {
	h := make(http.Header, len(ans.Header)+1)
	copyAnswerHeader(h, ans.Header)
	delete(h, "Content-Length")
	h["X-Request-Id"] = []string{st.x.id}
	st.x.closeAfter(h)
	st.mu.Lock()
	defer st.mu.Unlock()
	st.head = h
	if st.x.replaceable() {
		return
	}
	out := getBuffer()
	defer out.put()
	out.b = append(out.b, noRoom[:]...)
	st.write(out, false)
}

// passAnswer passes a whole answer on that came in the place of a stream.
func (st *stream) passAnswer(ans *upstream.Answer) {
	defer ans.Close()
	out := getBuffer()
	defer out.put()
	out.b = append(out.b, noRoom[:]...)
	if f := st.x.readAnswer(st.ctx, ans, out); f != nil {
		st.fail(f)
		return
	}
	h := make(http.Header, len(ans.Header)+2)
	copyAnswerHeader(h, ans.Header)
	h["X-Request-Id"] = []string{st.x.id}
	h["Content-Length"] = []string{strconv.Itoa(len(out.b) - room)}
	st.mu.Lock()
	defer st.mu.Unlock()
	if !st.over {
		st.begin(ans.Status, h)
		st.write(out, true)
	}
}

// watchedEvents are the events of a forwarded stream.
type watchedEvents struct{ watch forward.Watch }

func (e *watchedEvents) Write(dst, p []byte, _ int64) ([]byte, error) {
	whole, err := e.watch.Write(p)
	dst = append(dst, whole...)
	e.watch.Release()
	return dst, err
}

// Start has nothing to say: the first event is the upstream's.
func (e *watchedEvents) Start(dst []byte) []byte { return dst }

func (e *watchedEvents) End(dst []byte, cause *responses.Error, _ int64) []byte {
	return e.watch.End(dst, cause)
}

// Done is never true before the upstream's own end: what follows the terminal
// event, [DONE] or not, passes too.
func (e *watchedEvents) Done() bool { return false }

func (e *watchedEvents) Usage() (responses.Usage, bool) { return e.watch.Usage() }
