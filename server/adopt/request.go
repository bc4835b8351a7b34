package adopt

import (
	"bytes"
	"slices"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
)

// AppendRequest appends the body of a request for a backend that keeps nothing: with
// the items of past, a JSON array or nil, before those of its input, and without what
// only a store can do. creates says that a response is to be made, which the backend
// shall not keep; streams that it is to be streamed whatever the request says, for nobody
// waits. Refused are members that are ours to read and cannot be.
func AppendRequest(dst, body, past []byte, creates, streams bool) (out []byte, err *responses.Error) {
	dst = append(dst, '{')
	hasInput := false
	write := func(name, value []byte) {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, '"'), name...), `":`...)
		dst = append(dst, value...)
	}
	jsontext.Members(body, func(name, value []byte, _ int) bool {
		switch field := string(jsontext.Decode(nil, name)); field {
		case "store", "background":
			if !slices.Contains([]string{"true", "false", "null"}, string(value)) {
				err = wrongType(field, "must be a boolean")
			}
			return err == nil
		case "previous_response_id":
			if _, isText := jsontext.Text(value); !isText && string(value) != "null" {
				err = wrongType(field, "must be a string")
			}
			return err == nil
		case "conversation":
			return true
		case "stream", "background_options":
			if streams {
				return true
			}
		case "input":
			hasInput = true
			write(name, nil)
			dst = appendInput(dst, past, value)
			return true
		}
		write(name, value)
		return true
	})
	if !hasInput && len(past) > 0 {
		write([]byte("input"), past)
	}
	if creates {
		write([]byte("store"), []byte("false"))
	}
	if streams {
		write([]byte("stream"), []byte("true"))
	}
	return append(dst, '}'), err
}

func wrongType(param, what string) *responses.Error {
	e := responses.Invalid(param, what)
	e.Code = "invalid_type"
	return e
}

// appendInput appends the input with the items of past before it.
func appendInput(dst, past, input []byte) []byte {
	past = inside(past)
	if len(past) == 0 {
		return append(dst, input...)
	}
	dst = append(append(dst, '['), past...)
	if _, isText := jsontext.Text(input); isText {
		dst = append(dst, `,{"type":"message","role":"user","content":`...)
		return append(append(dst, input...), "}]"...)
	}
	if items := inside(input); len(items) > 0 {
		dst = append(append(dst, ','), items...)
	}
	return append(dst, ']')
}

// inside is what stands between the brackets of an array; nothing when it is none.
func inside(array []byte) []byte {
	if len(array) < 2 || array[0] != '[' {
		return nil
	}
	return bytes.TrimSpace(array[1 : len(array)-1])
}
