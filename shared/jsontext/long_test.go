package jsontext_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// fastjson's values lie in memory as long.go says.
func TestAValueIsLaidOutAsFastjsonHasIt(t *testing.T) {
	value := reflect.TypeFor[fastjson.Value]()
	require.Equal(t, "o fastjson.Object, a []*fastjson.Value, s string, t fastjson.Type", layout(value))
	object := value.Field(0).Type
	require.Equal(t, "kvs []fastjson.kv, keysUnescaped bool", layout(object))
	require.Equal(t, "k string, v *fastjson.Value", layout(object.Field(0).Type.Elem()))

	v := fastjson.MustParse(`["a\n",{"b":"c\n"},1,null]`)
	require.True(t, jsontext.IsString(v.Get("0")))
	require.Equal(t, `["a\n",{"b":"c\n"},1,null]`, v.String())
	require.Equal(t, fastjson.TypeString, v.Get("0").Type())
	require.True(t, jsontext.IsString(v.Get("0")), "one that is decoded is a string too")
	for _, other := range []string{"1", "2", "3", "4"} {
		require.False(t, jsontext.IsString(v.Get(other)), other)
	}
}

// What is parsed in place lies where it came, and a tree of before is nobody's then.
func TestAParserTakesTheTextThatItIsGiven(t *testing.T) {
	require.Equal(t, "b []uint8, c fastjson.cache", layout(reflect.TypeFor[fastjson.Parser]()))
	var p fastjson.Parser
	_, err := p.Parse(`{"an":"earlier document"}`)
	require.NoError(t, err)
	for _, blanks := range []string{"", " \n"} {
		text := []byte(blanks + `{"a":["b","c\n"]}`)
		v, err := jsontext.ParseInPlace(&p, text)
		require.NoError(t, err)
		b := v.GetStringBytes("a", "0")
		require.Equal(t, "b", string(b))
		at := bytes.IndexByte(text, 'b')
		require.Same(t, &text[at], &b[0])
		require.Equal(t, "c\n", string(v.GetStringBytes("a", "1")))
	}
	_, err = jsontext.ParseInPlace(&p, []byte(`{`))
	require.Error(t, err)

	// Nor is the text the parser's from then on.
	text := []byte(`["a text"]`)
	_, err = jsontext.ParseInPlace(&p, text)
	require.NoError(t, err)
	_, err = p.Parse(`["another"]`)
	require.NoError(t, err)
	require.Equal(t, `["a text"]`, string(text))
}

func layout(t reflect.Type) string {
	var fields []string
	for i := range t.NumField() {
		fields = append(fields, t.Field(i).Name+" "+t.Field(i).Type.String())
	}
	return strings.Join(fields, ", ")
}

// longDocs have long strings at @, and shorter ones.
var longDocs = []string{
	`"@"`, `["@","@@","a"]`, ` { "a" : "@" , "@b" : [ "@", {"c":"short \" one","d":"@"} ], "e":null } `, `{"a":"","b":"@","c":{"d":{"e":["@"]}}}`,
}

var longTexts = []string{"word ", `\"`, `\n`, `\\`, `\u00e9`, `\ud83d\ude00`, "\u00e9", "\U0001f600"}

// The tree of a document without its long strings is the document's when they are put
// back, in whatever pieces it came.
func TestLongStringsArePutBack(t *testing.T) {
	for _, doc := range longDocs {
		for _, text := range longTexts {
			text = strings.Repeat(text, jsontext.LongString/len(text)+1)
			doc := []byte(strings.ReplaceAll(strings.ReplaceAll(doc, "@b", "b"), "@", text))
			for _, piece := range []int{1 << 30, 4096, 4097, 65_537} {
				var c jsontext.Checker
				for at := 0; at < len(doc); at += piece {
					require.True(t, c.Write(doc[at:min(at+piece, len(doc))]))
				}
				require.True(t, c.Valid())
				require.Len(t, c.Long(), strings.Count(string(doc), text+`"`))
				short := jsontext.AppendShort(nil, doc, c.Long())
				require.Less(t, len(short), 256)
				var parser fastjson.Parser
				v, err := parser.ParseBytes(short)
				require.NoError(t, err)
				jsontext.Lengthen(v, bytes.Clone(doc), c.Long(), nil)
				want := fastjson.MustParseBytes(doc)
				require.True(t, want.String() == v.String())
				require.True(t, string(jsontext.AppendValue(nil, want)) == string(jsontext.AppendValue(nil, v)))
			}
		}
	}
}

// A long string is appended as it came, and decoded for who wants to know what it means.
func TestALongStringIsAppendedAsItCame(t *testing.T) {
	text := strings.Repeat(`\u0041\n`, jsontext.LongString)
	v := fastjson.MustParse(`["` + text + `"]`)
	require.Equal(t, len(text), jsontext.LongLength(v.Get("0")))
	require.True(t, `["`+text+`"]` == string(jsontext.AppendValue(nil, v)))
	require.True(t, text == string(jsontext.AppendInside(nil, v.Get("0"))))
	require.True(t, strings.Repeat("A\n", jsontext.LongString) == string(jsontext.Bytes(v.Get("0"))))
	require.Zero(t, jsontext.LongLength(v))
	require.Equal(t, fastjson.TypeString, v.Get("0").Type())
	require.Zero(t, jsontext.LongLength(v.Get("0")), "one that is decoded")
	require.True(t, strings.Repeat(`A\n`, jsontext.LongString) == string(jsontext.AppendInside(nil, v.Get("0"))))
}

// A long string is copied once to be decoded, and not at all where nothing is escaped.
func TestALongStringIsCopiedOnce(t *testing.T) {
	for text, copies := range map[string]float64{"QUJD": 0, `QUJD\n`: 1} {
		v := fastjson.MustParse(`"` + strings.Repeat(text, jsontext.LongString) + `"`)
		require.Equal(t, copies, testing.AllocsPerRun(10, func() { jsontext.Bytes(v) }), text)
	}
}

// To append a value decodes none of its strings: what is written as it would be written anew
// stays as it lies there, and what is not is decoded elsewhere.
func TestToAppendAValueDecodesNothing(t *testing.T) {
	for inside, written := range map[string]string{
		`say \"a\" \\ \n\r\t` + "\u00e9\u4f60\U0001f600\x7f ": `say \"a\" \\ \n\r\t` + "\u00e9\u4f60\U0001f600\x7f ",
		`\u00e9\/\u0041\ud83d\ude00`:                          "\u00e9/A\U0001f600",
		`\u0000\b`:                                            `\u0000\u0008`,
		"":                                                    "",
	} {
		v := fastjson.MustParse(`["` + inside + `"]`)
		require.Equal(t, `["`+written+`"]`, string(jsontext.AppendValue(nil, v)))
		raw, isString := jsontext.AppendRaw(nil, v.Get("0"))
		require.True(t, isString)
		require.Equal(t, inside, string(raw), "it is as it came")
	}
}

// A text that is no valid inside of a string is escaped as fastjson reads it.
func TestABrokenStringIsAppendedAsItIsRead(t *testing.T) {
	for inside, written := range map[string]string{
		`a\x`: `a\\x`, `\u12`: `\\u12`, "a\nb": `a\nb`, "\xff": "\ufffd", `\ud800`: `\\ud800`,
	} {
		require.Equal(t, `"`+written+`"`, string(jsontext.AppendValue(nil, fastjson.MustParse(`"`+inside+`"`))), "%q", inside)
	}
}

// Only a long string that would not be written as it came is decoded when it is looked at.
func TestLookAtDecodesNoMoreThanItMust(t *testing.T) {
	for text, raw := range map[string]bool{"word ": true, `\"\n`: true, "\u00e9": true, `\u00e9`: false, `\/`: false, `\x`: false, "\n": false} {
		long := strings.Repeat(text, jsontext.LongString/len(text)+1)
		v := fastjson.MustParse(`{"a":["` + long + `","` + text + `"]}`)
		want := fastjson.MustParse(`"` + long + `"`)
		want.Type()
		jsontext.LookAt(v)
		require.Equal(t, raw, jsontext.LongLength(v.Get("a", "0")) > 0, "%q", text)
		require.True(t, string(jsontext.AppendValue(nil, want)) == string(jsontext.AppendValue(nil, v.Get("a", "0"))), "%q", text)
		inside, _ := jsontext.AppendRaw(nil, v.Get("a", "1"))
		require.Equal(t, text, string(inside))
	}
}

func TestTheStringsOfAValueAreMeasured(t *testing.T) {
	for text, backslashes := range map[string]int{"": 0, "word ": 0, `\"\n`: 2, `\\\\`: 4, `]\n[]`: 1, "\u00e9\xdc\xdb]\x5b": 0} {
		for n := range 20 {
			text := strings.Repeat(text, n)
			bytes, found := jsontext.Measure(fastjson.MustParse(`[{"a":"` + text + `","b":[1,"` + text + `"]},null]`))
			require.Equal(t, 2*len(text), bytes)
			require.Equal(t, 2*n*backslashes, found, "%q", text)
		}
	}
}
