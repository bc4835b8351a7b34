package jsontext_test

import (
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// An opaque value is a number to the parser, whatever is in it, and is copied only where
// white space must go.
func TestAnOpaqueValueIsNotParsed(t *testing.T) {
	quotes := strings.Repeat(`\"`, 1000)
	for value, written := range map[string]string{
		`["` + quotes + `",{"a":1}]`:                  `["` + quotes + `",{"a":1}]`,
		` { "a b" : [ 1 , "` + quotes + ` " ] ` + "}": `{"a b":[1,"` + quotes + ` "]}`,
	} {
		var opaque jsontext.Opaques
		outline := opaque.Append([]byte(`[`), []byte(`{}`))
		outline = append(opaque.Append(append(outline, ','), []byte(value)), ']')
		require.Less(t, len(outline), 32)
		v := fastjson.MustParseBytes(outline)
		jsontext.Lengthen(v, nil, nil, opaque)
		require.Equal(t, `[{},`+written+`]`, string(jsontext.AppendValue(nil, v)))
		require.Equal(t, fastjson.TypeObject, v.Get("1").Type())
	}
	value, dst := []byte(`["`+quotes+`"]`), make([]byte, 0, 64)
	opaque := make(jsontext.Opaques, 0, 1)
	require.Zero(t, testing.AllocsPerRun(10, func() { opaque = opaque[:0]; opaque.Append(dst, value) }))
}

// What no Check has passed may have an object of the same name: nobody has made it opaque.
func TestAnOpaqueValueCannotBeForged(t *testing.T) {
	for value, written := range map[string]string{
		`"],\xfe"`: `"],` + "\ufffd" + `"`, `"a"`: `"a"`, `""`: `""`, `5`: `5`, `null`: `null`, `[1]`: `[1]`, `{}`: `{}`,
	} {
		v := fastjson.MustParse("{\"\xff\":" + strings.ReplaceAll(value, `\xfe`, "\xfe") + "}")
		v.Get("\xff").Type() // decodes a string
		require.Equal(t, "{\"\ufffd\":"+written+"}", string(jsontext.AppendValue(nil, v)))
	}
}

// White space goes from between tokens eight bytes at a time, and nothing else does.
func TestWhiteSpaceIsCutWhole(t *testing.T) {
	for _, blank := range []string{" ", "\n", "\t", "\r", "\n  ", " \t\r\n"} {
		for n := range 40 {
			some := strings.Repeat(blank, n)
			doc := "[" + some + "1," + some + `"!` + strings.Repeat(" ", n) + `"` + some + "]"
			require.NoError(t, jsontext.Check([]byte(some+doc+some), jsontext.Limits{}))
			var opaque jsontext.Opaques
			v := fastjson.MustParseBytes(opaque.Append(nil, []byte(doc)))
			jsontext.Lengthen(v, nil, nil, opaque)
			require.Equal(t, `[1,"!`+strings.Repeat(" ", n)+`"]`, string(jsontext.AppendValue(nil, v)))
			for _, other := range []string{"\x00", "\v", "\f", "\x1f", "!", "\u00a0", "\x8a", "\x89", "\xa0"} {
				require.Error(t, jsontext.Check([]byte(some+other+strings.Repeat(blank, 9)+doc), jsontext.Limits{}), "%q", other)
			}
		}
	}
}
