package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"antwort/e2e/chain"
	"antwort/shared/streamcheck"
)

const modelName = "/mnt/models"

type object = map[string]any

// A testCase sends requests and checks the answers. What it returns is shown
// in the table.
type testCase struct {
	name string
	run  func(s *session) (seen string)
}

// A session is the run of one case.
type session struct {
	ctx                 context.Context
	options             chain.Options // of the chain under test
	url, backend, model string        // base URLs
	foreign             bool          // streams are another server's: not checked
	problems            []string

	// of all requests of the case that answered with a response
	seconds, first float64 // first: until the first delta of the last stream
	input, output  int
}

func (s *session) run(tc testCase) (r row) {
	defer func() {
		if p := recover(); p != nil { // a wrong shape of an answer: the case ends here
			s.check(false, "%v", p)
			r = s.row(tc.name, "")
		}
	}()
	return s.row(tc.name, tc.run(s))
}

func (s *session) row(name, seen string) row {
	return row{name: name, seen: seen, problems: s.problems, seconds: s.seconds, first: s.first, input: s.input, output: s.output}
}

func (s *session) check(ok bool, format string, args ...any) {
	if !ok {
		s.problems = append(s.problems, fmt.Sprintf(format, args...))
	}
}

// An answer is what came for one request.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	response response // of the body or of the terminal event
	events   []event  // of a stream
}

type response struct {
	ID, Status string
	Output     []json.RawMessage
	Usage      *struct {
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
	}
	Incomplete *struct{ Reason string } `json:"incomplete_details"`
	Error      *struct {
		Message string
		Type    string
		Param   *string
		Code    *string
	}
}

type event struct {
	Type, Delta string
	Response    *response
}

// An item is one of the output, with the members that the cases look at.
type item struct {
	Type, ID, Role, Status, Name, Arguments, Input string
	CallID                                         string `json:"call_id"`
	Content                                        []struct {
		Type, Text string
		Logprobs   []struct {
			Token string
			Top   []json.RawMessage `json:"top_logprobs"`
		}
	}
}

func (a *answer) items() []item {
	items := make([]item, len(a.response.Output))
	for i, raw := range a.response.Output {
		if err := json.Unmarshal(raw, &items[i]); err != nil {
			panic(fmt.Sprintf("output[%d]: %v: %s", i, err, raw))
		}
	}
	return items
}

// text is the text of all messages.
func (a *answer) text() string {
	var b strings.Builder
	for _, i := range a.items() {
		for _, part := range i.Content {
			if i.Type == "message" {
				b.WriteString(part.Text)
			}
		}
	}
	return b.String()
}

func (a *answer) param() string { return deref(a.response.Error.Param) }
func (a *answer) code() string  { return deref(a.response.Error.Code) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// types are the item types, as "reasoning message".
func (a *answer) types() string {
	var types []string
	for _, i := range a.items() {
		types = append(types, i.Type)
	}
	return strings.Join(types, " ")
}

// ask sends a request through the chain; the model's name and temperature 0
// are added where the body has none.
func (s *session) ask(body object) *answer { return s.askAt(s.url, body) }

func (s *session) askAt(base string, body object) *answer {
	for key, value := range (object{"model": modelName, "temperature": 0}) {
		if _, ok := body[key]; !ok {
			body[key] = value
		}
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return s.send(base, b)
}

func (s *session) send(base string, body []byte) *answer { return s.post(base+"/v1/responses", body) }

// answerLimit is for an answer of two cores that have much other work: three summaries take
// minutes there.
const answerLimit = 8 * time.Minute

func (s *session) post(url string, body []byte) *answer {
	ctx, cancel := context.WithTimeout(s.ctx, answerLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		s.readStream(a, resp.Body, start)
	} else {
		s.readWhole(a, resp.Body)
	}
	s.seconds += time.Since(start).Seconds()
	if u := a.response.Usage; u != nil {
		s.input += u.Input
		s.output += u.Output
	}
	return a
}

func (s *session) readWhole(a *answer, r io.Reader) {
	var err error
	if a.body, err = io.ReadAll(r); err != nil {
		panic(err)
	}
	if err := json.Unmarshal(a.body, &a.response); err != nil {
		panic(fmt.Sprintf("status %d: %v: %.300s", a.status, err, a.body))
	}
}

// readStream reads and checks every event.
func (s *session) readStream(a *answer, r io.Reader, start time.Time) {
	var raw bytes.Buffer
	rest, buf := "", make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		raw.Write(buf[:n])
		rest += string(buf[:n])
		for {
			block, after, whole := strings.Cut(rest, "\n\n")
			if !whole {
				break
			}
			rest = after
			s.readEvent(a, block, start)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			panic(err)
		}
	}
	a.body = raw.Bytes()
	if s.foreign {
		return
	}
	for _, p := range streamcheck.Check(&raw) {
		s.check(false, "stream: %v", p)
	}
}

func (s *session) readEvent(a *answer, block string, start time.Time) {
	_, data, ok := strings.Cut(block, "data: ")
	if !ok || data == "[DONE]" {
		return
	}
	var e event
	if err := json.Unmarshal([]byte(data), &e); err != nil {
		panic(fmt.Sprintf("event %s: %v", data, err))
	}
	if e.Delta != "" && s.first == 0 {
		s.first = time.Since(start).Seconds()
	}
	if e.Response != nil {
		a.response = *e.Response
	}
	a.events = append(a.events, e)
}

// names are the types of the events.
func (a *answer) names() []string {
	names := make([]string, len(a.events))
	for i, e := range a.events {
		names[i] = e.Type
	}
	return names
}

// deltas joins the deltas of one type.
func (a *answer) deltas(typ string) string {
	var b strings.Builder
	for _, e := range a.events {
		if e.Type == typ {
			b.WriteString(e.Delta)
		}
	}
	return b.String()
}
