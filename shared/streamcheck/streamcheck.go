// Package streamcheck validates event streams of the Responses API: order,
// indices, ids, sequence numbers, deltas against what they add up to, and the
// terminal event against the items that were streamed (Open Responses
// specification 2026-04-24, section Streaming, and what the official SDKs
// demand beyond it).
//
// Rules are named:
//
//	framing          lines of an event, comments between events only, no id:
//	json             data is one JSON object
//	event-name       the event: line equals data.type
//	known-event      the type is one that clients know
//	vocabulary       reasoning_text.* and reasoning.* are not mixed
//	sequence         sequence_number counts from 0 by 1
//	member           an event has its members, with their types
//	order            created, in_progress, items, one terminal event
//	resource         a response resource has all its members
//	echo             members that repeat the request do not change
//	status           of the response, and of its items beside it
//	index            output_index and content_index count from 0 by 1
//	id               ids are there, and stay the same
//	item             an item's events, begin and end
//	part             a content part's events, begin and end
//	delta            no empty deltas
//	text             deltas add up to the text of done, part and item
//	output           the terminal output is the items, byte for byte
//	error-event      an error event has both shapes, and response.failed follows
//	done             data: [DONE] is last
package streamcheck

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/valyala/fastjson"

	"antwort/shared/jsontext"
	"antwort/shared/sse"
)

// A Problem is one breach of a rule.
type Problem struct {
	Event  int    // number of the event, from 1; 0 is the stream as a whole
	Offset int64  // bytes before the event
	Rule   string // see the package documentation
	Text   string // what was expected and what came
}

func (p Problem) String() string {
	return fmt.Sprintf("event %d (byte %d): %s: %s", p.Event, p.Offset, p.Rule, p.Text)
}

const (
	maxProblems   = 100      // of one stream; the first ones matter
	maxEventBytes = 64 << 20 // a terminal event holds the whole answer
)

// A Checker validates one stream as its bytes arrive. The zero value is ready
// to use. It holds the answer's items as text until the end of the stream.
type Checker struct {
	framer   sse.Framer
	parser   fastjson.Parser
	problems []Problem
	broken   bool // an event over the limit: the rest is not looked at

	number int   // of the current event
	offset int64 // of the current event
	next   int64 // offset after it
	total  int64 // bytes written
	counts map[string]int

	sequence int
	queued   bool // the response began as one in the background
	phase    phase
	wasError bool // the event before was an error event
	reason   string
	echo     map[string][]byte // of the first resource
	item     *item             // that is open
	items    []finished
	ids      map[string]bool
}

type phase int

const (
	beforeCreated phase = iota
	beforeInProgress
	running
	ended // a terminal event came
	closed
)

// Check reads a stream to its end and returns its problems, at most 100. An
// error of the reader is one of them.
func Check(r io.Reader) []Problem {
	var c Checker
	_, err := io.Copy(&c, r)
	if err != nil {
		c.fail("framing", "the stream could not be read to its end: %v", err)
	}
	return c.Close()
}

// Write takes the next bytes of the stream, split anywhere. It never fails.
func (c *Checker) Write(p []byte) (int, error) {
	if c.broken {
		return len(p), nil
	}
	c.total += int64(len(p))
	c.framer.Max = maxEventBytes
	c.framer.Write(p)
	defer c.framer.Release()
	for {
		ev, ok, err := c.framer.Next()
		if errors.Is(err, sse.ErrTooLong) {
			c.fail("framing", "expected events of at most %d bytes", maxEventBytes)
			c.broken = true
			return len(p), nil
		}
		if !ok {
			return len(p), nil
		}
		c.offset = c.next
		c.next += int64(len(ev.Raw))
		c.event(ev)
	}
}

// Close ends the stream and returns its problems. The Checker must not be used
// afterwards, except for Count.
func (c *Checker) Close() []Problem {
	if c.broken {
		return c.problems
	}
	rest := bytes.TrimLeft(c.framer.Rest(), "\r\n")
	c.offset = c.total - int64(len(rest))
	if rest = bytes.TrimRight(rest, "\r\n"); len(rest) > 0 {
		c.fail("framing", "expected a blank line after the last event, the stream ended after %s", quote(rest))
	}
	switch {
	case c.number == 0:
		c.fail("order", "expected response.created, the stream has no events")
		return c.problems
	case c.phase < ended:
		c.fail("order", "expected response.completed, response.incomplete or response.failed, the stream ended")
	}
	if c.phase != closed {
		c.fail("done", "expected data: [DONE] at the end")
	}
	return c.problems
}

// Count returns the number of events with a type, or of all with "". [DONE] is
// not one of them.
func (c *Checker) Count(name string) int {
	if name != "" {
		return c.counts[name]
	}
	n := 0
	for _, count := range c.counts {
		n += count
	}
	return n
}

// Items returns how many output items were finished.
func (c *Checker) Items() int { return len(c.items) }

func (c *Checker) fail(rule, format string, args ...any) {
	if len(c.problems) < maxProblems {
		c.problems = append(c.problems, Problem{c.number, c.offset, rule, fmt.Sprintf(format, args...)})
	}
}

// event checks one block of lines.
func (c *Checker) event(ev sse.Event) {
	// further blank lines, and the LF of a CRLF that came in two writes, are
	// not of this event
	raw := bytes.TrimLeft(ev.Raw, "\r\n")
	c.offset += int64(len(ev.Raw) - len(raw))
	ev.Raw = bytes.TrimRight(raw, "\r\n")
	if len(raw) == 0 {
		return
	}
	if ev.Data == nil && ev.Name == nil && onlyComments(ev.Raw) {
		if c.phase == closed {
			c.fail("done", "expected nothing after data: [DONE], got %s", quote(ev.Raw))
		}
		return
	}
	c.number++
	c.lines(ev.Raw)
	if c.phase == closed {
		c.fail("done", "expected nothing after data: [DONE], got %s", quote(ev.Raw))
		return
	}
	if string(ev.Data) == "[DONE]" {
		c.done(ev)
		return
	}
	if ev.Data == nil {
		c.fail("framing", "expected a data: line, got %s", quote(ev.Raw))
		return
	}
	c.sequence++ // an event that cannot be read counts too
	if err := jsontext.Check(ev.Data, jsontext.Limits{}); err != nil {
		c.fail("json", "expected JSON, got %s: %v", quote(ev.Data), err)
		return
	}
	v, err := c.parser.ParseBytes(ev.Data)
	if err != nil || v.Type() != fastjson.TypeObject {
		c.fail("json", "expected a JSON object, got %s", quote(ev.Data))
		return
	}
	c.sequence--
	name := string(v.GetStringBytes("type"))
	if name != string(ev.Name) {
		c.fail("event-name", "expected event: %s as in data.type, got %s", name, quote(ev.Name))
	}
	c.known(name, v, ev.Data)
}

func (c *Checker) done(ev sse.Event) {
	if c.phase < ended {
		c.fail("done", "expected a terminal event before data: [DONE]")
	}
	if ev.Name != nil {
		c.fail("done", "expected data: [DONE] without an event: line, got event: %s", ev.Name)
	}
	c.afterError("[DONE]")
	c.phase = closed
}

// lines checks the lines of one event: event:, then data:, with comments
// before them only.
func (c *Checker) lines(raw []byte) {
	fields := 0
	for line := range bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\n' || r == '\r' }) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "":
			if fields > 0 {
				c.fail("framing", "expected comments between events, got one within: %s", quote(line))
			}
			continue
		case "event", "data":
		default:
			c.fail("framing", "expected event: and data: lines, got %s", quote(line))
		}
		fields++
	}
}

func onlyComments(raw []byte) bool {
	for line := range bytes.FieldsFuncSeq(raw, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line[0] != ':' {
			return false
		}
	}
	return true
}

// quote shows at most 60 bytes.
func quote(b []byte) string {
	if len(b) > 60 {
		return fmt.Sprintf("%q…", b[:60])
	}
	return fmt.Sprintf("%q", b)
}
