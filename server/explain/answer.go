package explain

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/sse"
	"antwort/shared/streamcheck"
	"antwort/shared/translate"

	"github.com/valyala/fastjson"
)

// Answer is what a recorded answer of a backend becomes.
type Answer struct {
	Steps    []Step          `json:"steps,omitempty"`    // the events, with what they come of
	Response json.RawMessage `json:"response,omitempty"` // the resource that the answer ends as
	Refusal  *Refusal        `json:"refusal,omitempty"`  // what the client gets instead
	Text     string          `json:"text,omitempty"`     // that the answer says
	Verdict  *Verdict        `json:"verdict,omitempty"`  // of the validator, about the events
}

// Step is a piece of the backend's answer, and what comes of it.
type Step struct {
	Chat   string  `json:"chat,omitempty"` // the data of an event, or a whole answer; none: its end
	Events []Event `json:"events,omitempty"`
}

// Event is an event of the response.
type Event struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data,omitempty"` // none of [DONE]
}

// Verdict is what package streamcheck says of the events.
type Verdict struct {
	OK       bool      `json:"ok"`
	Problems []Problem `json:"problems,omitempty"`
}

// Problem is a breach of a rule that package streamcheck names.
type Problem struct {
	Event int    `json:"event"`
	Rule  string `json:"rule"`
	Text  string `json:"text"`
}

// Answered explains, of a request that is translated, what a backend's recorded answer
// becomes: an event stream or a chat answer, with its status. A whole answer becomes
// events too, which is what a client gets that has asked for a stream.
func (r *Report) Answered(status int, recorded []byte) *Report {
	if r.Outcome != Translated {
		return r
	}
	_, turn, err := r.translator.Continued(nil, r.body, len(r.body), r.past, id, now)
	if err != nil { // cannot be: it was translated before
		return r.refuse(err)
	}
	defer turn.Free()
	a := &Answer{}
	r.Answer = a
	if status != 200 {
		a.refuse(translate.UpstreamError(status, recorded, "", r.ownKey))
		return r
	}
	a.stream(turn.Stream(), recorded)
	return r
}

func (a *Answer) refuse(e *responses.Error) {
	a.Refusal = new(Report).refuse(e).Refusal
}

// stream gives the pieces of an answer to a stream.
func (a *Answer) stream(s *translate.Stream, recorded []byte) {
	var check streamcheck.Checker
	for _, piece := range pieces(recorded) {
		events, failed := s.Write(nil, piece.raw, now)
		if failed != nil {
			var e *responses.Error
			errors.As(failed, &e)
			a.refuse(e)
			return
		}
		a.step(&check, piece.data, events)
	}
	switch {
	case s.Done():
	case s.Started():
		a.step(&check, "", s.End(nil, nil, now))
	default: // a real status is still possible
		a.refuse(translate.CutError())
		return
	}
	a.Verdict = &Verdict{}
	for _, p := range check.Close() {
		a.Verdict.Problems = append(a.Verdict.Problems, Problem{p.Event, p.Rule, p.Text})
	}
	a.Verdict.OK = len(a.Verdict.Problems) == 0
}

// step adds what has come of a piece.
func (a *Answer) step(check *streamcheck.Checker, chat string, events []byte) {
	_, _ = check.Write(events) // never fails
	step := Step{Chat: chat}
	for _, piece := range pieces(events) {
		e := Event{Type: piece.name}
		if e.Type == "" {
			e.Type = piece.data
		} else {
			e.Data = json.RawMessage(piece.data)
		}
		step.Events = append(step.Events, e)
		a.read(e)
	}
	a.Steps = append(a.Steps, step)
}

// read reads what an event says of the answer.
func (a *Answer) read(e Event) {
	switch e.Type {
	case "response.output_text.delta":
		if text, ok := jsontext.LastMember(e.Data, "delta"); ok {
			a.Text += string(parsed(text).GetStringBytes())
		}
	case "response.completed", "response.incomplete", "response.failed":
		a.Response, _ = jsontext.LastMember(e.Data, "response")
	}
}

// A piece is an event of a stream, or a whole answer.
type piece struct {
	raw        []byte
	name, data string
}

// pieces are the events of a stream, or what is recorded as one piece.
func pieces(recorded []byte) (all []piece) {
	if text := bytes.TrimSpace(bytes.TrimPrefix(recorded, []byte("\ufeff"))); len(text) > 0 && text[0] == '{' {
		return []piece{{raw: recorded, data: compact(text)}}
	}
	framer := sse.Framer{Max: len(recorded) + 1}
	framer.Write(recorded)
	for {
		ev, ok, err := framer.Next()
		if !ok || err != nil {
			break
		}
		if raw := bytes.Clone(ev.Raw); len(bytes.TrimSpace(raw)) > 0 {
			all = append(all, piece{raw, string(ev.Name), string(ev.Data)})
		}
	}
	if rest := bytes.Clone(framer.Rest()); len(bytes.TrimSpace(rest)) > 0 {
		all = append(all, piece{raw: rest, data: strings.TrimSpace(string(rest))})
	}
	return all
}

func compact(text []byte) string {
	var p fastjson.Parser
	if v, err := p.ParseBytes(text); err == nil {
		return string(v.MarshalTo(nil))
	}
	return string(text)
}
