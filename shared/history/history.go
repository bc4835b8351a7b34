// Package history is what a stored conversation is made of, and what becomes of it
// when it goes on. It is pure: items come in as they were sent and answered, as
// bytes that are cut and joined and never built anew.
//
//	request bytes ─ Read ─► Ask ─ Keep ─► the items to be stored, each with an id
//	turns, input ─ Join ─► the items that translation reads before those of the input
//	stored items ─ Page, AppendList ─► GET /v1/responses/{id}/input_items, …/conversations/{id}/items
//
// Only JSON that jsontext.Check has passed enters. Who may see what, and where it is
// kept, is not decided here.
package history

import (
	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// An Ask is what a request asks of a store. What is wrong with a field, translation
// says. It refers to the body.
type Ask struct {
	Previous string // the response to be continued; "" for none
	// Conversation is the one that the response is for; "" for none.
	Conversation string
	// Unclear is what is wrong with the conversation that the request names.
	Unclear *responses.Error
	Store   Wish
	Stream  bool
	// Background says that nobody waits for the answer.
	Background bool
	Input      []byte // as it stands in the body; nil without one

	body    []byte
	inputAt int
}

// A Wish is what field store says.
type Wish uint8

// What a request can wish for.
const (
	Unsaid Wish = iota
	Yes
	No
)

// Read reads what the body of a request asks of a store.
func Read(body []byte) (a Ask) {
	a.body = body
	jsontext.Members(body, func(name, value []byte, at int) bool {
		switch string(decoded(name)) {
		case "previous_response_id":
			if text, ok := jsontext.Text(value); ok {
				a.Previous = string(decoded(text))
			}
		case "conversation":
			a.Conversation, a.Unclear = conversationOf(value)
		case "store":
			switch string(value) {
			case "true":
				a.Store = Yes
			case "false":
				a.Store = No
			}
		case "background":
			a.Background = string(value) == "true"
		case "stream":
			a.Stream = string(value) == "true"
		case "input":
			a.Input, a.inputAt = value, at
		}
		return true
	})
	return a
}

// conversationOf is the id of a conversation, which is given by itself or in an object.
func conversationOf(value []byte) (id string, err *responses.Error) {
	path := Conversation
	text, ok := jsontext.Text(value)
	switch {
	case string(value) == "null":
		return "", nil
	case ok:
	case value[0] != '{':
		return "", invalid(path, "invalid_type", "must be a string or an object")
	default:
		path = responses.Of(path, "id")
		err = invalid(path, "missing_required_parameter", "is required")
		var other *responses.Error
		jsontext.Members(value, func(name, value []byte, _ int) bool {
			if member := decoded(name); string(member) != "id" {
				other = invalid(responses.Of(Conversation, clip(member)), "unknown_parameter", "unknown parameter")
			} else if text, ok = jsontext.Text(value); ok {
				err = other
			} else {
				err = invalid(path, "invalid_type", "must be a string")
			}
			return true
		})
		if err == nil {
			err = other
		}
	}
	if err == nil && len(text) == 0 {
		err = invalid(path, "invalid_value", "is empty")
	}
	if err != nil {
		return "", err
	}
	return string(decoded(text)), nil
}

// AppendBody appends the body with other items in the place of its input.
func (a *Ask) AppendBody(dst, input []byte) []byte {
	dst = append(dst, a.body[:a.inputAt]...)
	dst = append(dst, input...)
	return append(dst, a.body[a.inputAt+len(a.Input):]...)
}

// decoded is what the inside of a string means; most mean what they are.
func decoded(escaped []byte) []byte {
	for _, c := range escaped {
		if c == '\\' {
			return jsontext.Decode(nil, escaped)
		}
	}
	return escaped
}

func invalid(param, code, message string) *responses.Error {
	e := responses.NewError(400, code, message)
	e.Param = param
	return e
}
