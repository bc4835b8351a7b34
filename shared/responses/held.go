package responses

import "antwort/shared/jsontext"

// Reserve makes room for a text of n bytes and what is known of its logprobs.
func (o *Output) Reserve(n int) { o.items = jsontext.Grow(o.items, n+len(o.logprobs)+(1<<10)) }

// Ending returns about how many bytes the events take that end the answer: what is
// open is said four times, and what is done once. What is drained takes none.
func (o *Output) Ending() int {
	n := 0
	if !o.Drains() {
		n = 4*(o.Said()-o.done) + o.done
	}
	if o.open == reasoningItem && o.ReasoningCopy != nil { // in clear, gathered and sealed
		n += 4 * (o.size() - o.itemStart)
	}
	return n
}

// Said returns how many bytes the answer has so far.
func (o *Output) Said() int { return o.size() + len(o.logprobs) }

// OpenText returns the text of the open part or call so far, escaped. It is valid
// until the next step.
func (o *Output) OpenText() []byte { return o.text(o.textStart, o.size()) }

// Forget frees the items. The numbers of what is told go on.
func (o *Output) Forget() {
	o.pile.all, o.pile.size, o.pile.took = nil, 0, 0
	o.items, o.logprobs, o.itemID, o.call = nil, nil, nil, Call{}
	o.open, o.part, o.parts, o.itemStart, o.done, o.partStart, o.textStart, o.told = noItem, noPart, 0, 0, 0, 0, 0, 0
}

// Held returns how many bytes of memory the items take.
func (o *Output) Held() int { return o.pile.held() + cap(o.items) + cap(o.logprobs) }
