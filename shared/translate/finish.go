package translate

import (
	"strconv"

	"antwort/shared/responses"
)

// isCut reports whether the finish_reason says that the answer is not whole.
func isCut(reason string) bool { return reason == "length" || reason == "content_filter" }

// finish turns the upstream's finish_reason into the end of the response and
// closes the last item.
func (u *Turn) finish(dst []byte, out *responses.Output, reason string, now int64) ([]byte, responses.State) {
	s := responses.State{Usage: u.usageOrNil()}
	last := "completed"
	switch reason {
	case "stop", "tool_calls", "function_call":
		s.Status, s.CompletedAt = "completed", now
	case "length":
		s.Status, s.Reason, last = "incomplete", "max_output_tokens", "incomplete"
	case "content_filter":
		s.Status, s.Reason, last = "incomplete", "content_filter", "incomplete"
	default:
		s.Status, last = "failed", "incomplete"
		why := "without a finish reason"
		if reason != "" {
			why = "with the finish reason " + strconv.Quote(cut(reason))
		}
		s.Err = responses.NewError(502, "upstream_error", "the model server ended the answer "+why)
	}
	if out.Count() == 0 && s.Err == nil {
		dst = out.BeginMessage(dst)
	}
	dst = out.Close(dst, last)
	s.Output = out.Items()
	return dst, s
}
