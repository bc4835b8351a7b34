package responses

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
}

// Failed reports whether the answer ended as failed.
func (o Outcome) Failed() bool { return o.Status == "failed" }
