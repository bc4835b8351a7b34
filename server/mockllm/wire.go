package mockllm

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// A wire puts the events of a stream on the wire: pace, faults, and the form of
// the bytes.
type wire struct {
	opt   *Options
	stats *counters
	st    *steering
	w     http.ResponseWriter
	rc    *http.ResponseController
	ctx   context.Context
	wait  *time.Timer // between tokens; nil before the first wait

	buf    []byte // events to be written
	quirky []byte // the same with another line end, and so on
	events int    // built so far
	queued int    // of them in buf
	sent   int    // bytes
	ended  bool   // by a fault
}

// open begins the stream that answers r. Its buffers are used again.
func (s *wire) open(w http.ResponseWriter, r *http.Request, st *steering, opt *Options, stats *counters) {
	*s = wire{opt: opt, stats: stats, st: st, w: w, rc: http.NewResponseController(w), ctx: r.Context(),
		wait: s.wait, buf: s.buf[:0], quirky: s.quirky}
}

const garbage = `{"id":"chatcmpl-`

// generationError is what vLLM says when generating fails.
var generationError = &refusal{status: 500, typ: "InternalServerError", message: "Internal server error"}

// event sends one event with the data that add appends. Like all that send,
// it is false when the stream is over: the client left, or a fault ended it.
func (s *wire) event(add func([]byte) []byte) bool {
	if !s.begin() {
		return false
	}
	s.buf = add(s.buf)
	return s.close()
}

// begin opens an event, unless a fault is due.
func (s *wire) begin() bool {
	if s.st == unsteered {
		s.buf = append(s.buf, "data: "...)
		return true
	}
	switch s.events {
	case s.st.cutAfter:
		s.flush()
		s.breakConnection()
	case s.st.endAfter:
		s.ended = s.flush()
		return false
	case s.st.errorAfter:
		st := *s.st
		st.clearFaults()
		s.st = &st
		s.ended = s.event(generationError.appendBody) &&
			s.event(func(b []byte) []byte { return append(b, "[DONE]"...) }) && s.flush()
		return false
	case s.st.garbageAfter:
		s.buf = append(s.buf, "data: "+garbage+"\n\n"...)
	}
	if s.st.comments {
		s.buf = append(s.buf, ": comment\n\n"...)
	}
	s.buf = append(s.buf, "data: "...)
	return true
}

// close ends the event that begin opened and writes when enough are ready.
func (s *wire) close() bool {
	s.buf = append(s.buf, "\n\n"...)
	s.events++
	if s.queued++; s.queued >= max(s.opt.Burst, s.st.burst) {
		return s.flush()
	}
	return true
}

// flush writes the events that are ready.
func (s *wire) flush() bool {
	out := s.buf
	if s.st.eol != "lf" || s.st.noSpace {
		out = s.reform(out)
	}
	if s.st.cutBytes >= 0 && s.sent+len(out) > s.st.cutBytes {
		s.write(out[:s.st.cutBytes-s.sent])
		s.breakConnection()
	}
	s.buf, s.queued = s.buf[:0], 0
	for s.st.split > 0 && len(out) > s.st.split {
		if !s.write(out[:s.st.split]) {
			return false
		}
		out = out[s.st.split:]
	}
	return s.write(out)
}

func (s *wire) write(b []byte) bool {
	s.sent += len(b)
	if _, err := s.w.Write(b); err != nil {
		return false
	}
	return s.rc.Flush() == nil && s.ctx.Err() == nil
}

// reform gives the events another line end, and takes the space after "data:".
// Data holds no line end, so every LF is one of the framing.
func (s *wire) reform(b []byte) []byte {
	s.quirky = s.quirky[:0]
	for line := range bytes.Lines(b) {
		text := bytes.TrimSuffix(line, []byte("\n"))
		if s.st.noSpace {
			if data, ok := bytes.CutPrefix(text, []byte("data: ")); ok {
				s.quirky, text = append(s.quirky, "data:"...), data
			}
		}
		s.quirky = append(s.quirky, text...)
		switch s.st.eol {
		case "cr":
			s.quirky = append(s.quirky, '\r')
		case "crlf":
			s.quirky = append(s.quirky, '\r', '\n')
		default:
			s.quirky = append(s.quirky, '\n')
		}
	}
	return s.quirky
}

// breakConnection ends the handler so that net/http closes the connection
// without the last chunk.
func (s *wire) breakConnection() {
	s.stats.faults.Add(1)
	panic(http.ErrAbortHandler)
}

func (s *wire) pause(d time.Duration) bool {
	if s.wait == nil {
		s.wait = time.NewTimer(d)
	} else {
		s.wait.Reset(d)
	}
	select {
	case <-s.wait.C:
		return true
	case <-s.ctx.Done():
		s.wait.Stop()
		return false
	}
}
