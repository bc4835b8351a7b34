package server

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"antwort/server/background"
	"antwort/server/buffer"
	"antwort/server/dispatch"
	"antwort/server/ingress"
	"antwort/server/observe"
	"antwort/server/state"
	"antwort/server/streaming"
	"antwort/server/trace"
	"antwort/server/turns"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/translate"
)

// A request with background true is answered when it is stored, and worked on later,
// here or in another process: an exchange without a client then does what follows
// translation for one with a client.

// newJobs makes the workers on such requests.
func (s *Server) newJobs(cfg *config.Config) *background.Workers {
	return background.New(background.Options{
		Store: s.store, Workers: cfg.State.Background.Workers, Lease: cfg.State.Background.Lease, Ending: s.ending,
		Ready:      s.dispatcher.Contacted,
		Run:        func(ctx context.Context, j *state.Job, l *background.Log) { s.inForce.Load().work(ctx, &job{j, l}) },
		CommitTime: func() time.Duration { return s.inForce.Load().cfg.State.CommitTimeout },
		Log:        s.log, Registerer: s.observer.Registerer(),
	})
}

// secretFields never go into a store.
var secretFields = map[string]bool{"Authorization": true, "Proxy-Authorization": true, "Cookie": true, "X-Api-Key": true, "Api-Key": true}

// task is what is to be done for the request, in whichever process.
func (x *exchange) task(body []byte) (*turns.Task, *failure.Failure) {
	if !x.held.Hold(2 * len(body)) {
		return nil, x.held.Refusal()
	}
	t := &turns.Task{RequestID: x.rec.ID, Fields: map[string][]string{}, Body: bytes.Clone(body)}
	if c := x.rec.Caller; c != nil {
		t.Caller = &turns.Caller{Subject: c.Subject, Tenant: c.Tenant, Key: c.Key, Models: c.Models()}
	}
	keep := func(name string) {
		if values := x.r.Header[name]; len(values) > 0 && !secretFields[name] {
			t.Fields[name] = values
		}
	}
	for name, value := range x.rec.Span.Fields() {
		t.Fields[name] = value
	}
	for _, name := range [...]string{"Traceparent", "Tracestate", http.CanonicalHeaderKey(policy.HopField)} {
		keep(name)
	}
	for _, name := range x.gen.fields {
		if name != "Content-Encoding" { // the body is decoded
			keep(name)
		}
	}
	return t, nil
}

// accept stores the request, and answers that it waits.
func (x *exchange) accept(turn *translate.Turn, begun *turns.Turn, task *turns.Task) *failure.Failure {
	defer turn.Free()
	events := turn.Queue(make([]byte, 0, 4<<10))
	queued := turn.Outcome()
	if f := begun.Accept(queued, events, task); f != nil {
		return f
	}
	x.rec.Operation = "" // that is the work's
	x.gen.jobs.Wake()
	if begun.ToldStreamed {
		x.follow(begun.Events())
		return nil
	}
	if x.rec.DroppedTools != "" {
		x.header().Set(translate.DroppedToolsField, x.rec.DroppedTools)
	}
	x.json(http.StatusOK, queued.Resource)
	return nil
}

// follow streams the events of a response in the background. Whether its client stays
// changes nothing for the response.
func (x *exchange) follow(replay *turns.Replay) {
	x.rec.Streamed = true
	x.gen.observer.Streams(1)
	ctx, cancel := context.WithCancelCause(context.Background())
	x.unlink = context.AfterFunc(x.r.Context(), func() { cancel(dispatch.ErrClientGone) })
	asked := make(chan struct{}, 1)
	ask := func() {
		select {
		case asked <- struct{}{}:
		default:
		}
	}
	w, r := x.w, x.r
	taken := x.takeOver(cancel)
	if taken != nil {
		taken.WhenAsked(ask)
		go func() {
			defer taken.Done()
			complete := x.tell(ctx, replay, taken.Sink(), asked)
			x.gen.observer.Streams(-1)
			cancel(nil)
			taken.Finish(complete)
			x.record()
		}()
		return
	}
	defer cancel(nil)
	sink := ingress.NewWriterSink(w)
	sink.Limit(time.Time{}) // an earlier answer's
	ingress.WhenAsked(r, ask)
	complete := x.tell(ctx, replay, sink, asked)
	x.gen.observer.Streams(-1)
	if !complete {
		panic(http.ErrAbortHandler) // the client must not take it for the end
	}
}

// tell sends the events, and reports whether all of them are the client's.
func (x *exchange) tell(ctx context.Context, replay *turns.Replay, sink ingress.Sink, asked <-chan struct{}) (complete bool) {
	defer func() {
		if p := recover(); p != nil {
			x.Panicked(p)
		}
	}()
	h := http.Header{"Content-Type": []string{"text/event-stream"}, "Cache-Control": []string{"no-cache"}}
	if x.rec.DroppedTools != "" {
		h.Set(translate.DroppedToolsField, x.rec.DroppedTools)
	}
	x.Dress(h)
	x.rec.Status = http.StatusOK
	sink.Begin(http.StatusOK, h)
	err := x.gen.jobs.Reader(replay.Owner, replay.ID, replay.After).Follow(ctx, &background.Client{
		Sink: sink, Asked: asked, KeepAlive: x.gen.cfg.Server.KeepAliveInterval, Idle: x.idle(), Hold: x.held.Hold, LetGo: x.held.LetGo,
		Sent: func(n int) {
			if x.rec.FirstEvent == 0 {
				x.rec.FirstEvent = time.Since(x.rec.Start)
			}
			x.rec.Wrote(int64(n))
		},
	})
	switch {
	case err == nil:
		return true
	case errors.Is(err, background.ErrStop):
		x.rec.Fail(failure.Shutdown, err)
	case errors.Is(err, background.ErrFull):
		x.rec.Fail(failure.Overloaded, err)
	case errors.Is(err, background.ErrGone):
		x.rec.Fail(failure.NotStored, err)
	case errors.Is(err, state.ErrUnavailable):
		x.rec.Fail(failure.StateUnavailable, err)
	case errors.Is(err, state.ErrUnreadable):
		x.rec.Fail(failure.StateUnreadable, err)
	default:
		x.rec.Fail(failure.ClientGone, err)
	}
	return false
}

// job is a response in the background that is worked on, and where what comes of it is
// said.
type job struct {
	*state.Job
	log *background.Log
}

// jobEndpoint is what log and metrics call the work on such a response.
const jobEndpoint = "background"

// maxTries is how often a job is begun.
const maxTries = 3

// errTooLong is why the work on a job ends.
var errTooLong = errors.New("it is worked on for longer than state.background.max_time")

// work works on a job until it has ended, or is no longer this process's.
func (g *generation) work(ctx context.Context, j *job) {
	ctx, stop := context.WithTimeoutCause(ctx, g.cfg.State.Background.MaxTime, errTooLong)
	defer stop()
	x := &exchange{gen: g, endpoint: g.endpoints.API[policy.Create], job: j}
	x.rec = observe.Record{ID: "resp_" + j.ID, Start: time.Now(), Method: http.MethodPost, Path: policy.Create.Name, Endpoint: jobEndpoint, Operation: trace.Operation(policy.Create.Name)}
	g.observer.Begin(&x.rec)
	defer x.record()
	again, f := x.perform(ctx)
	interrupted := j.log.Close(ctx, again, func(j *state.Job, log []state.Events) (*state.Record, []byte) {
		e := turns.Interrupted()
		switch {
		case f != nil:
			e = turns.Failed(f)
		case x.rec.Failure == failure.Panic:
			e = policy.Internal()
		case errors.Is(context.Cause(ctx), errTooLong):
			e = turns.TookTooLong()
		}
		r := j.Record
		return &r, g.turns.LastWords(&r, log, state.Failed, e)
	})
	switch {
	case f != nil:
		x.rec.Fail(f.Kind, f.Cause)
		if f.Reply != nil {
			x.rec.Status = f.Reply.Status
		}
	case interrupted:
		x.rec.Fail(failure.Interrupted, context.Cause(ctx))
	}
}

// perform answers the job's request. again says that this was not possible for now.
func (x *exchange) perform(ctx context.Context) (again bool, f *failure.Failure) {
	defer func() {
		if p := recover(); p != nil {
			x.Panicked(p)
		}
	}()
	j := x.job
	if j.Tries > maxTries || j.Flags.Logs() && j.Next > responses.Queued {
		return false, failure.Of(failure.Interrupted, turns.Interrupted())
	}
	task, err := turns.ReadTask(j.Request)
	if err != nil {
		return false, failure.Of(failure.Interrupted, turns.Interrupted()).Because(err)
	}
	x.rec.ID, x.rec.Caller = task.RequestID, task.Identity()
	x.rec.Span = x.gen.tracer.Begin(trace.Handled, jobEndpoint+" "+policy.Create.Name, x.rec.Start, x.gen.tracer.Take(task.Fields), nil)
	x.r = (&http.Request{Method: http.MethodPost, Header: task.Fields, URL: &url.URL{Path: policy.Create.Name}}).WithContext(ctx)
	if !x.gen.held.Begin(&x.held, x.gen.cfg.Limits.InFlight(false)) || !x.held.Hold(len(j.Request)) {
		select { // others end meanwhile
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return true, nil
	}
	body := buffer.Metered(&x.held)
	body.B = append(body.B, task.Body...)
	d, f := x.gen.decider.Begin(policy.Request{Endpoint: policy.Create, Method: http.MethodPost, Caller: x.rec.Caller, HasBody: true, Field: x.field})
	if f == nil && d.Need == policy.Body {
		f = x.held.Parsing(body.B, x.gen.cfg.Limits.JSONValues, func() *failure.Failure { return d.Body(body.B) })
	}
	if f == nil && d.Need != policy.Translation && !d.Kept {
		f = failure.Of(failure.Interrupted, turns.Interrupted()).Because(errNotTranslated)
	}
	if f != nil {
		body.Put()
		return false, f
	}
	if d.Need != policy.Translation {
		return false, x.adopt(&d, body)
	}
	return false, x.translate(&d, body)
}

// errNotTranslated is that the configuration has changed since the job was accepted.
var errNotTranslated = errors.New("its route leads to no backend whose responses are kept here any more")

// answerJob says into the job's log what its model answers.
func (x *exchange) answerJob(ctx context.Context, cancel context.CancelCauseFunc, begun *turns.Turn, work func([]byte) []byte, kind streaming.Kind) {
	j := x.job
	j.log.Record = begun.Record
	if j.Next < responses.Queued {
		j.log.Say(work(nil))
	}
	st := streaming.New(ctx, cancel, streaming.Options{
		Owner: x, Kind: kind, Call: x.call, Record: &x.rec, Sink: j.log, Memory: &x.held, Idle: x.idle(), InEvents: true, Whole: true, Estimates: x.gen.rules.CountTokens(),
	})
	defer st.Close()
	st.Run(nil)
}
