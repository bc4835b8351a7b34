package jsontext_test

import (
	"encoding/json"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

func TestMembersAndElements(t *testing.T) {
	object := ` { "a" : 1 , "b\u0063":"x\"}y", "c":[1,{"d":[]}] , "e":{}} `
	var got []string
	jsontext.Members([]byte(object), func(name, value []byte, at int) bool {
		require.Equal(t, string(value), object[at:at+len(value)])
		got = append(got, string(name)+"="+string(value))
		return true
	})
	require.Equal(t, []string{"a=1", `b\u0063="x\"}y"`, `c=[1,{"d":[]}]`, "e={}"}, got)

	got = nil
	jsontext.Elements([]byte(` [ 1 ,"]", [2,3],{} ]`), func(value []byte) bool {
		got = append(got, string(value))
		return len(got) < 3
	})
	require.Equal(t, []string{"1", `"]"`, "[2,3]"}, got, "it stops when it is told to")

	for _, other := range []string{``, ` `, `{}`, `[]`, `1`, `"{}"`, `null`} {
		jsontext.Members([]byte(other), func(_, _ []byte, _ int) bool { t.Fatal(other); return false })
		jsontext.Elements([]byte(other), func([]byte) bool { t.Fatal(other); return false })
	}
}

// What the walk finds is what encoding/json finds.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"d"}]}`))
	f.Add([]byte(` {"a\n":"\ud83d\ude00" , "":{}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if jsontext.Check(b, jsontext.Limits{}) != nil {
			return
		}
		want := make(map[string]json.RawMessage)
		isObject := json.Unmarshal(b, &want) == nil && want != nil
		got := make(map[string]json.RawMessage)
		jsontext.Members(b, func(name, value []byte, at int) bool {
			got[string(jsontext.Decode(nil, name))] = value
			return true
		})
		if !isObject {
			require.Empty(t, got)
			return
		}
		require.Equal(t, want, got)
	})
}

func TestExtentIsThatOfAnyStrings(t *testing.T) {
	for _, c := range []struct {
		text         string
		first, whole int // -1: there is none
	}{
		{` {"q":"a"}x`, 10, 10},
		{`{"q":"\ud83d"}{}`, -1, 14},
		{"{\"q\":\"a\nb\"} ", -1, 11},
		{`{"q":"a\"}`, -1, -1},
		{`{"q":"a"`, -1, -1},
		{``, -1, -1},
	} {
		for _, of := range []struct {
			read func([]byte) (int, bool)
			want int
		}{{jsontext.First, c.first}, {jsontext.Extent, c.whole}} {
			n, ok := of.read([]byte(c.text))
			if !ok {
				n = -1
			}
			require.Equal(t, of.want, n, "%q", c.text)
		}
	}
}

func TestUnquotedEndsAtQuotesAndBrackets(t *testing.T) {
	other := "\x02\x1b\x1d\x5c\x7a\x7c\x7e\x5a\x5e\xa2\xdb\xdd\xfb\xfd!# :,0"
	for n := range len(other) {
		text := other[n:] + other + other[:n]
		require.Equal(t, len(text), jsontext.Unquoted([]byte(text)))
		for at := range len(text) {
			for _, c := range `"{}[]` {
				require.Equal(t, at, jsontext.Unquoted([]byte(text[:at]+string(c)+text[at:])), "%q", c)
			}
		}
	}
}
