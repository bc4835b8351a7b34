package responses

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"antwort/shared/jsontext"

	"github.com/valyala/fastjson"
)

// WrongType returns the error for a field that is not of the wanted type.
func WrongType(param, want string, v *fastjson.Value) *Error {
	return invalidCode(param, "invalid_type", "must be "+want+", not "+kind(v))
}

// kind names v's type as JSON does.
func kind(v *fastjson.Value) string {
	switch v.Type() {
	case fastjson.TypeTrue, fastjson.TypeFalse:
		return "a boolean"
	case fastjson.TypeNumber:
		return "a number"
	case fastjson.TypeString:
		return "a string"
	case fastjson.TypeArray:
		return "an array"
	case fastjson.TypeObject:
		return "an object"
	default:
		return "null"
	}
}

func boolean(v *fastjson.Value, param string) (bool, *Error) {
	switch v.Type() {
	case fastjson.TypeTrue:
		return true, nil
	case fastjson.TypeFalse:
		return false, nil
	}
	return false, WrongType(param, "a boolean", v)
}

func text(v *fastjson.Value, param string, longest int) (string, *Error) {
	if !jsontext.IsString(v) {
		return "", WrongType(param, "a string", v)
	}
	if n := jsontext.LongLength(v); n > 12*longest { // the longest escape of a character
		return "", tooLong(param, strconv.Itoa(n)+" bytes", longest, " characters")
	}
	s := string(jsontext.Bytes(v))
	if n := utf8.RuneCountInString(s); n > longest {
		return "", tooLong(param, strconv.Itoa(n)+" characters", longest, "")
	}
	return s, nil
}

func tooLong(param, length string, longest int, unit string) *Error {
	return invalidCode(param, "string_above_max_length", "is "+length+" long, the limit is "+strconv.Itoa(longest)+unit)
}

func oneOf(v *fastjson.Value, param string, allowed ...string) (string, *Error) {
	s, err := text(v, param, 1<<20)
	if err != nil {
		return "", err
	}
	for _, a := range allowed {
		if s == a {
			return a, nil
		}
	}
	return "", invalidCode(param, "invalid_value", "unknown value "+quote(s)+"; allowed: "+strings.Join(allowed, ", "))
}

// quote quotes what a client sent, shortened, in a message.
//
//go:noinline
func quote(s string) string { return strconv.Quote(short(s)) }

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

type place func(*Request) **fastjson.Value

// identifier, number and integer are not inlined: with each row of the table the
// filter would have the function that they return once more.

//go:noinline
func identifier(longest int, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		*at(r) = v
		_, err := text(v, name, longest)
		return err
	}
}

//go:noinline
func number(low, high float64, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		if v.Type() != fastjson.TypeNumber {
			return WrongType(name, "a number", v)
		}
		if f := v.GetFloat64(); !(f >= low && f <= high) {
			return outOfRange(name, strconv.FormatFloat(low, 'g', -1, 64), strconv.FormatFloat(high, 'g', -1, 64), v)
		}
		*at(r) = v
		return nil
	}
}

//go:noinline
func integer(low, high int64, at place) func(*Request, *fastjson.Value, string) *Error {
	return func(r *Request, v *fastjson.Value, name string) *Error {
		if v.Type() != fastjson.TypeNumber {
			return WrongType(name, "an integer", v)
		}
		n, err := v.Int64()
		if err != nil {
			return invalidCode(name, "invalid_type", "must be an integer")
		}
		if n < low || n > high {
			return outOfRange(name, strconv.FormatInt(low, 10), strconv.FormatInt(high, 10), v)
		}
		*at(r) = v
		return nil
	}
}

func outOfRange(param, low, high string, v *fastjson.Value) *Error {
	return invalidCode(param, "out_of_range", "is "+short(string(v.MarshalTo(nil)))+", must be from "+low+" to "+high)
}

// members calls f for every member of the object v that is not null.
func members(v *fastjson.Value, param string, f func(key string, v *fastjson.Value) *Error) (err *Error) {
	o := v.GetObject()
	if o == nil {
		return WrongType(param, "an object", v)
	}
	o.Visit(func(key []byte, v *fastjson.Value) {
		if err == nil && !jsontext.IsNull(v) {
			err = f(string(key), v)
		}
	})
	return err
}
