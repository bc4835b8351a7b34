package translate

import (
	"bytes"

	"antwort/shared/jsontext"
	"antwort/shared/responses"

	"github.com/valyala/fastjson"
)

// results puts the outputs of calls where chat templates want them: directly
// behind the message that holds the calls, in the calls' order. Mostly they are
// there already. Only when one is not are calls and outputs paired.
type results struct {
	pending []pendingCall // calls of the last assistant's message
	came    int           // of how many of them, the first, the outputs have come
	pairs   []int         // once paired: of each item that is a call its output's, of each output its call's; -1 without one
	written []bool        // once paired: the items whose message is written
}

type pendingCall struct {
	id   []byte // as long as the request lives
	item int
}

func (r *results) reset() {
	r.wait(nil)
	r.pairs, r.written = nil, nil
}

// wait makes calls those whose outputs are to come.
func (r *results) wait(calls []pendingCall) { r.pending, r.came = append(r.pending[:0], calls...), 0 }

// waiting are the calls whose outputs have not come.
func (r *results) waiting() []pendingCall { return r.pending[r.came:] }

// next reports whether the output of the call id is the next one, and takes it.
func (r *results) next(id []byte) bool {
	if waiting := r.waiting(); r.pairs != nil || len(waiting) == 0 || !bytes.Equal(waiting[0].id, id) {
		return false
	}
	r.came++
	return true
}

// callOutput translates an item that is a call's output.
func (w *requestWork) callOutput(o *fastjson.Object, typ []byte, i int) *responses.Error {
	id, err := outputID(o, i)
	if err != nil {
		return err
	}
	w.flushSystem()
	w.flushAssistant()
	if w.results.next(id) {
		return w.toolMessage(o, typ, id, i)
	}
	w.pairUp()
	i += w.past
	call := w.results.pairs[i]
	switch {
	case w.results.written[i], call > i: // it goes behind its call
		return nil
	case call < 0: // of no call
		if err := w.settle(); err != nil {
			return err
		}
		return w.toolMessage(o, typ, id, i-w.past)
	}
	return w.settle()
}

// settle writes the outputs that are still to come of the calls before.
func (w *requestWork) settle() *responses.Error {
	r := &w.results
	if len(r.waiting()) == 0 {
		return nil
	}
	w.pairUp()
	for _, call := range r.waiting() {
		i := r.pairs[call.item+w.past]
		if i < 0 || r.written[i] {
			continue
		}
		o, at := w.items[i].GetObject(), i-w.past
		id, err := outputID(o, at)
		if err == nil {
			err = w.toolMessage(o, jsontext.Start(o.Get("type")), id, at)
		}
		if err != nil {
			return err
		}
		r.written[i] = true
	}
	r.wait(nil)
	return nil
}

// lateResults ends the input: outputs that came before their calls may be left.
func (w *requestWork) lateResults() *responses.Error {
	if w.results.pairs == nil {
		return nil
	}
	return w.settle()
}

// pairUp finds the output of every call: the first with its id behind it that
// no earlier call has, or else one before it.
func (w *requestWork) pairUp() {
	r := &w.results
	if r.pairs != nil {
		return
	}
	items := w.items
	r.pairs, r.written = make([]int, len(items)), make([]bool, len(items))
	calls, early := map[string][]int{}, map[string][]int{}
	for i, v := range items {
		r.pairs[i] = -1
		o := v.GetObject()
		if o == nil {
			continue
		}
		typ := string(jsontext.Start(o.Get("type")))
		switch {
		case responses.IsCall(typ, true):
			id := string(callKey(o))
			calls[id] = append(calls[id], i)
		case responses.IsOutput(typ, true):
			id := string(callKey(o))
			if waiting := calls[id]; len(waiting) > 0 {
				r.pair(waiting[0], i)
				calls[id] = waiting[1:]
			} else {
				early[id] = append(early[id], i)
			}
		}
	}
	for id, outputs := range early {
		for n := range min(len(outputs), len(calls[id])) {
			r.pair(calls[id][n], outputs[n])
		}
	}
}

func (r *results) pair(call, output int) { r.pairs[call], r.pairs[output] = output, call }

// callKey is what pairs a call with its output.
func callKey(o *fastjson.Object) []byte {
	if id := o.Get("call_id"); jsontext.IsString(id) {
		return jsontext.Bytes(id)
	}
	return jsontext.Bytes(o.Get("id"))
}
