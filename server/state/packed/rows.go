package packed

import "antwort/server/state"

// PackRecord returns what a database holds of a response.
func (p *Packer) PackRecord(r *state.Record) (input, output, shell []byte) {
	at := Place{Owner: r.Owner, ID: r.ID, Column: Input}
	input = p.Pack(at, r.Input)
	output, shell = p.PackEnd(r)
	return input, output, shell
}

// PackEnd returns what a database holds of how a response has ended.
func (p *Packer) PackEnd(r *state.Record) (output, shell []byte) {
	at := Place{Owner: r.Owner, ID: r.ID, Column: Output}
	output = p.Pack(at, r.Output)
	at.Column = Shell
	return output, p.Pack(at, r.Shell)
}

// UnpackRecord gives a record, whose id and owner are known, what a database has of it.
func (p *Packer) UnpackRecord(r *state.Record, input, output, shell []byte) (err error) {
	at := Place{Owner: r.Owner, ID: r.ID, Column: Input}
	if r.Input, err = p.Unpack(at, input); err != nil {
		return err
	}
	at.Column = Output
	if r.Output, err = p.Unpack(at, output); err != nil {
		return err
	}
	at.Column = Shell
	r.Shell, err = p.Unpack(at, shell)
	return err
}

// Memory is what the texts of one chain are unpacked into: a chain has many short ones,
// which share a few pieces. The zero value is ready.
type Memory struct {
	free []byte // of the last piece
	last int    // its size
}

// The size of the first piece, and the most that pieces grow to.
const (
	firstPiece = 4 << 10
	mostPiece  = 64 << 10
)

// take is memory of so many bytes that nothing else has.
func (m *Memory) take(size int) []byte {
	if size >= mostPiece {
		return make([]byte, size)
	}
	if size > len(m.free) {
		m.last = max(size, firstPiece, min(2*m.last, mostPiece))
		m.free = make([]byte, m.last)
	}
	text := m.free[:size:size]
	m.free = m.free[size:]
	return text
}

// UnpackTurn gives a turn, whose id is known, what a database has of it: a copy in every
// case, so input and output may be used again. Before that, room is told the size of each
// text, and its error ends it.
func (p *Packer) UnpackTurn(room func(size int) error, memory *Memory, owner state.Owner, t *state.Turn, input, output []byte) error {
	var texts [2]Opened
	var sizes [2]int
	for i, column := range [2]Column{Input, Output} {
		packed := input
		if column == Output {
			packed = output
		}
		var err error
		if texts[i], err = p.Open(Place{Owner: owner, ID: t.ID, Column: column}, packed); err != nil {
			return err
		}
		sizes[i], err = texts[i].Size()
		if err == nil {
			err = room(sizes[i])
		}
		if err != nil {
			return err
		}
	}
	var err error
	if t.Input, err = texts[0].into(memory.take(sizes[0])); err == nil {
		t.Output, err = texts[1].into(memory.take(sizes[1]))
	}
	return err
}

// PackItems returns items of a conversation with what a database holds of each.
func (p *Packer) PackItems(owner state.Owner, conversation string, items []state.Item) []state.Item {
	packed := make([]state.Item, len(items))
	for i, item := range items {
		packed[i] = state.Item{ID: item.ID, Data: p.Pack(ItemAt(owner, conversation, item.ID), item.Data)}
	}
	return packed
}
