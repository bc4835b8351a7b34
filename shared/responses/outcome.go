package responses

import "bytes"

// An Outcome is how an answer ended, whole or streamed: what a log, a metric or a
// store wants to know of it without reading it again.
type Outcome struct {
	Status   string // of the resource: "completed", "incomplete", "failed" or "cancelled"; "" while the answer has not ended
	Err      *Error // why it failed; nil when it did not, or does not say
	Usage    Usage  // as far as it was counted, also of an answer that has not ended
	HasUsage bool
	// Resource is the response as it ended, as JSON. It is a part of the bytes that
	// ended the answer, and valid as long as they are.
	Resource []byte
	// OutputBytes is how long the items in Resource are, without the brackets around
	// them.
	OutputBytes int
	// Apart are the items of a long answer, in pieces, where Resource has none: they go
	// between the brackets of its list.
	Apart Pieces
	// OutputAt is where the list of them stands in a Resource that somebody else has made;
	// 0: it is ours.
	OutputAt int
}

// Output is where the list of items, its brackets included, stands in Resource.
func (o Outcome) Output() (start, end int) {
	if o.OutputAt > 0 {
		return o.OutputAt, o.OutputAt + o.OutputBytes + len("[]")
	}
	start = bytes.Index(o.Resource, []byte(outputMember)) + len(outputMember) - 1 // within a text its quotes would be escaped
	return start, start + o.OutputBytes + len("[]")
}

// Failed reports whether the answer ended as failed.
func (o Outcome) Failed() bool { return o.Status == "failed" }
