package mockllm

import (
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// A steering is what one request asks of the mock, by two ways with the same
// names and values:
//
//   - a header `X-Mock-<Name>: <value>`;
//   - a line `mock: name=value name=value …` in the last message of the
//     conversation, which also passes gateways that forward no unknown headers.
//     A value with spaces is written in double quotes; a name alone means 1.
//
// A header wins over the line. Names are looked up in directives; an unknown
// name or a bad value is refused with 400, so that a typing error shows. A line
// that begins with turn=N is for a later request (see script.go).
// "Events" are the data events of the stream, counted from 1; 0 is before the
// first, after the header.
type steering struct {
	// faults
	status       int // answer with this status instead
	retryAfter   string
	errorBody    string // vllm | flat | html | empty
	drop         bool   // close the connection before the status line
	cutAfter     int    // events, then the connection breaks; whole answers break in the middle
	cutBytes     int    // bytes of the body, then the connection breaks
	endAfter     int    // events, then the body ends properly, without finish and [DONE]
	errorAfter   int    // events, then {"error":…} and [DONE]
	garbageAfter int    // events, then one that is not JSON
	noDone       bool   // no [DONE]
	noUsage      bool   // no usage, although asked for
	maxModelLen  int    // refuse prompts of more tokens
	times        int    // only the first requests with the same body have faults; 0 is all

	// speed and form of the bytes
	headerDelay, firstDelay, delay delay
	burst                          int    // tokens in one write
	split                          int    // bytes in one write; 1 is byte by byte
	eol                            string // lf | crlf | cr
	noSpace                        bool   // "data:{…}"
	comments                       bool   // a comment line before every event
	interleave                     bool   // parallel calls take turns

	// the answer
	text, reasoning, refusal string // exactly this; reasoning alone (1) is a default thought
	setText                  bool
	call                     []steeredCall
	calls                    int    // so many calls
	tokens, tokenBytes       int    // exactly so many tokens, of so many bytes
	finish                   string // this finish_reason
	reasoningField           string // reasoning | reasoning_content
	omitCallID               bool   // tool calls without an id
	echo                     bool   // the echo even where another answer would come
}

// A delay distinguishes 0s from absent.
type delay struct {
	set bool
	d   time.Duration
}

func (d delay) or(fallback time.Duration) time.Duration {
	if d.set {
		return d.d
	}
	return fallback
}

func (d *delay) parse(v string) error {
	n, err := time.ParseDuration(v)
	if err != nil || n < 0 {
		return fmt.Errorf("want a duration such as 20ms")
	}
	*d = delay{true, n}
	return nil
}

func newSteering() *steering {
	return &steering{cutAfter: -1, cutBytes: -1, endAfter: -1, errorAfter: -1, garbageAfter: -1, errorBody: "vllm", eol: "lf", reasoningField: "reasoning"}
}

const maxCount = 1 << 30

func number(dst *int, least, most int) func(string) error {
	return func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return fmt.Errorf("want an integer from %d to %d", least, most)
		}
		*dst = n
		return nil
	}
}

func flag(dst *bool) func(string) error {
	return func(v string) error {
		on, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("want 1 or 0")
		}
		*dst = on
		return nil
	}
}

func text(dst *string) func(string) error {
	return func(v string) error { *dst = v; return nil }
}

func choice(dst *string, allowed ...string) func(string) error {
	return func(v string) error {
		if !oneOf(v, allowed) {
			return fmt.Errorf("want one of %s", strings.Join(allowed, ", "))
		}
		*dst = v
		return nil
	}
}

// directives are the names and how their values are read.
func (s *steering) directives() map[string]func(string) error {
	return map[string]func(string) error{
		"status":        number(&s.status, 400, 599),
		"retry-after":   text(&s.retryAfter),
		"error-body":    choice(&s.errorBody, "vllm", "flat", "html", "empty"),
		"drop":          flag(&s.drop),
		"cut-after":     number(&s.cutAfter, 0, maxCount),
		"cut-bytes":     number(&s.cutBytes, 0, maxCount),
		"end-after":     number(&s.endAfter, 0, maxCount),
		"error-after":   number(&s.errorAfter, 0, maxCount),
		"garbage-after": number(&s.garbageAfter, 0, maxCount),
		"no-done":       flag(&s.noDone),
		"no-usage":      flag(&s.noUsage),
		"max-model-len": number(&s.maxModelLen, 1, maxCount),
		"times":         number(&s.times, 1, maxCount),

		"header-delay": s.headerDelay.parse,
		"first-delay":  s.firstDelay.parse,
		"delay":        s.delay.parse,
		"burst":        number(&s.burst, 1, maxCount),
		"chunk": func(v string) error {
			if v == "bytes" {
				v = "1"
			}
			return number(&s.split, 1, maxCount)(v)
		},
		"eol":        choice(&s.eol, "lf", "crlf", "cr"),
		"no-space":   flag(&s.noSpace),
		"comments":   flag(&s.comments),
		"interleave": flag(&s.interleave),

		"text":            func(v string) error { s.text, s.setText = v, true; return nil },
		"reasoning":       text(&s.reasoning),
		"refusal":         text(&s.refusal),
		"call":            func(v string) error { s.call = append(s.call, readCall(v)); return nil },
		"calls":           number(&s.calls, 1, 128),
		"tokens":          number(&s.tokens, 1, 1_000_000),
		"token-bytes":     number(&s.tokenBytes, 1, 4096),
		"finish":          text(&s.finish),
		"reasoning-field": choice(&s.reasoningField, "reasoning", "reasoning_content"),
		"omit-call-id":    flag(&s.omitCallID),
		"echo":            flag(&s.echo),
	}
}

const headerPrefix = "X-Mock-"

// unsteered is shared by all requests that ask for nothing.
var unsteered = newSteering()

// steer reads the directives of one request.
func steer(h http.Header, r *request) (*steering, *refusal) {
	given := r.scripted()
	for key, values := range h {
		if name, ok := strings.CutPrefix(key, headerPrefix); ok {
			name = strings.ToLower(name)
			given = slices.DeleteFunc(given, func(d directive) bool { return d.name == name })
			given = append(given, directive{name, values[0]})
		}
	}
	if given == nil {
		return unsteered, nil
	}
	s := newSteering()
	known := s.directives()
	for _, d := range given {
		read, ok := known[d.name]
		if !ok {
			return nil, badRequest("mock", fmt.Sprintf("unknown mock directive %q; there are %s", d.name, strings.Join(sortedKeys(known), ", ")))
		}
		if err := read(d.value); err != nil {
			return nil, badRequest("mock", fmt.Sprintf("mock directive %s=%s: %v", d.name, d.value, err))
		}
	}
	return s, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func (s *steering) faulty() bool {
	return s.status != 0 || s.drop || s.cutAfter >= 0 || s.cutBytes >= 0 || s.endAfter >= 0 ||
		s.errorAfter >= 0 || s.garbageAfter >= 0 || s.noDone || s.noUsage
}

func (s *steering) clearFaults() {
	s.status, s.drop, s.noDone, s.noUsage = 0, false, false, false
	s.cutAfter, s.cutBytes, s.endAfter, s.errorAfter, s.garbageAfter = -1, -1, -1, -1, -1
}

// answers is true when the answer itself is steered.
func (s *steering) answers() bool {
	return s.setText || s.reasoning != "" || s.refusal != "" || s.call != nil || s.calls > 0 ||
		s.tokens > 0 || s.finish != "" || s.echo
}
