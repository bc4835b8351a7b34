package responses

import "strconv"

// deltaFrame is what the delta events of the open part or call have in common:
// all but the sequence number and the delta. It is made with the first one.
type deltaFrame struct {
	b   []byte // up to the delta's opening quote
	seq int    // where in b the sequence number goes
}

// deltaEvent appends a delta event up to its delta's closing quote.
func (o *Output) deltaEvent(dst []byte, name string, delta []byte) []byte {
	f := &o.frame
	if len(f.b) == 0 {
		o.makeFrame(name)
	}
	dst = append(dst, f.b[:f.seq]...)
	dst = strconv.AppendInt(dst, int64(o.seq), 10)
	o.seq++
	dst = append(dst, f.b[f.seq:]...)
	return o.tell(dst, delta)
}

func (o *Output) makeFrame(name string) {
	f := &o.frame
	f.b = AppendEventHead(f.b, name, 0)
	f.b = f.b[:len(f.b)-1] // the sequence number
	f.seq = len(f.b)
	f.b = append(f.b, `,"output_index":`...)
	f.b = strconv.AppendInt(f.b, int64(o.count-1), 10)
	f.b = append(f.b, `,"item_id":"`...)
	f.b = append(f.b, o.itemID...)
	f.b = append(f.b, '"')
	if o.open != callItem {
		f.b = append(f.b, o.part.index()...)
		f.b = strconv.AppendInt(f.b, int64(o.parts-1), 10)
	}
	f.b = append(f.b, `,"delta":"`...)
}
