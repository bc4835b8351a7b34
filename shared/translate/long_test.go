package translate_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/jsontext"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// longTexts are the insides of JSON strings, by what is in them.
var longTexts = map[string]string{
	"words":     "word ",
	"quotes":    `\"`,
	"lines":     `a\n`,
	"code":      `if x[\"key\"] == nil {\n\treturn err\n}\n`,
	"backslash": `\\`,
	"unicode":   `\u00e9`,
	"pairs":     `\ud83d\ude00`,
	"umlauts":   "é",
	"base64":    "QUJD",
	"json":      `{\"a\":[1,2,{\"b\":\"c\\\"d\"}]},`,
}

// longPlaces are requests with a long text at @.
var longPlaces = map[string]string{
	"input":        `{"model":"m","input":"@"}`,
	"part":         `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"@"}]}]}`,
	"instructions": `{"model":"m","instructions":"@","input":"a"}`,
	"late system":  `{"model":"m","input":[{"role":"system","content":"a"},{"role":"user","content":"a"},{"role":"system","content":"@"}]}`,
	"assistant":    `{"model":"m","input":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"output_text","text":"@"}]},{"role":"user","content":"a"}]}`,
	"arguments":    `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"}{\"}","x":"@"},{"type":"function_call_output","call_id":"c","output":"@"}]}`,
	"reasoning":    `{"model":"m","input":[{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"@"}]},{"role":"assistant","content":"a"},{"role":"user","content":"a"}]}`,
	"custom":       `{"model":"m","input":[{"type":"custom_tool_call","call_id":"c","name":"f","input":"@"},{"type":"custom_tool_call_output","call_id":"c","output":"a"}]}`,
	"blob":         `{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"@"},{"role":"user","content":"a"}]}`,
	"description":  `{"model":"m","input":"a","tools":[{"type":"function","name":"f","description":"@","parameters":{"type":"object"}}]}`,
	"schema":       `{"model":"m","input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","description":"@"}}]}`,
	"unknown":      `{"model":"m","input":"a","x":"@"}`,
	"unknown item": `{"model":"m","input":"a","x":{"b":["@"]}}`,
	"image":        `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"@"}]}]}`,
	"file":         `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a.txt","file_data":"@"}]}]}`,
	"type":         `{"model":"m","input":[{"role":"user","content":[{"type":"@"}]}]}`,
	"metadata":     `{"model":"m","input":"a","metadata":{"a":"@"}}`,
	"json schema":  `{"model":"m","input":"a","text":{"format":{"type":"json_schema","name":"a","schema":{"description":"@"}}}}`,
	"error":        `{"model":"@","input":[]}`,
}

// arrived is the check of a body that has come in pieces.
func arrived(t testing.TB, body []byte) *jsontext.Checker {
	c := &jsontext.Checker{Limits: benchOptions.Limits.Text()}
	for at := 0; at < len(body); at += 16 << 10 {
		require.True(t, c.Write(body[at:min(at+16<<10, len(body))]))
	}
	require.True(t, c.Valid())
	return c
}

// A request whose long strings are known becomes what it becomes when they are not.
func TestWhereLongStringsEndChangesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	tr := translate.New(benchOptions)
	many := `,"pad":[` + strings.Repeat("0,", 5000) + `0],"model"`
	for where, request := range longPlaces {
		for what, text := range longTexts {
			for _, more := range []string{"", many} {
				doc := strings.ReplaceAll(request, "@", strings.Repeat(text, jsontext.LongString/len(text)+1))
				if more != "" {
					doc = `{"own":{"a":"` + strings.Repeat(text, jsontext.LongString) + `","b":[{}, "` + strings.Repeat(text, jsontext.LongString) + `"]}` + strings.Replace(doc, `{"model"`, more, 1)
				}
				body := []byte(doc)
				check := arrived(t, body)
				require.NotEmpty(t, check.Long(), where)
				want, turn, err := tr.Checked(nil, body, check.Values(), corpus.ID, corpus.Created)
				require.True(t, string(body) == doc, "the body is as it was")
				got, long, failed := tr.For([16]byte{}).Arrived(nil, body, check, corpus.ID, corpus.Created)
				clear(body) // which is nobody's any more
				require.Equal(t, err, failed, "%s of %s", where, what)
				require.True(t, string(want) == string(got), "%s of %s", where, what)
				if err != nil {
					continue
				}
				require.True(t, string(turn.Failed(nil, nil)) == string(long.Failed(nil, nil)), "%s of %s", where, what)
			}
		}
	}
}

// What a model server has said is escaped anew however long it is: nobody has checked it.
func TestALongTextOfAnAnswerIsEscapedAnew(t *testing.T) {
	long := strings.Repeat("word ", jsontext.LongString/4)
	tr := translate.New(benchOptions)
	for _, said := range []string{long + "\n", long + `\ud800`, long + `\x`, long} {
		arguments := `{"commands":["a"],"command":["a"],"env":{"A":"` + said + `"},"type":"update_file","path":"a","diff":"a","other":"` + said + `"}`
		for _, tool := range []string{`"type":"shell"`, `"type":"local_shell"`, `"type":"apply_patch"`, `"type":"tool_search","execution":"client"`, `"type":"function","name":"f"`} {
			name := strings.Split(tool, `"`)[3]
			for _, form := range []string{string(jsontext.AppendString(nil, arguments)), arguments} {
				if name == "function" {
					name = "f"
				}
				_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","tools":[{`+tool+`}]}`), "x", 1)
				require.Nil(t, err)
				answer := `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"` + name + `","arguments":` + form + `}}]},"finish_reason":"tool_calls"}]}`
				resource, err := turn.Response(nil, []byte(answer), 1)
				require.Nil(t, err, tool)
				require.NoError(t, jsontext.Check(resource, jsontext.Limits{}), tool)
				if name == "f" && form == arguments {
					inner := fastjson.MustParseBytes(resource).GetStringBytes("output", "0", "arguments")
					require.NoError(t, jsontext.Check(inner, jsontext.Limits{}), tool)
				}
			}
		}
	}
}

// An answer of long texts is what one is that nobody knows them of, and what a model server
// says has no names that stand for them.
func TestTheLongTextsOfAnAnswerAreNotParsed(t *testing.T) {
	tr := translate.New(translate.Options{})
	respond := func(stream bool, answer string) (said []byte, allocated uint64) {
		_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":`+strconv.FormatBool(stream)+`}`), "x", 1)
		require.Nil(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if stream {
			var failed error
			said, failed = turn.Stream().Write(make([]byte, 0, 8*len(answer)), []byte(answer), 1)
			require.NoError(t, failed)
		} else {
			said, err = turn.Response(make([]byte, 0, 2*len(answer)), []byte(answer), 1)
			require.Nil(t, err)
		}
		runtime.ReadMemStats(&after)
		return said, after.TotalAlloc - before.TotalAlloc
	}
	for what, text := range longTexts {
		long := strings.Repeat(text, (1<<20)/len(text))
		for _, stream := range []bool{false, true} {
			answer := func(content string) string {
				return `{"choices":[{"message":{"reasoning":"` + content + `","content":"@` + content + `"},"finish_reason":"stop"}]}`
			}
			said, allocated := respond(stream, answer(long))
			short, _ := respond(stream, answer("a text"))
			// But for the one text both are the same.
			require.True(t, strings.ReplaceAll(string(short), "a text", long) == string(said), what)
			copies := uint64(16) // 18 where the parser sees them
			if stream {
				copies = 28 // 30
			}
			require.True(t, raceEnabled || allocated < copies*uint64(len(long)), "%s, stream %v", what, stream)
		}
	}
	for _, other := range []string{"\xff0\xff", "\xff", "\xff1\xff"} {
		said, _ := respond(false, `{"choices":[{"message":{"content":"`+strings.Repeat("word ", jsontext.LongString/4)+`","refusal":"`+other+`"},"finish_reason":"stop"}]}`)
		require.Contains(t, string(said), "\ufffd")
		require.Equal(t, jsontext.LongString/4, strings.Count(string(said), "word "), "it is said once")
	}
}

// The long arguments of a call are copied no more often than they are told: that they are
// right, and how many escapes they have, is known since they came.
func TestLongArgumentsAreNotCopiedToBeLookedAt(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector drops what is pooled")
	}
	tr := translate.New(benchOptions)
	for what, one := range map[string]string{"words": "word ", "quotes": `\\\"`} {
		text := `{\"a\":\"` + strings.Repeat(one, (1<<20)/len(one)) + `\"}`
		answer := []byte(`{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"` + text + `"}}]},"finish_reason":"tool_calls"}]}`)
		_, turn, failed := tr.Request(nil, []byte(`{"model":"m","input":"hi"}`), "x", 1)
		require.Nil(t, failed)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		said, failed := turn.Response(make([]byte, 0, 2*len(answer)), answer, 1)
		runtime.ReadMemStats(&after)
		require.Nil(t, failed)
		require.Contains(t, string(said), text)
		require.Less(t, 2*(after.TotalAlloc-before.TotalAlloc), uint64(15*len(text)), "%s: it was 8 times the text, and is 7", what)
	}
}

// The events of a long answer that is no stream are written into room that is enough: it is
// made once.
func TestALongAnswerToldAsAStreamHasRoom(t *testing.T) {
	tr := translate.New(translate.Options{})
	text := strings.Repeat("word ", 200_000)
	for name, message := range map[string]string{
		"a text":                     `"content":"` + text + `"`,
		"a thought":                  `"reasoning":"` + text + `"`,
		"a thought, a text and call": `"reasoning":"` + text + `","content":"` + text + `","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]`,
	} {
		t.Run(name, func(t *testing.T) {
			_, turn, failed := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), "x", 1)
			require.Nil(t, failed)
			answer := []byte(`{"choices":[{"message":{` + message + `},"finish_reason":"stop"}]}`)
			said, err := turn.Stream().Write(nil, answer, 1)
			require.NoError(t, err)
			require.Less(t, cap(said), len(said)+32<<10, "it has grown by the way")
		})
	}
}

func BenchmarkLong(b *testing.B) {
	const size = 8 << 20
	for where, request := range longPlaces {
		for what, text := range longTexts {
			b.Run(where+"/"+what, func(b *testing.B) {
				all := strings.Replace(request, "@", strings.Repeat(text, size/len(text)), 1)
				body := []byte(all)
				check := arrived(b, body)
				tr := translate.New(benchOptions)
				dst := make([]byte, 0, len(body)*5/4)
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					copy(body, all)
					_, turn, err := tr.For([16]byte{}).Arrived(dst, body, check, corpus.ID, corpus.Created)
					if err == nil {
						turn.Free()
					}
				}
			})
		}
	}
}
