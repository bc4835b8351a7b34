package jsontext_test

import (
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// A string means what it is for the parser, which takes 50 to 100 ns for an escape.
func TestAStringMeansWhatItMeansToTheParser(t *testing.T) {
	long := strings.Repeat("a", jsontext.LongString)
	for name, inside := range map[string]string{
		"an empty one":        ``,
		"letters":             `abc äöü`,
		"escapes":             `a\"\\\/\b\f\n\r\tz`,
		"characters":          `\u00fc\u4f60\ud83d\ude00\u0000\u0041`,
		"a long one":          long,
		"one with escapes":    long + `\n\u00fc`,
		"an unknown escape":   `a\xb\n`,
		"half of a pair":      `\ud83d\n`,
		"letters for a digit": `\u00g0\n`,
		"a cut one":           `\n\u00`,
	} {
		t.Run(name, func(t *testing.T) {
			text := `["` + inside + `"]`
			want := fastjson.MustParse(text).Get("0").GetStringBytes()
			for _, read := range []func(*fastjson.Value) []byte{
				jsontext.Bytes,
				func(v *fastjson.Value) []byte { jsontext.DecodeOnce(v); return jsontext.Bytes(v) },
				func(v *fastjson.Value) []byte { jsontext.Start(v); return jsontext.Bytes(v) },
				func(v *fastjson.Value) []byte { jsontext.Bytes(v); return v.GetStringBytes() },
			} {
				require.Equal(t, string(want), string(read(fastjson.MustParse(text).Get("0"))))
			}
			require.True(t, strings.HasPrefix(string(want), string(jsontext.Start(fastjson.MustParse(text).Get("0")))))
		})
	}
	for _, other := range []string{`null`, `1`, `{}`} {
		v := fastjson.MustParse(other)
		jsontext.DecodeOnce(v)
		require.Nil(t, jsontext.Bytes(v))
		require.Nil(t, jsontext.Start(v))
	}
	jsontext.DecodeOnce(nil)
	require.Nil(t, jsontext.Bytes(nil))
}
