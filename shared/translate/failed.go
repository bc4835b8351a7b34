package translate

import "antwort/shared/responses"

// Failed appends the resource of a response that has failed, for a whole
// answer whose status, 200, has been sent already.
func (u *Turn) Failed(dst []byte, cause *responses.Error) []byte {
	state, start := responses.State{Status: "failed", Err: cause, Usage: u.usageOrNil()}, len(dst)
	dst = u.resource.Append(dst, state)
	u.ended(state, dst[start:])
	return dst
}
