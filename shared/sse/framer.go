// Package sse reads and writes server-sent events (WHATWG HTML, section 9.2).
//
//	bytes, in any pieces ─► Framer ─► events ─► Append… ─► bytes
//
// It knows nothing of what events say. The data of an event is part of the
// framer's buffer until the next call.
package sse

import (
	"bytes"
	"errors"
	"sync"
)

// DefaultMax is the longest event that a Framer accepts when Max is 0.
const DefaultMax = 1 << 20

// maxLines is how many lines an event may have.
const maxLines = 128 << 10

// ErrTooLong is returned for an event longer than Framer.Max, or of very many lines.
var ErrTooLong = errors.New("event is longer than the limit")

// An Event is one block of lines that ends with a blank line. The Raw of events
// between two Writes lie one after the other in memory. All slices are
// valid until Framer.Release.
type Event struct {
	Name []byte // of the last "event:" line; empty without one
	Data []byte // the "data:" lines, joined by LF; nil without one (a comment)
	Raw  []byte // all bytes of the block, comments and the blank line included
}

// A Framer cuts a byte stream into events. Reads may be split anywhere; lines
// end in LF, CRLF or CR. The zero value is ready to use. Each Write is followed
// by calls to Next and by one to Release.
//
// A CR that ends the bytes written so far ends its line at once: should the LF
// of a CRLF follow, it becomes the first byte of the next event's Raw.
type Framer struct {
	Max int // bytes of one event; 0 means DefaultMax

	buf    []byte  // bytes not yet returned, from start on
	room   *[]byte // whose array buf has; nil: it is what Write was given
	start  int     // where the event being read begins
	line   int     // where its current line begins
	pos    int     // how far it has been searched for a line end
	skipLF bool    // the byte before pos was a CR
	lines  int     // lines of the event so far, without the blank one
	first  [2]int  // where its first line stands, from start
	joined []byte  // data of an event with several data lines
}

var rooms = sync.Pool{New: func() any { return new([]byte) }}

// maxRoom is the largest buffer that is kept for other streams, in bytes.
const maxRoom = 64 << 10

// Write takes the next bytes of the stream. p is not copied, and must stay as it
// is until Release.
func (f *Framer) Write(p []byte) {
	if f.start == len(f.buf) {
		f.Drop()
		f.buf = p[:len(p):len(p)]
		return
	}
	f.keep()
	f.buf = append(f.buf, p...)
}

// Release ends the use of what Write was given, and of all events that were
// returned: the beginning of an event is kept, and a stream that waits between
// two events holds nothing.
func (f *Framer) Release() {
	if f.start < len(f.buf) {
		f.keep()
	} else {
		f.Drop()
	}
}

// keep copies the beginning of an event to where it can stay, and grow.
func (f *Framer) keep() {
	rest := f.buf[f.start:]
	if f.room == nil {
		f.room = rooms.Get().(*[]byte)
		f.buf = *f.room
	} else if f.start == 0 {
		return
	}
	f.buf = append(f.buf[:0], rest...)
	f.line -= f.start
	f.pos -= f.start
	f.start = 0
}

// Drop forgets all bytes, the beginning of an event too.
func (f *Framer) Drop() {
	if f.room != nil && cap(f.buf) <= maxRoom {
		*f.room = f.buf[:0]
		rooms.Put(f.room)
	}
	f.room, f.buf = nil, nil
	f.start, f.line, f.pos = 0, 0, 0
}

// Next returns the next whole event, and false when there is none yet.
func (f *Framer) Next() (ev Event, ok bool, err error) {
	for f.pos < len(f.buf) {
		if f.skipLF {
			f.skipLF = false
			if f.buf[f.pos] == '\n' {
				f.pos++
				f.line = f.pos
				continue
			}
		}
		n := lineEnd(f.buf[f.pos:])
		if n < 0 {
			f.pos = len(f.buf)
			break
		}
		end := f.pos + n
		f.pos = end + 1
		if f.buf[end] == '\r' {
			if f.pos < len(f.buf) && f.buf[f.pos] == '\n' {
				f.pos++
			} else {
				f.skipLF = f.pos == len(f.buf)
			}
		}
		begin := f.line
		f.line = f.pos
		if end != begin {
			if f.lines++; f.lines > maxLines {
				return Event{}, false, ErrTooLong
			}
			if f.lines == 1 {
				f.first = [2]int{begin - f.start, end - f.start}
			}
			continue
		}
		if f.lines == 0 {
			f.blank()
		}
		raw := f.buf[f.start:f.pos]
		lines := f.lines
		f.start, f.lines = f.pos, 0
		if len(raw) > f.max() {
			return Event{}, false, ErrTooLong
		}
		if lines == 1 { // most events of a chat stream are a single data line
			if data, ok := bytes.CutPrefix(raw[f.first[0]:f.first[1]], []byte("data:")); ok {
				data = bytes.TrimPrefix(data, []byte(" "))
				return Event{Data: data[:len(data):len(data)], Raw: raw}, true, nil
			}
		}
		return f.parse(raw), true, nil
	}
	if len(f.buf)-f.start > f.max() {
		return Event{}, false, ErrTooLong
	}
	return Event{}, false, nil
}

// blank takes more blank lines into one event that is nothing else: they say nothing, and
// there may be as many as bytes.
func (f *Framer) blank() {
	const most = 512
	for end := min(len(f.buf), f.start+min(most, f.max())); f.pos < end && isLineEnd(f.buf[f.pos]); {
		n := 1
		if bytes.HasPrefix(f.buf[f.pos:], []byte("\r\n")) {
			n = 2
		}
		if f.pos+n > end { // a line end is not parted
			break
		}
		f.pos += n
	}
	f.skipLF = f.pos == len(f.buf) && f.buf[f.pos-1] == '\r'
	f.line = f.pos
}

func isLineEnd(c byte) bool { return c == '\n' || c == '\r' }

// Ahead returns what follows the last event, nothing once Next has looked into it.
func (f *Framer) Ahead() []byte {
	if f.pos > f.start {
		return nil
	}
	return f.buf[f.start:]
}

// Skip takes the next event, of n bytes, in the place of Next; false when it is longer
// than the limit.
func (f *Framer) Skip(n int) bool {
	if n > f.max() {
		return false
	}
	f.start += n
	f.line, f.pos, f.skipLF = f.start, f.start, false
	return true
}

// Rest returns the bytes of an event that has begun and not ended, valid until
// the next call to Write or Release.
func (f *Framer) Rest() []byte { return f.buf[f.start:] }

// Between reports whether no event has begun: the next byte is the first of one.
func (f *Framer) Between() bool { return f.start == len(f.buf) && !f.skipLF }

func (f *Framer) max() int {
	if f.Max > 0 {
		return f.Max
	}
	return DefaultMax
}

// lineEnd returns where the line ends that b, which is not empty, begins with;
// -1 if it does not. It looks for both ends no further than a line is long: either
// may be far away.
func lineEnd(b []byte) int {
	if isLineEnd(b[0]) { // every other line of most streams
		return 0
	}
	for at, size := 0, 256; at < len(b); at, size = at+size, 2*size {
		p := b[at:min(at+size, len(b))]
		n := bytes.IndexByte(p, '\n')
		if n >= 0 {
			p = p[:n]
		}
		if cr := bytes.IndexByte(p, '\r'); cr >= 0 {
			n = cr
		}
		if n >= 0 {
			return at + n
		}
	}
	return -1
}

var byteOrderMark = []byte("\ufeff")

func (f *Framer) parse(raw []byte) Event {
	ev, lines := Event{Raw: raw}, 0 // with data
	for b := bytes.TrimPrefix(raw, byteOrderMark); len(b) > 0; {
		n := lineEnd(b)
		line := b[:n]
		b = b[n+1:]
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "event":
			ev.Name = value
		case "data":
			if lines++; lines == 1 {
				ev.Data = value[:len(value):len(value)]
				break
			}
			if lines == 2 {
				f.joined = append(f.joined[:0], ev.Data...)
			}
			f.joined = append(append(f.joined, '\n'), value...)
			ev.Data = f.joined
		}
	}
	return ev
}

// Append appends one event; data must not contain a line end.
func Append(dst []byte, name string, data []byte) []byte {
	dst = append(dst, "event: "...)
	dst = append(dst, name...)
	dst = append(dst, "\ndata: "...)
	dst = append(dst, data...)
	return append(dst, "\n\n"...)
}
