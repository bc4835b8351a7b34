package jsontext

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

var documents = []string{
	`{}`, `[]`, ` { } `, `[[],{}]`, `""`, `1`, `null`, ` true `, `false`, `{"a":1,"b":[1,2,{"c":"d"}],"":null}`, `[1,]`, `{"a":1,}`, `{,}`, `[,]`, `{"a"}`, `{"a":}`,
	`{"a":1 "b":2}`, `[1 2]`, `{"a\u0062":"x\n\"\\\u00e9\ud83d\ude00","long key that takes more than one word":"long text that takes more than one word"}`,
	`["\q"]`, `["\ud800"]`, `["\u12"]`, `["` + "\x01\xff" + `"]`, `["a\`, `["a`, `[1.5e+3,-0,01,1.,+1,nan,-inf,Infinity,NaN,--1]`, `[nan]`, `[-inf]`, `[tru]`, `[trux]`, `nul`, `]`, `}`, `{"a":1}}`, `[1]x`, ``, ` `,
	strings.Repeat("[", 300) + strings.Repeat("]", 300), strings.Repeat("[", 301) + strings.Repeat("]", 301), "\ufeff{}", `{"a":1]`, `[1}`, `{1:2}`, `[:1]`,
}

// A document parses when Check passes it and says what fastjson reads in it; a
// lenient one when fastjson parses it.
func FuzzDocument(f *testing.F) {
	for _, text := range documents {
		f.Add([]byte(text), 0, 0)
	}
	f.Add([]byte(`[[[]]]`), 2, 0)
	f.Add([]byte(`[1,[2,{"3":4}]]`), 0, 5)
	f.Fuzz(func(t *testing.T, text []byte, depth, values int) {
		if bytes.Count(text, []byte("["))+bytes.Count(text, []byte("{")) >= MaxDepth && depth == 0 {
			depth = 290 // fastjson counts a value in the innermost array as a level
		}
		lim := Limits{Depth: min(max(0, depth), 290), Values: max(0, values)}
		var d Document
		v, err := d.Parse(text, lim)
		require.Equal(t, Check(text, lim), err)
		if err == nil {
			same(t, fastjson.MustParseBytes(text), v)
		}
		want, wrong := fastjson.ParseBytes(text)
		v, ok := d.ParseLenient(text)
		if sign := string(bytes.TrimSpace(text)); sign == "+" || sign == "-" {
			return // a number to fastjson
		}
		require.Equal(t, wrong == nil, ok, "fastjson: %v", wrong)
		if ok && !bytes.Contains(text, []byte(`\`)) { // fastjson keeps broken escapes
			same(t, want, v)
		}
	})
}

// same fails when v is not what want is.
func same(t *testing.T, want *fastjson.Value, v Value) {
	require.Equal(t, string(AppendValue(nil, want)), string(v.Append(nil)))
	switch want.Type() {
	case fastjson.TypeObject:
		o := want.GetObject()
		require.Equal(t, Object, v.Kind())
		require.Equal(t, o.Len(), v.Len())
		m := v.First()
		o.Visit(func(key []byte, want *fastjson.Value) {
			require.Equal(t, string(key), string(m.Key()))
			same(t, want, m)
			m = m.Next()
		})
		require.False(t, m.Exists())
	case fastjson.TypeArray:
		require.Equal(t, Array, v.Kind())
		require.Equal(t, len(want.GetArray()), v.Len())
		e := v.First()
		for _, want := range want.GetArray() {
			same(t, want, e)
			e = e.Next()
		}
		require.False(t, e.Exists())
	case fastjson.TypeString:
		require.Equal(t, string(want.GetStringBytes()), string(v.Text()))
	case fastjson.TypeNumber:
		require.Equal(t, string(want.MarshalTo(nil)), string(v.Raw()))
		n, _ := v.Int()
		require.Equal(t, want.GetInt64(), n)
	default:
		require.Equal(t, want.Type() == fastjson.TypeNull, v.IsNull())
		require.Equal(t, want.Type() == fastjson.TypeTrue, v.Kind() == True)
	}
}

func TestAbsentValues(t *testing.T) {
	var d Document
	v, err := d.Parse([]byte(`{"a":{"b":[1,"x"]},"n":null}`), Limits{})
	require.NoError(t, err)
	require.Equal(t, "x", string(v.Get("a").Get("b").First().Next().Text()))
	for _, absent := range []Value{{}, v.Get("c"), v.Get("n").Get("x"), v.Get("a").Get("b").Get("x"), v.As(Array), v.Get("n").First(), v.Get("a").Next().Next()} {
		require.False(t, absent.Exists())
		require.True(t, absent.IsNull())
		require.Equal(t, Absent, absent.Kind())
		require.Zero(t, absent.Len())
		require.Nil(t, absent.Text())
		require.Nil(t, absent.Raw())
		_, ok := absent.Int()
		require.False(t, ok)
		_, ok = absent.Float()
		require.False(t, ok)
		require.False(t, absent.First().Exists())
	}
	require.True(t, v.Get("n").Exists())
	require.True(t, v.Get("n").IsNull())
	var syntax *SyntaxError
	_, err = d.Parse([]byte(`{"a":1`), Limits{})
	require.True(t, errors.As(err, &syntax))
}

func BenchmarkDocument(b *testing.B) {
	for name, doc := range map[string]string{
		"request": `{"model":"/mnt/models","input":[` + strings.Repeat(`{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the capital of France? Answer in one sentence."}]},`, 15) + `{}]}`,
		"answer":  `{"id":"chatcmpl-1","object":"chat.completion","created":1764123456,"model":"/mnt/models","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris.","refusal":null,"annotations":null,"audio":null,"function_call":null,"tool_calls":[],"reasoning_content":null},"logprobs":null,"finish_reason":"stop","stop_reason":null}],"service_tier":null,"system_fingerprint":null,"usage":{"prompt_tokens":12,"total_tokens":19,"completion_tokens":7,"prompt_tokens_details":null},"prompt_logprobs":null}`,
	} {
		b.Run(name, func(b *testing.B) {
			text := []byte(doc)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var d Document
			for b.Loop() {
				if _, err := d.Parse(text, Limits{Depth: 64, Values: 1000000}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
