package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, in, problem string }{
		{"object", `{"a":[1,-2.5e+3,true,false,null,"x\u00e9\ud83d\ude00"]}`, ""},
		{"white space around", " \n{}\t", ""},
		{"scalar", `0`, ""},
		{"empty", ``, "unexpected end of JSON at byte 0"},
		{"trailing garbage", `{} x`, "unexpected data after the JSON value at byte 3"},
		{"cut", `{"a":`, "unexpected end of JSON at byte 5"},
		{"leading zero", `[01]`, "expected ',' or ']' at byte 2"},
		{"bare minus", `-`, "invalid number at byte 1"},
		{"no fraction", `1.`, "invalid number at byte 2"},
		{"no exponent", `1e+`, "invalid number at byte 3"},
		{"trailing comma", `[1,]`, "unexpected character ']' at byte 3"},
		{"key without quotes", `{a:1}`, "expected a string as object key at byte 1"},
		{"no colon", `{"a" 1}`, "expected ':' after an object key at byte 5"},
		{"control character", "\"a\nb\"", "invalid string: unescaped control character '\\n' at byte 2"},
		{"bad escape", `"\x"`, "invalid string: unknown escape \\x at byte 1"},
		{"short escape", `"\u12"`, "invalid string: \\u without four hexadecimal digits at byte 1"},
		{"backslash at the end", `"\`, "invalid string: a backslash without what it escapes at byte 1"},
		{"lone high surrogate", `"\ud83d!"`, "invalid string: lone surrogate \\ud83d, half of a pair, at byte 1"},
		{"lone low surrogate", `"\ude00"`, "invalid string: lone surrogate \\ude00, half of a pair, at byte 1"},
		{"unterminated", `"abc`, "unterminated string at byte 4"},
		{"invalid UTF-8", "\"a\xff\"", "invalid UTF-8 at byte 2"},
		{"wrong literal", `nul`, "invalid literal, expected null at byte 0"},
		{"too deep", `[[[[1]]]]`, "nested deeper than 3 levels at byte 3"},
		{"too many values", `[1,2,3,4,5,6,7,8]`, "more than 8 JSON values at byte 15"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := Check([]byte(c.in), Limits{Depth: 3, Values: 8})
			if c.problem == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.problem)
		})
	}
	require.NoError(t, Check([]byte(strings.Repeat("[", MaxDepth)+strings.Repeat("]", MaxDepth)), Limits{}))
	require.Error(t, Check([]byte(strings.Repeat("[", MaxDepth+1)+strings.Repeat("]", MaxDepth+1)), Limits{}))
}

func TestStringsKeepTheirMeaning(t *testing.T) {
	for _, s := range []string{"", "plain", "quote\" back\\ slash/", "\x00\x01\a\b\f\n\r\t\v\x1f\x7f", "é😀\u2028\U000e0001"} {
		require.Equal(t, s, decode(t, AppendString(nil, s)))
		require.Equal(t, s, decode(t, AppendString(nil, []byte(s))))
		quoted, err := json.Marshal(s)
		require.NoError(t, err)
		require.Equal(t, s, string(Decode(nil, quoted[1:len(quoted)-1])))
		v := fastjson.MustParseBytes(quoted)
		raw, ok := AppendRaw([]byte("x"), v)
		require.True(t, ok)
		require.Equal(t, "x"+string(quoted[1:len(quoted)-1]), string(raw))
	}
	require.Equal(t, "a\ufffdb", decode(t, AppendString(nil, "a\xffb")))
	null := fastjson.MustParse(`[null]`).GetArray()[0]
	require.True(t, IsNull(null))
	_, ok := AppendRaw(nil, null)
	require.False(t, ok)
	_, ok = AppendRaw(nil, nil)
	require.False(t, ok)
}

func TestAppendRepaired(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing to repair", `a\u00e9\ud83d\ude00\"\n😀`, `a\u00e9\ud83d\ude00\"\n😀`},
		{"lone surrogates", `a\ud83d.\ude00\u0041`, `a�.�\u0041`},
		{"high surrogate twice", `\ud83d\ud83d\ude00`, `�\ud83d\ude00`},
		{"unknown escape", `a\xb`, `a�xb`},
		{"half an escape", `a\u00`, `a�u00`},
		{"backslash at the end", `a\`, `a�`},
		{"control character", "a\tb", `a\tb`},
		{"quote", `a"b`, `a\"b`},
		{"invalid UTF-8", "a\xff\xc3", `a��`},
		{"invalid UTF-8 before a bad escape", "\xe2\x82\\q", `���q`},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, left := AppendRepaired([]byte("x"), []byte(c.in), 10)
			require.Equal(t, "x"+c.want, string(got))
			require.True(t, Inside(got))
			got, left = AppendRepaired(nil, []byte(c.in), 10-left)
			require.Equal(t, c.want, string(got), "as many as there are")
			require.Zero(t, left)
			if c.want != c.in {
				_, left = AppendRepaired(nil, []byte(strings.Repeat(c.in, 3)), 2)
				require.Negative(t, left)
			}
		})
	}
}

func TestAppendValueAfterALook(t *testing.T) {
	const doc = `{"k\u0007\"":["a\u0000\u200b",1.50,true,null,{}],"z":"\ud83d\ude00"}`
	v := fastjson.MustParse(doc)
	v.Get("nothing")
	v.Get("z").Type()
	require.JSONEq(t, doc, string(AppendValue(nil, v)))
}

func decode(t *testing.T, b []byte) (s string) {
	t.Helper()
	require.NoError(t, json.Unmarshal(b, &s), "%s", b)
	return s
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,2]}`, `"\ud83d\ude00"`, `-0.5e10`, ` [ ] `} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := Check(b, Limits{Depth: 32})
		if err == nil && !json.Valid(b) {
			t.Fatalf("accepted %q, which is not JSON", b)
		}
		if err == nil {
			if _, perr := fastjson.ParseBytes(b); perr != nil {
				t.Fatalf("accepted %q, which fastjson refuses: %v", b, perr)
			}
		}
		if Inside(b) && !json.Valid(append(append([]byte{'"'}, b...), '"')) {
			t.Fatalf("%q is not the inside of a string", b)
		}
		require.True(t, json.Valid(AppendString(nil, b)))
		repaired, _ := AppendRepaired(nil, b, len(b))
		require.True(t, Inside(repaired))
		n, inside := Escapes(b, 0)
		require.Equal(t, Inside(b), inside)
		require.LessOrEqual(t, n, bytes.Count(b, []byte(`\`)))
	})
}

func BenchmarkCheck2KB(b *testing.B) {
	doc := []byte(`{"model":"/mnt/models","input":[` + strings.Repeat(`{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the capital of France? Answer in one sentence."}]},`, 15) + `{}]}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(doc, Limits{Depth: 64, Values: 1000000}); err != nil {
			b.Fatal(err)
		}
	}
}

// Eight bytes at a time find what one at a time finds, wherever it stands.
func TestAnySpecial(t *testing.T) {
	for _, around := range []byte{' ', 'a', 0x7f, 0x80, 0xff} {
		for c := range 256 {
			for at := range 8 {
				b := bytes.Repeat([]byte{around}, 8)
				b[at] = byte(c)
				require.Equal(t, special[byte(c)], anySpecial(Word(b)) != 0, "%#x among %#x", c, around)
			}
		}
	}
}

func BenchmarkCheckEscapes(b *testing.B) {
	doc := []byte(`{"model":"/mnt/models","input":"` + strings.Repeat(`line\n\tcall(\"x\");\n`, 100) + `"}`)
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		if err := Check(doc, Limits{Depth: 64, Values: 1000000}); err != nil {
			b.Fatal(err)
		}
	}
}

func TestIsNumber(t *testing.T) {
	for _, b := range []string{"", "-", "0", "7", "00", "01", "10", "123", "1234", "012", "-0", "-1", "1e5", "1.5", "1.", ".5", "1e", "inf", "nan", "1.2.3", "-1.25", "1E+10", " 1", "1 ", "+1", "a", "12a"} {
		require.Equal(t, len(b) > 0 && b[0] != ' ' && b[len(b)-1] != ' ' && Check([]byte(b), Limits{}) == nil, IsNumber([]byte(b)), "%q", b)
	}
}
