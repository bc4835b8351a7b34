package packed

import (
	"strconv"

	"antwort/server/state"
)

// Column is what a text is in its row. It is in what a sealed text is bound to: none
// may ever change.
type Column string

// The columns that there are.
const (
	Input    Column = "input"    // of a response, as are output, shell and request
	Output   Column = "output"   //
	Shell    Column = "shell"    //
	Request  Column = "request"  // of a job
	Events   Column = "events"   // of a job's log; the part is the number of the first
	Metadata Column = "metadata" // of a conversation
	Item     Column = "item"     // of a conversation; the part is the item's id
)

// Place is where a text is.
type Place struct {
	Owner  state.Owner
	ID     string // of the response or the conversation
	Column Column
	Part   string // which one of several; "": there is one
}

// bound is the place in bytes. No id has a zero in it.
func (at *Place) bound() []byte {
	b := make([]byte, 0, len(at.Owner)+len(at.ID)+len(at.Column)+len(at.Part)+2)
	b = append(append(b, at.Owner[:]...), at.Column...)
	b = append(append(append(b, 0), at.ID...), 0)
	return append(b, at.Part...)
}

// EventsAt is the place of events of a job's log.
func EventsAt(owner state.Owner, id string, first int64) Place {
	return Place{Owner: owner, ID: id, Column: Events, Part: strconv.FormatInt(first, 10)}
}

// ItemAt is the place of an item of a conversation.
func ItemAt(owner state.Owner, conversation, item string) Place {
	return Place{Owner: owner, ID: conversation, Column: Item, Part: item}
}
