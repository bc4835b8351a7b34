package responses

import (
	"strconv"
	"unicode/utf8"

	"antwort/shared/jsontext"
)

// WrongType returns the error for a field that is not of the wanted type.
func WrongType(param, want string, v jsontext.Value) *Error {
	return invalidCode(param, "invalid_type", "must be "+want+", not "+kind(v))
}

// kind names v's type as JSON does.
func kind(v jsontext.Value) string {
	switch v.Kind() {
	case jsontext.True, jsontext.False:
		return "a boolean"
	case jsontext.Number:
		return "a number"
	case jsontext.String:
		return "a string"
	case jsontext.Array:
		return "an array"
	case jsontext.Object:
		return "an object"
	default:
		return "null"
	}
}

func boolean(v jsontext.Value, param string) (bool, *Error) {
	switch v.Kind() {
	case jsontext.True:
		return true, nil
	case jsontext.False:
		return false, nil
	}
	return false, WrongType(param, "a boolean", v)
}

func text(v jsontext.Value, param string, longest int) (string, *Error) {
	if v.Kind() != jsontext.String {
		return "", WrongType(param, "a string", v)
	}
	s := string(v.Text())
	if n := utf8.RuneCountInString(s); n > longest {
		return "", invalidCode(param, "string_above_max_length", "is "+strconv.Itoa(n)+" characters long, the limit is "+strconv.Itoa(longest))
	}
	return s, nil
}

func oneOf(v jsontext.Value, param string, allowed ...string) (string, *Error) {
	s, err := text(v, param, 1<<20)
	if err != nil {
		return "", err
	}
	list := ""
	for i, a := range allowed {
		if s == a {
			return a, nil
		}
		if i > 0 {
			list += ", "
		}
		list += a
	}
	return "", invalidCode(param, "invalid_value", "unknown value "+strconv.Quote(short(s))+"; allowed: "+list)
}

// short cuts a string that is quoted in a message.
func short(s string) string {
	if len(s) <= 64 {
		return s
	}
	n := 61
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

type place func(*Request) *jsontext.Value

// identifier, number and integer are not inlined: with each row of the table the
// filter would have the function that they return once more.

//go:noinline
func identifier(longest int, at place) func(*Request, jsontext.Value, string) *Error {
	return func(r *Request, v jsontext.Value, name string) *Error {
		*at(r) = v
		_, err := text(v, name, longest)
		return err
	}
}

//go:noinline
func number(low, high float64, at place) func(*Request, jsontext.Value, string) *Error {
	return func(r *Request, v jsontext.Value, name string) *Error {
		if v.Kind() != jsontext.Number {
			return WrongType(name, "a number", v)
		}
		if f, _ := v.Float(); !(f >= low && f <= high) {
			return outOfRange(name, strconv.FormatFloat(low, 'g', -1, 64), strconv.FormatFloat(high, 'g', -1, 64), v)
		}
		*at(r) = v
		return nil
	}
}

//go:noinline
func integer(low, high int64, at place) func(*Request, jsontext.Value, string) *Error {
	return func(r *Request, v jsontext.Value, name string) *Error {
		if v.Kind() != jsontext.Number {
			return WrongType(name, "an integer", v)
		}
		n, ok := v.Int()
		if !ok {
			return invalidCode(name, "invalid_type", "must be an integer")
		}
		if n < low || n > high {
			return outOfRange(name, strconv.FormatInt(low, 10), strconv.FormatInt(high, 10), v)
		}
		*at(r) = v
		return nil
	}
}

func outOfRange(param, low, high string, v jsontext.Value) *Error {
	return invalidCode(param, "out_of_range", "is "+short(string(v.Raw()))+", must be from "+low+" to "+high)
}

// members calls f for every member of the object v that is not null.
func members(v jsontext.Value, param string, f func(key string, v jsontext.Value) *Error) (err *Error) {
	if v.Kind() != jsontext.Object {
		return WrongType(param, "an object", v)
	}
	for m := v.First(); m.Exists() && err == nil; m = m.Next() {
		if !m.IsNull() {
			err = f(string(m.Key()), m)
		}
	}
	return err
}
