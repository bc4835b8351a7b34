package translate

import "antwort/shared/responses"

// Failed appends the resource of a response that has failed, for a whole
// answer whose status, 200, has been sent already.
func (u *Turn) Failed(dst []byte, cause *responses.Error) []byte {
	u.state = responses.State{Status: "failed", Err: cause, Usage: u.Usage()}
	return u.append(dst)
}
