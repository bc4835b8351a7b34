package state

import "errors"

// Check refuses a record that no store can keep: a fault of the program.
func (r *Record) Check() error {
	switch {
	case !IsID(r.ID):
		return errors.New("the record's id is none")
	case r.Parent != "" && !IsID(r.Parent):
		return errors.New("the id of the record's parent is none")
	case r.Cut < 0 || r.Cut > len(r.Shell):
		return errors.New("the record's cut is not in its shell")
	case r.Status < Completed || r.Status > Failed:
		return errors.New("the record's response has not ended")
	case r.Joins == nil:
		if r.Flags&Conversed != 0 {
			return errors.New("the record's conversation is not named")
		}
	case r.Flags&Conversed == 0 || r.Parent != "" || !IsID(r.Joins.Conversation) || r.Joins.Holder == "":
		return errors.New("the record's conversation is none")
	}
	return nil
}
