package config

import "strconv"

// MaxFilterMemory is what a VM of the filter may need by its limits: half of what Envoy
// lets a VM have, for the garbage collector makes more of it, and what it frees lies in
// pieces.
const MaxFilterMemory = 512 * mib

// FilterMemory returns how much memory one VM of the filter may need: what is held, what
// the translation of one body takes while it runs, and what the module has at rest.
func (l *Limits) FilterMemory() int64 {
	request, answer := l.translation()
	return l.InFlight(true) + max(request, answer) + restBytes
}

// translation is what the translation of a request, and of an answer, may take.
func (l *Limits) translation() (request, answer int64) {
	return RequestCopies*l.RequestBodyBytes + l.tree(l.RequestBodyBytes), answerCopies*l.ResponseBodyBytes + l.tree(l.ResponseBodyBytes)
}

// tree is what the parse tree of a body takes. A value has at least two bytes of it.
func (l *Limits) tree(body int64) int64 { return valueBytes * min(int64(l.JSONValues), body/2) }

// RequestCopies is how many times the bytes of a request its translation may take, with what
// it becomes.
const RequestCopies = 3

const (
	answerCopies = 6
	valueBytes   = 480 // of a JSON value in a parse tree
	restBytes    = 16 * mib
)

// inMemory refuses limits by which a VM would need more than it gets, and says which
// of them asks for most.
func (c *Config) inMemory(ps *Problems) {
	l := c.Limits
	need := l.FilterMemory()
	if need <= MaxFilterMemory {
		return
	}
	size, copies := l.RequestBodyBytes, int64(RequestCopies)
	path, most := "limits.request_body_bytes", RequestCopies*size
	if request, answer := l.translation(); answer > request {
		size, copies = l.ResponseBodyBytes, answerCopies
		path, most = "limits.response_body_bytes", answerCopies*size
	}
	if tree := l.tree(size); tree > most {
		path, most = "limits.json_values", tree
	}
	if l.InFlight(true) > most {
		path = "limits.in_flight_bytes"
	}
	ps.add(path, "", "a VM of the filter would need "+InMiB(need)+" by its limits, and "+InMiB(MaxFilterMemory)+" is the most that fits into one: lower this first; it is limits.in_flight_bytes, "+
		strconv.FormatInt(copies, 10)+" times the longest body, and "+strconv.Itoa(valueBytes)+" bytes for each of limits.json_values")
}

// InMiB writes a number of bytes in MiB, rounded up.
func InMiB(n int64) string { return strconv.FormatInt((n+mib-1)/mib, 10) + "MiB" }
