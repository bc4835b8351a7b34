package translate

import "antwort/shared/responses"

// isCut reports whether the finish_reason says that the answer is not whole.
func isCut(reason string) bool {
	switch reason {
	case "stop", "tool_calls", "function_call":
		return false
	}
	return true
}

// finish turns the upstream's finish_reason into the end of the response and
// closes the last item. Of a reason that is not known nobody can say that the
// answer is whole; what there is of it is kept, as clients ask again for an
// answer that has failed.
func (u *Turn) finish(dst []byte, out *responses.Output, reason string, now int64) []byte {
	s := &u.state
	*s = responses.State{Usage: u.Usage()}
	last := "incomplete"
	switch {
	case !isCut(reason):
		s.Status, s.CompletedAt, last = "completed", now, "completed"
	case reason == "length":
		s.Status, s.Reason = "incomplete", "max_output_tokens"
	case reason == "content_filter":
		s.Status, s.Reason = "incomplete", "content_filter"
	case reason == "", reason == "error", out.Count() == 0:
		s.Status = "failed"
		why := "without a finish reason"
		if reason != "" {
			why = "with the finish reason " + quote(reason)
		}
		s.Err = responses.NewError(502, "upstream_error", "the model server ended the answer "+why)
	default:
		s.Status, s.Reason = "incomplete", cut(reason)
	}
	if out.Count() == 0 && s.Err == nil {
		dst = out.BeginMessage(dst)
	}
	dst = out.Close(dst, last)
	s.Output, s.Apart = out.Items()
	return dst
}
