package translate

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// toolCall is an entry of tool_calls, or the old function_call.
type toolCall struct {
	entry    *fastjson.Value // nil of a function_call
	function *fastjson.Value
	empty    bool // it says nothing but an id
}

// index returns the call's index; not all servers send one.
func (c toolCall) index() (index int, given bool) {
	v := c.entry.Get("index")
	if jsontext.IsNull(v) {
		return 0, false
	}
	return v.GetInt(), true
}

// find returns the queued call that a piece adds to, a new one when it begins
// one, or else the call that is over to which it belongs. Servers are not exact
// in the indexes: parallel calls may have one, or none, and the arguments of a
// call another than its name. So an id counts first, then the index of a call
// that is open, then the call that came last.
func (s *Stream) find(w *chunkWork, v toolCall) (*queued, *overCall, *responses.Error) {
	id, err := w.idOf(s.turn, v)
	if err != nil {
		return nil, nil, err
	}
	name := jsontext.Sum(v.function.GetStringBytes("name"))
	named := name != 0
	index, given := v.index()
	if id.sum != 0 {
		q, over := s.withID(id.sum)
		switch {
		case q != nil && (!named || !given || q.index == index || q.call.Name == "" || q.isOpen()):
			return s.came(q, id), nil, nil
		case over != nil && (!named || !given || over.index == index):
			return nil, over, nil
		case q != nil || over != nil: // another call with the same id
			return s.begin(index, sentID{})
		}
	}
	switch {
	case given:
	case !named:
		index = s.lastCall
	default:
		if q := s.openNamed(id.sum, name); q != nil {
			return s.came(q, id), nil, nil
		}
		index = s.calls
	}
	q, over := s.withIndex(index)
	if q != nil && (!named && q.isOpen() || named && q.goesOn(id.sum, name)) {
		return s.came(q, id), nil, nil
	}
	if named || id.sum != 0 && q == nil && over == nil {
		return s.begin(index, id)
	}
	if open := s.open(); open != nil {
		return s.came(open, id), nil, nil
	}
	if q != nil {
		return s.came(q, id), nil, nil
	}
	if over != nil {
		return nil, over, nil
	}
	return s.begin(index, id)
}

// goesOn reports whether a piece with a name, at the index of the call q, is
// more of it.
func (q *queued) goesOn(id, name uint64) bool {
	if q.call.Name == "" || id != 0 && id == q.sum {
		return true
	}
	return id == 0 && name == q.name
}

// openNamed returns the last open call that a piece with a name, and without an
// index, is more of: servers without indexes may say the name in every piece.
func (s *Stream) openNamed(id, name uint64) *queued {
	for i := len(s.queue) - 1; i >= 0; i-- {
		if q := &s.queue[i]; q.isOpen() && (id == 0 || q.sum == 0) && q.goesOn(id, name) {
			return q
		}
	}
	return nil
}

// begin makes a new call.
func (s *Stream) begin(index int, id sentID) (*queued, *overCall, *responses.Error) {
	q, err := s.waits(queued{index: index, empty: true})
	if err != nil {
		return nil, nil, err
	}
	s.calls = max(s.calls, index+1)
	return s.came(q, id), nil, nil
}

// came notes that a piece of the call has come.
func (s *Stream) came(q *queued, id sentID) *queued {
	s.lastCall = q.index
	if q.sum == 0 {
		q.id, q.sum = string(id.text), id.sum
	}
	return q
}

func (s *Stream) withID(sum uint64) (*queued, *overCall) {
	for i := len(s.queue) - 1; i >= 0; i-- {
		if q := &s.queue[i]; q.kind == noText && q.sum == sum {
			return q, nil
		}
	}
	for i := len(s.over) - 1; i >= 0; i-- {
		if s.over[i].sum == sum {
			return nil, &s.over[i]
		}
	}
	return nil, nil
}

func (s *Stream) withIndex(index int) (q *queued, over *overCall) {
	for i := len(s.queue) - 1; i >= 0; i-- {
		if q := &s.queue[i]; q.kind == noText && q.index == index {
			return q, nil
		}
	}
	for i := len(s.over) - 1; i >= 0; i-- {
		if s.over[i].index == index {
			return nil, &s.over[i]
		}
	}
	return nil, nil
}

// open returns the call that arguments without a name belong to: the one that
// came last, when more of it is to come, or else the only one like that.
func (s *Stream) open() (open *queued) {
	n := 0
	for i := len(s.queue) - 1; i >= 0; i-- {
		q := &s.queue[i]
		if !q.isOpen() {
			continue
		}
		if q.index == s.lastCall {
			return q
		}
		open = q
		n++
	}
	if n != 1 {
		return nil
	}
	return open
}

// maxOver is how many calls that are over are remembered: each is looked for among all.
const maxOver = 512

// endCall notes that a call is over. Of calls that were over long ago nothing
// more is expected.
func (s *Stream) endCall(q *queued) *overCall {
	if len(s.over) == maxOver {
		s.over[0] = overCall{}
		s.over = s.over[1:]
	}
	s.over = append(s.over, overCall{index: q.index, sum: q.sum, longest: q.arguments.gone + len(q.arguments.said)})
	return &s.over[len(s.over)-1]
}

// overCall is a call that is over. Servers may send its arguments once more,
// which adds nothing; anything else that they add to it is a mistake.
type overCall struct {
	index   int
	sum     uint64   // of its id
	texts   []uint64 // sums of its arguments
	longest int      // bytes of all of them
	again   []byte   // what came of them once more, and is not yet a whole text
	end     jsonEnd  // of again, of which it has seen so many bytes
	seen    int
	broken  bool // again will never be a text
}

// maxAgain is how much is compared in all: each text with those of its call.
const maxAgain = 1 << 20

// write takes a piece, and returns false when it is something new.
func (c *overCall) write(p []byte, l *looks) bool {
	c.again = append(c.again, p...)
	for {
		if c.seen == 0 {
			c.again = trimLeft(c.again)
		}
		if c.broken || !c.ends() {
			return len(c.again) <= c.longest
		}
		n, ok := jsontext.Extent(c.first())
		if !ok {
			c.broken = c.end.complete
			return len(c.again) <= c.longest
		}
		if l.again += 64 + len(c.texts); l.again > maxAgain || !c.has(jsontext.Sum(trim(c.again[:n]))) {
			return false
		}
		c.again = afterJoin(c.again[n:])
		c.end, c.seen = jsonEnd{}, 0
	}
}

// ends reports whether again may begin with a whole text. Of no bytes is it looked at twice.
func (c *overCall) ends() bool {
	if len(c.again) == 0 {
		return false
	}
	switch c.again[0] {
	case '{', '[', '"':
		c.seen += c.end.write(c.again[c.seen:])
		return c.end.complete
	}
	return true // a number, or a word
}

// first is what of again is looked at for a text: a number or a word is short.
func (c *overCall) first() []byte {
	if c.seen > 0 {
		return c.again
	}
	return c.again[:min(len(c.again), 1<<10)]
}

func (c *overCall) has(text uint64) bool {
	for _, sum := range c.texts {
		if sum == text {
			return true
		}
	}
	return false
}
