package jsontext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/valyala/fastjson"
)

func TestLastMember(t *testing.T) {
	for name, c := range map[string]struct {
		in, want string
		missing  bool
	}{
		"at the end":                 {in: `{"a":1,"usage":{"n":2}}`, want: `{"n":2}`},
		"at the start":               {in: `{"usage":{"n":[1,{"x":2}]},"a":{"b":[3]}}`, want: `{"n":[1,{"x":2}]}`},
		"the only one":               {in: `{"usage":3}`, want: `3`},
		"white space":                {in: " {\"a\" : 1 ,\n \"usage\"\t: \r\n null , \"b\" : [ ] } \n", want: `null`},
		"a string":                   {in: `{"usage":"a,\"b\":{}"}`, want: `"a,\"b\":{}"`},
		"given twice: the last":      {in: `{"usage":1,"usage":2,"a":3}`, want: `2`},
		"brackets within strings":    {in: `{"usage":1,"a":"}]{[\\","b":"\\\"}"}`, want: `1`},
		"the key in a string":        {in: `{"usage":1,"a":"\"usage\":2"}`, want: `1`},
		"the key as a value":         {in: `{"usage":1,"a":"usage"}`, want: `1`},
		"the end of another key":     {in: `{"my\"usage":2}`, missing: true},
		"the end of a longer key":    {in: `{"no_usage":2}`, missing: true},
		"in an object inside":        {in: `{"a":{"usage":1},"b":[{"usage":2}]}`, missing: true},
		"an empty object":            {in: `{}`, missing: true},
		"an array":                   {in: `["usage",{"usage":1}]`, missing: true},
		"nothing":                    {missing: true},
		"a string that has no start": {in: `usage":1}`, missing: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := LastMember([]byte(c.in), "usage")
			assert.Equal(t, !c.missing, ok)
			assert.Equal(t, c.want, string(got))
		})
	}
}

func TestBackwards(t *testing.T) {
	for in, want := range map[string][]string{
		`{}`:            nil,
		` { "a" : 1 } `: {"a=1"},
		`{"a":{"x":[1,2]},"b\"c" :"d,\"e\":1", "":null}`: {"=null", `b\"c="d,\"e\":1"`, `a={"x":[1,2]}`},
		`[{"a":1}]`:  nil,
		`"a"`:        nil,
		``:           nil,
		`:}`:         nil,
		`a":1}`:      nil,
		`"a" "b":1}`: {"b=1"},
	} {
		t.Run(in, func(t *testing.T) {
			var got []string
			for m := NewBackwards([]byte(in)); m.Next(); {
				got = append(got, string(m.Key)+"="+string(m.Value()))
			}
			assert.Equal(t, want, got)
		})
	}
}

// What a member's value has of a name is found while the value is passed over, which is not
// looked at again.
func TestBackwardsFindsWithin(t *testing.T) {
	for in, want := range map[string]string{
		`{"response":{"usage":{"n":[1,{"x":2}]},"a":1},"b":2}`:                        `{"n":[1,{"x":2}]}`,
		`{"response" : { "a":{"usage":1}, "usage" : 3 , "b":[{"usage":4}]} }`:         `3`,
		`{"response":{"usage":1,"usage":"a,\"usage\":2"}}`:                            `"a,\"usage\":2"`,
		`{"response":{"usage":{}},"other":{"usage":2},"list":[{"usage":3}]}`:          `{}`,
		`{"response":{"no_usage":1,"x":{"usage":2}}}`:                                 ``,
		`{"response":[{"usage":1}],"usage":2}`:                                        ``,
		`{"response":{}}`:                                                             ``,
		`{"response":"{\"usage\":1}"}`:                                                ``,
		`{"response":5}`:                                                              ``,
		`"usage":1}}`:                                                                 ``,
		`{"response":{"a":"` + strings.Repeat(`\"`, 99) + `","usage":7,"b":[[],[]]}}`: `7`,
	} {
		t.Run(in, func(t *testing.T) {
			b := []byte(in)
			m := NewBackwards(b)
			for m.Within = "usage"; m.Next(); {
				if string(m.Key) == "response" {
					clear(b[:m.found.From])
					clear(b[m.found.To:])
					assert.Equal(t, want, string(m.Found()))
					return
				}
			}
			assert.Empty(t, want)
		})
	}
}

// The beginning of a long string is looked for by words, whatever stands before its end.
func TestWhereALongStringBeginsIsFound(t *testing.T) {
	for n := range 200 {
		for _, text := range []string{strings.Repeat("a", n), strings.Repeat("a", n) + `\"`, `\\\"` + strings.Repeat("#!", n), strings.Repeat(`\"`, n), `"` + strings.Repeat("a", n), strings.Repeat("a", n) + `\`} {
			opening := strings.LastIndex(`"`+text, `"`)
			for opening > 0 && escaped([]byte((`"` + text)[:opening])) {
				opening = strings.LastIndex((`"` + text)[:opening], `"`)
			}
			assert.Equal(t, opening, openingQuote([]byte(`"`+text)), "%q", text)
		}
	}
}

// Of valid JSON it is what a parser reads, but for keys that are written with
// escapes.
func FuzzLastMember(f *testing.F) {
	f.Add([]byte(`{"a":"\\\"","usage":{"b":[1,"}"]},"c":{"usage":1}}`))
	f.Add([]byte(`{"usage":1,"\\usage":2,"\"usage":[]}`))
	f.Add([]byte(`{"response":{"usage":"a":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		value, ok := LastMember(b, "usage")
		m := NewBackwards(b)
		m.Within = "usage"
		for valid := Check(b, Limits{}) == nil; m.Next(); {
			within, _ := LastMember(m.Value(), "usage")
			if found := m.Found(); valid {
				assert.Equal(t, string(within), string(found))
			}
		}
		if Check(b, Limits{}) != nil {
			return
		}
		v, err := fastjson.ParseBytes(b)
		if err != nil {
			t.Skip()
		}
		var want []byte
		found := false
		o := v.GetObject()
		if o == nil {
			assert.False(t, ok)
			return
		}
		skip := false
		o.Visit(func(key []byte, v *fastjson.Value) {
			if string(key) == "usage" {
				want, found = v.MarshalTo(nil), true
			}
		})
		for _, c := range b {
			skip = skip || c == '\\'
		}
		if skip {
			return // keys and values may be written in several ways
		}
		assert.Equal(t, found, ok)
		if ok {
			got, err := fastjson.ParseBytes(value)
			assert.NoError(t, err)
			assert.Equal(t, string(want), string(got.MarshalTo(nil)))
		}
	})
}
