package server

import (
	"net/http"
	"strconv"
	"time"

	"antwort/server/header"
	"antwort/shared/failure"
)

// Answers that are not streamed go through net/http.

func (x *exchange) header() http.Header { return x.w.Header() }

var jsonType = []string{"application/json"}

// json answers with a whole body.
func (x *exchange) json(status int, body []byte) {
	h := x.header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.start(status)
	x.write(body)
}

func (x *exchange) text(status int, body string) {
	x.header()["Content-Type"] = []string{"text/plain; charset=utf-8"}
	x.start(status)
	x.write([]byte(body))
}

// fail answers with a step that failed. Nothing was answered before.
func (x *exchange) fail(f *failure.Failure) {
	x.body.Put()
	x.body = nil
	x.turn.Leave() // who is told may come again at once
	x.rec.Fail(f.Kind, f.Cause)
	e := f.Reply
	if e == nil {
		panic(http.ErrAbortHandler)
	}
	for _, field := range f.Fields {
		x.header().Set(field[0], field[1])
	}
	if e.RetryAfter != "" {
		x.header().Set("Retry-After", e.RetryAfter)
	}
	x.json(e.Status, e.AppendBody(make([]byte, 0, 256)))
}

// start sends the status and header.
func (x *exchange) start(status int) {
	x.rec.Status = status
	x.limitWriting()
	header.AllowOrigin(x.header(), x.origin, x.gen.cfg.Server.CORS.AllowedOrigins)
	x.closeAfter(x.header())
	x.w.WriteHeader(status)
}

// flushed is the size of what is written at once, so that its failure shows.
const flushed = 32 << 10

// write writes a part of the answer's body.
func (x *exchange) write(p []byte) {
	if x.rec.Sent > 0 {
		x.limitWriting() // anew: start's limit was for the first part
	}
	n, err := x.w.Write(p)
	if err == nil && len(p) >= flushed {
		err = http.NewResponseController(x.w).Flush()
	}
	x.rec.Sent += int64(n)
	if err != nil && x.rec.Method != http.MethodHead {
		x.rec.Fail(failure.ClientGone, err)
	}
}

// limitWriting gives the client a time to read the answer, as long as the
// upstream has for silence. It stays for what net/http writes after the
// handler; the body's time and the take-over end it.
func (x *exchange) limitWriting() {
	_ = http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(x.idle()))
}

// idle is how long either side of an answer may be silent.
func (x *exchange) idle() time.Duration {
	if x.call != nil && x.call.Backend != nil {
		return x.call.Idle()
	}
	return x.gen.cfg.Engine.StreamIdleTimeout
}
