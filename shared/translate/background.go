package translate

import "antwort/shared/responses"

// A response in the background is told of in three steps: by Queue when the request
// was accepted, by Work when somebody begins, perhaps elsewhere, and by Stream, whose
// events follow those of both.

// Queue appends the first events of the turn's response. Its outcome is then that of a
// response that has not begun.
func (u *Turn) Queue(dst []byte) []byte {
	dst, resource := u.output().Queue(dst)
	u.state = responses.State{Status: "queued"}
	u.ended(resource)
	return dst
}

// Work appends the event that says that somebody works on the response.
func (u *Turn) Work(dst []byte) []byte { return u.output().Work(dst) }
