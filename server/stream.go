package server

import (
	"context"
	"net/http"
	"time"

	"antwort/server/dispatch"
	"antwort/server/header"
	"antwort/server/ingress"
	"antwort/server/streaming"
	"antwort/server/upstream"
)

// stream streams the answer of the exchange's call; first is one that is there
// already, or nil. When the client's connection can be taken over, it returns at
// once, and the exchange belongs to the stream's goroutine.
func (x *exchange) stream(ctx context.Context, cancel context.CancelCauseFunc, kind streaming.Kind, keepAlive time.Duration, first *upstream.Answer) {
	x.rec.Streamed = true
	x.gen.observer.Streams(1)
	w, r := x.w, x.r
	taken := x.takeOver(cancel)
	opt := streaming.Options{Owner: x, Kind: kind, Call: x.call, Record: &x.rec, Memory: &x.held, KeepAlive: keepAlive, Idle: x.idle()}
	if taken != nil {
		opt.Sink = taken.Sink()
		st := streaming.New(ctx, cancel, opt)
		taken.WhenAsked(st.Ask)
		go x.streamTaken(st, taken, first)
		return
	}
	opt.Sink = ingress.NewWriterSink(w)
	opt.Sink.Limit(time.Time{}) // an earlier answer's
	st := streaming.New(ctx, cancel, opt)
	ingress.WhenAsked(r, st.Ask)
	st.Run(first)
	x.gen.observer.Streams(-1)
	st.Close()
	if st.Broken() {
		panic(http.ErrAbortHandler) // the client must not take it for the end
	}
}

// streamTaken streams on a connection of its own.
func (x *exchange) streamTaken(st *streaming.Stream, taken *ingress.Taken, first *upstream.Answer) {
	defer taken.Done()
	complete := st.Run(first)
	x.gen.observer.Streams(-1)
	taken.Finish(complete)
	x.record()
	st.Close()
}

// takeOver takes the client's connection over; nil when the answer goes through
// net/http.
func (x *exchange) takeOver(gone context.CancelCauseFunc) *ingress.Taken {
	if !x.gen.cfg.Server.TakeOver || x.upload != nil {
		return nil
	}
	taken := x.gen.door.Take(x.w, x.r, func() { gone(dispatch.ErrClientGone) })
	if taken != nil {
		x.unlink() // net/http ends the request's context when the handler returns
		x.detached, x.w, x.r = true, nil, nil
	}
	return taken
}

// Dress completes the header of a streamed answer.
func (x *exchange) Dress(h http.Header) {
	h["X-Request-Id"] = []string{x.rec.ID}
	header.AllowOrigin(h, x.origin, x.gen.cfg.Server.CORS.AllowedOrigins)
	x.closeAfter(h)
}
