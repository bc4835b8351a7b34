package responses

// blocks are the items of a long answer, but the last ones: memory that never moves
// while the answer grows.
type blocks struct {
	all  [][]byte
	size int  // bytes in them
	took int  // bytes of memory that they take
	told bool // something was drained

	drain func(dst []byte) []byte
}

const (
	blockBytes = 64 << 10
	pieceBytes = 32 << 10 // what is drained at once
)

func (p *blocks) held() int { return p.took }

// Drain has take called with what was appended, whenever much is to be; it returns what
// to append to, so that no long text is appended at once. The items of a long answer are
// held in blocks then, and left out of the resource that ends it (see Items).
func (o *Output) Drain(take func(dst []byte) []byte) { o.pile.drain = take }

// Drains reports whether somebody takes what was appended.
func (o *Output) Drains() bool { return o.pile.drain != nil }

// size is how long all items are.
func (o *Output) size() int { return o.pile.size + len(o.items) }

// add appends what the model says to the items.
func (o *Output) add(text []byte) {
	if o.Drains() && len(o.items)+len(text) > blockBytes {
		o.block(o.items)
		o.items = make([]byte, 0, max(blockBytes, len(text))+1<<10)
	}
	o.items = append(o.items, text...)
}

// addLogprobs appends the logprobs to the items. Long ones become a block.
func (o *Output) addLogprobs() {
	if !o.Drains() || len(o.logprobs) < blockBytes {
		o.items = append(o.items, o.logprobs...)
		return
	}
	o.block(o.items)
	o.block(o.logprobs)
	o.items, o.logprobs = nil, nil
}

func (o *Output) block(b []byte) {
	if len(b) > 0 {
		p := &o.pile
		p.all, p.size, p.took = append(p.all, b), p.size+len(b), p.took+cap(b)
	}
}

// Pieces are what is not in one piece.
type Pieces [][]byte

// between returns the pieces that the items are in from one place to another.
func (o *Output) between(from, to int) (pieces Pieces) {
	at := 0
	for i := range len(o.pile.all) + 1 {
		b := o.items
		if i < len(o.pile.all) {
			b = o.pile.all[i]
		}
		if low, high := max(from-at, 0), min(to-at, len(b)); low < high {
			pieces = append(pieces, b[low:high])
		}
		at += len(b)
	}
	return pieces
}

// text returns the items from one place to another.
func (o *Output) text(from, to int) []byte {
	if from >= o.pile.size {
		return o.items[from-o.pile.size : to-o.pile.size]
	}
	text := make([]byte, 0, to-from)
	for _, piece := range o.between(from, to) {
		text = append(text, piece...)
	}
	return text
}

// Items returns the finished items, rendered and separated by commas. Those of a long
// answer that is drained are apart, in pieces.
func (o *Output) Items() (items []byte, apart Pieces) {
	if len(o.pile.all) == 0 {
		return o.items[:o.done], nil
	}
	return nil, o.between(0, o.done)
}

// appendItems appends the items from one place to another, between two texts.
//
//go:noinline
func (o *Output) appendItems(dst []byte, before string, from, to int, after string) []byte {
	dst = append(dst, before...)
	if from >= o.pile.size {
		dst = o.tell(dst, o.items[from-o.pile.size:to-o.pile.size])
	} else {
		for _, piece := range o.between(from, to) {
			dst = o.tell(dst, piece)
		}
	}
	return append(dst, after...)
}

// tell appends a part of an event. A long one is drained.
func (o *Output) tell(dst, part []byte) []byte {
	if !o.Drains() || len(dst)+len(part) < pieceBytes {
		return append(dst, part...)
	}
	return o.drain(dst, part)
}

func (o *Output) drain(dst, part []byte) []byte {
	for len(part) > 0 {
		n := min(len(part), pieceBytes)
		if dst = append(dst, part[:n]...); len(dst) >= pieceBytes {
			dst, o.pile.told = o.pile.drain(dst), true
		}
		part = part[n:]
	}
	return dst
}

// Flush drains the rest, if something was drained: what was is the beginning of it.
func (o *Output) Flush(dst []byte) []byte {
	if !o.pile.told {
		return dst
	}
	return o.pile.drain(dst)
}

// Drained reports whether something was.
func (o *Output) Drained() bool { return o.pile.told }
