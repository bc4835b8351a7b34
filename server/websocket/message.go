package websocket

import (
	"strconv"

	"antwort/shared/jsontext"
	"antwort/shared/policy"
	"antwort/shared/responses"
)

// message is what a client has sent, as far as this room looks at it.
type message struct {
	kind     string // its type
	laneText []byte // the escaped inside of its stream_id; nil: it has none
	previous string // the response that it goes on from; "": none
	prepares bool   // generate is false: nothing is to be said
}

// maxLane bounds a stream_id, in bytes: each event repeats it.
const maxLane = 256

// The types of what clients send.
const (
	create    = "response.create"
	steer     = "response.steer"
	processed = "response.processed" // Codex says so, and expects nothing
)

// readMessage reads a message that responses.Check has passed. With a problem it is
// read as far as the answer needs.
func readMessage(text []byte) (m message, problem *responses.Error) {
	typed := false
	refuse := func(param, what string) {
		if problem == nil {
			problem = responses.Invalid(param, what)
		}
	}
	jsontext.Members(text, func(name, value []byte, _ int) bool {
		inside, isText := jsontext.Text(value)
		switch string(jsontext.Decode(nil, name)) {
		case "type":
			if typed = isText; isText {
				m.kind = string(jsontext.Decode(nil, inside))
			}
		case "stream_id":
			switch {
			case string(value) == "null":
			case !isText || len(inside) > maxLane:
				refuse("stream_id", "must be a string of at most "+strconv.Itoa(maxLane)+" bytes")
			default:
				m.laneText = inside
			}
		case "generate":
			if m.prepares = string(value) == "false"; !m.prepares && string(value) != "true" && string(value) != "null" {
				refuse("generate", "must be true or false")
			}
		case "stream":
			if string(value) != "true" && string(value) != "null" {
				refuse("stream", "must be true or absent: over a WebSocket every answer is streamed")
			}
		case "background":
			if string(value) != "false" && string(value) != "null" {
				refuse("background", "must be false or absent: over a WebSocket somebody waits for the answer")
			}
		case "previous_response_id":
			if isText {
				m.previous = string(jsontext.Decode(nil, inside))
			}
		}
		return true
	})
	switch {
	case !typed:
		problem = responses.NewError(400, "invalid_event", "a message must be a JSON object with a type, such as "+create)
		problem.Param = "type"
	case m.kind != create && m.kind != steer && m.kind != processed:
		problem = responses.NewError(400, "invalid_event", "messages of type "+strconv.Quote(policy.Clip(m.kind, 64))+" are not known here: send "+create)
		problem.Param = "type"
	case m.kind != create:
		problem = nil
	}
	return m, problem
}

// ours are the members of a message that the body of a request does not have.
var ours = map[string]bool{"type": true, "stream_id": true, "generate": true, "stream": true, "background": true}

// bodyOf makes a message of type response.create the body of POST /v1/responses, in
// the same memory: what goes is longer than what comes.
func bodyOf(text []byte) []byte {
	body := text[:0]
	sep := byte('{')
	jsontext.Members(text, func(name, value []byte, _ int) bool {
		if ours[string(jsontext.Decode(nil, name))] {
			return true
		}
		body = append(body, sep, '"')
		body = append(body, name...)
		body = append(body, `":`...)
		body = append(body, value...)
		sep = ','
		return true
	})
	body = append(body, sep)
	return append(body, `"stream":true}`...)
}

// steerFailed is the answer to input that is to be added to a running answer, which
// gets it back.
func steerFailed(text []byte) []byte {
	previous, input := []byte(`""`), []byte(`""`)
	jsontext.Members(text, func(name, value []byte, _ int) bool {
		switch string(name) {
		case "previous_response_id":
			if _, isText := jsontext.Text(value); isText {
				previous = value
			}
		case "input":
			input = value
		}
		return true
	})
	out := make([]byte, 0, 320+len(previous)+len(input))
	out = append(out, `{"type":"response.steer.failed","sequence_number":0,"error":{"type":"invalid_request_error","code":"steering_not_supported",`...)
	out = append(out, `"message":"a running answer takes no more input here: send it with response.create when the answer has ended"},"steer":{"previous_response_id":`...)
	out = append(out, previous...)
	out = append(out, `,"input":`...)
	out = append(out, input...)
	return append(out, `}}`...)
}
