package mockllm

import "strings"

// scripted returns the directives in the messages that hold for this request.
// Lines of the last message hold now, and alone. Else a line that begins with
// turn=N holds for the Nth answer after the user message that it stands in, so
// that one message scripts a whole loop of tools:
//
//	mock: turn=1 call=`shell {"command":"ls"}`
//	mock: turn=2 text="There is one file."
func (r *request) scripted() []directive {
	if given := directives(r.lastText(), 1); given != nil {
		return given
	}
	turn := 1
	for i := len(r.messages) - 2; i >= 0; i-- {
		switch r.role(i) {
		case "assistant":
			turn++
		case "user":
			if later := directives(contentText(r.messages[i].Get("content")), turn); turn > 1 && later != nil {
				return later
			}
		}
	}
	return nil
}

// A steeredCall is a call that the model is to make. Without arguments they are
// made from the tool's schema. The name "none" is no call.
type steeredCall struct{ name, arguments string }

// readCall reads "NAME" or "NAME ARGUMENTS". The arguments pass as they stand:
// a model may write what is not JSON.
func readCall(v string) steeredCall {
	name, arguments, _ := strings.Cut(v, " ")
	return steeredCall{name, arguments}
}
