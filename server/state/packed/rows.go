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

// UnpackTurn gives a turn, whose id is known, what a database has of it. Before that,
// room is told the size of each text, and its error ends it.
func (p *Packer) UnpackTurn(room func(size int) error, owner state.Owner, t *state.Turn, input, output []byte) error {
	var texts [2]Opened
	for i, column := range [2]Column{Input, Output} {
		packed := input
		if column == Output {
			packed = output
		}
		var err error
		if texts[i], err = p.Open(Place{Owner: owner, ID: t.ID, Column: column}, packed); err != nil {
			return err
		}
		size, err := texts[i].Size()
		if err == nil {
			err = room(size)
		}
		if err != nil {
			return err
		}
	}
	var err error
	if t.Input, err = texts[0].Text(); err == nil {
		t.Output, err = texts[1].Text()
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
