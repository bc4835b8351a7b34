package translate_test

import (
	"encoding/base64"
	"strconv"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// Text that is translated at once has a bound. What comes little by little has none, nor has
// what is told once.
func TestTextThatComesAtOnceHasABound(t *testing.T) {
	const limit = 64 << 10
	long, short := strings.Repeat("word ", limit/4), strings.Repeat("word ", limit/20)
	document := func(message, more string) string {
		return `{"choices":[{"index":0,"message":{"role":"assistant",` + message + `},` + more + `"finish_reason":"stop"}]}`
	}
	deltas := func(n int, delta, more string) string {
		return strings.Repeat(`data: {"choices":[{"index":0,"delta":{`+delta+`}`+more+`}]}`+"\n\n", n) +
			`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"
	}
	logprobs := func(n int) string {
		return `"logprobs":{"content":[` + strings.TrimSuffix(strings.Repeat(`{"token":"a","logprob":-0.5,"bytes":[97],"top_logprobs":[]},`, n), ",") + `]},`
	}
	object := `"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":{"a":"` + long + `"}}}]`
	calls := func(n int) string {
		return `"tool_calls":[` + strings.TrimSuffix(strings.Repeat(`{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"`+short+`\"}"}},`, n), ",") + `]`
	}
	for name, c := range map[string]struct {
		whole  bool
		answer string
		failed bool
	}{
		"a long text":                    {false, deltas(20, `"content":"`+short+`"`, ""), false},
		"long arguments":                 {false, deltas(20, `"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"`+short+`"}}]`, ""), false},
		"texts and thoughts":             {false, strings.Repeat(`data: {"choices":[{"delta":{"reasoning":"`+short+`"}}]}`+"\n\n"+`data: {"choices":[{"delta":{"content":"`+short+`"}}]}`+"\n\n", 10) + deltas(1, `"content":"a"`, ""), false},
		"a whole answer with calls":      {true, document(calls(3), ""), false},
		"a whole answer with long calls": {true, document(calls(20), ""), true},
		"an event":                       {false, deltas(1, `"content":"`+short+`"`, ""), false},
		"a long event":                   {false, deltas(1, `"content":"`+short+short+short+`"`, ""), true},
		"a long event of a thought":      {false, deltas(1, `"reasoning":"`+short+short+short+`"`, ""), true},
		"an event with logprobs":         {false, deltas(1, `"content":"`+short+`"`, `,`+strings.TrimSuffix(logprobs(2_000), ",")), false},
		"a long event that nobody reads": {false, deltas(1, `"content":"a"`, `,"x":["`+long+`"]`), false},
		"a document":                     {false, document(`"content":"`+short+`"`, ""), false},
		"a long document":                {false, document(`"content":"`+long+`"`, ""), true},
		"a long event like the last":     {false, `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n" + deltas(1, `"content":"`+short+short+short+`"`, ""), true},
		"a document with some logprobs":  {false, document(`"content":"a"`, logprobs(100)), false},
		"a document with many logprobs":  {false, document(`"content":"a"`, logprobs(2_000)), true},
		"a whole answer with as many":    {true, document(`"content":"a"`, logprobs(2_000)), false},
		"a long whole answer":            {true, document(`"content":"`+long+`"`, ""), false},
		"a whole answer with an object":  {true, document(object, ""), true},
		"an event with a long object":    {false, deltas(1, object, ""), true},
		"a document with a long refusal": {false, document(`"refusal":"`+long+`"`, ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			tr := translate.New(translate.Options{TextBytes: limit, EventBytes: 1 << 20})
			_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":`+strconv.FormatBool(!c.whole)+`,"top_logprobs":1,"include":["message.output_text.logprobs"]}`), corpus.ID, corpus.Created)
			require.Nil(t, err)
			if c.whole {
				_, failed := turn.Response(nil, []byte(c.answer), corpus.Ended)
				require.Equal(t, c.failed, failed != nil)
				return
			}
			s := turn.Stream()
			var out []byte
			var e error // where nothing has been told yet
			for answer := []byte(c.answer); len(answer) > 0 && e == nil; {
				n := min(len(answer), 4<<10)
				out, e = s.Write(out, answer[:n], corpus.Ended)
				answer = answer[n:]
			}
			require.Equal(t, c.failed, e != nil || strings.Contains(string(out), responses.AnswerTooLarge().Message))
			require.Equal(t, !c.failed, strings.Contains(string(out), "event: response.completed"))
		})
	}
}

// What a request has decoded, or written anew, at once.
func TestTextOfARequestThatIsWrittenAnewHasABound(t *testing.T) {
	tr := translate.New(translate.Options{TextBytes: 64 << 10, Limits: responses.Limits{Escapes: 10_000}})
	file := func(text string) string {
		return `{"type":"input_file","filename":"a.txt","file_data":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}`
	}
	call := func(text string) string {
		return `{"type":"input_text","text":"a"}]},{"type":"shell_call","call_id":"c","action":{"commands":["` + text + `"]}},{"type":"shell_call_output","call_id":"c","output":[]},{"role":"user","content":[{"type":"input_text","text":"a"}`
	}
	said := func(typ, member, text string) string {
		return `{"type":"input_text","text":"a"}]},{"type":"` + typ + `","call_id":"c","name":"f","` + member + `":"` + text + `"},{"type":"` + typ + `_output","call_id":"c","output":"a"},{"role":"user","content":[{"type":"input_text","text":"a"}`
	}
	both := func(one, other string) string {
		return one + "]}," + strings.TrimPrefix(other, `{"type":"input_text","text":"a"}]},`)
	}
	half := strings.Repeat("word ", 8_000)
	for name, c := range map[string]struct{ parts, param string }{
		"one":               {file(half), ""},
		"two in all":        {file(half) + "," + file(half), "input[0].content[1].file_data"},
		"one long":          {file(half + half), "input[0].content[0].file_data"},
		"none":              {file("%PDF-" + half + half), "input[0].content[0].file_data"},
		"an action":         {call(half), ""},
		"a long action":     {call(half + half), "input[1].action"},
		"one of many lines": {call(strings.Repeat(`a\n`, 4_000)), ""},
		"one of too many":   {call(strings.Repeat(`a\n`, 6_000)), "input[1].action"},
		"arguments":         {said("function_call", "arguments", half), ""},
		"long arguments":    {said("function_call", "arguments", `{\"a\":\"`+half+half+`\"}`), "input[1].arguments"},
		"long text instead": {said("function_call", "arguments", half+half), "input[1].arguments"},
		"a long input":      {said("custom_tool_call", "input", half+half), "input[1].input"},
		"of all calls":      {both(said("function_call", "arguments", half), said("custom_tool_call", "input", half)), "input[4].input"},
		"and of actions":    {both(said("function_call", "arguments", half), call(half)), "input[4].action"},
		"many escapes":      {said("function_call", "arguments", `{\"a\":\"`+strings.Repeat(`\\n`, 4_900)+`\"}`), ""},
		"too many escapes":  {said("function_call", "arguments", `{\"a\":\"`+strings.Repeat(`\\n`, 5_000)+`\"}`), "input[1].arguments"},
		"of all calls too":  {both(said("function_call", "arguments", strings.Repeat(`\n`, 2_500)), call(strings.Repeat(`a\n`, 2_501))), "input[4].action"},
		"beside files":      {file(half) + "," + said("function_call", "arguments", half), ""},
		"a text, no file":   {`{"type":"input_text","text":"` + half + half + half + `"}`, ""},
		"another and a few": {file(half) + "," + file("a") + "," + file("b"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := tr.Request(nil, []byte(`{"model":"m","input":[{"role":"user","content":[`+c.parts+`]}]}`), corpus.ID, corpus.Created)
			if c.param == "" {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, 400, err.Status)
			require.Equal(t, c.param, err.Param)
			if name == "none" {
				require.Equal(t, "unsupported_file", err.Code)
				return
			}
			if strings.Contains(name, "too") {
				require.Contains(t, err.Message, "more escapes than the limit of 5000")
				return
			}
			require.Contains(t, err.Message, "longer than the limit of 65536 bytes")
		})
	}
}

// A text of which a character is broken is written anew, which a very long one is not.
func TestAVeryLongTextIsNotMended(t *testing.T) {
	for n, mended := range map[int]bool{8<<20 - 1: true, 8 << 20: false} {
		_, turn, err := translate.New(translate.Options{}).Request(nil, []byte(`{"model":"m","input":"hi"}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		out, failed := turn.Response(nil, []byte(`{"choices":[{"message":{"content":"`+strings.Repeat("a", n)+"\xff"+`"},"finish_reason":"stop"}]}`), corpus.Ended)
		require.Equal(t, mended, failed == nil)
		require.Equal(t, mended, strings.Contains(string(out), "a\ufffd"))
	}
}

// A stream repeats three times what a response has of its request. That has a bound, and the
// error says what of it is long.
func TestWhatAStreamRepeatsHasABound(t *testing.T) {
	long := strings.Repeat("word ", 20_000)
	tr := translate.New(translate.Options{TextBytes: 64 << 10})
	for name, c := range map[string]struct{ members, param string }{
		"instructions": {`"instructions":"` + long + `"`, "instructions"},
		"tools":        {`"tools":[{"type":"function","name":"f","description":"` + long + `"}]`, "tools"},
		"a schema":     {`"text":{"format":{"type":"json_schema","name":"s","schema":{"description":"` + long + `"}}}`, "text"},
		"its input":    {`"metadata":{"a":"b"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, stream := range []bool{false, true} {
				body := `{"model":"m","input":"` + long + `","stream":` + strconv.FormatBool(stream) + `,` + c.members + `}`
				_, _, err := tr.Request(nil, []byte(body), corpus.ID, corpus.Created)
				if !stream || c.param == "" {
					require.Nil(t, err)
					continue
				}
				require.NotNil(t, err)
				require.Equal(t, c.param, err.Param)
				require.Contains(t, err.Message, "65536 bytes")
			}
		})
	}
}

// The calls of tools that the client runs are read and written anew: all of an answer have half of
// the bound, and one budget of values.
func TestCallsOfClientsToolsHaveABound(t *testing.T) {
	tr := translate.New(translate.Options{TextBytes: 64 << 10, Limits: responses.Limits{Values: 1_000}})
	list := func(n int) string { return `{\"a\":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}` }
	calls := func(n int, arguments string) string {
		call := `{"id":"c","type":"function","function":{"name":"tool_search","arguments":"` + arguments + `"}}`
		return `{"choices":[{"message":{"tool_calls":[` + strings.TrimSuffix(strings.Repeat(call+",", n), ",") + `]},"finish_reason":"tool_calls"}]}`
	}
	answer := func(answer string) (string, *responses.Error) {
		_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","tools":[{"type":"tool_search","execution":"client"}]}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		out, failed := turn.Response(nil, []byte(answer), corpus.Ended)
		return string(out), failed
	}
	out, failed := answer(calls(3, list(450)))
	require.Nil(t, failed)
	require.Equal(t, 2, strings.Count(out, `"arguments":{"a":[1,`), "beyond the budget a call is not looked into")
	require.Equal(t, 1, strings.Count(out, `"arguments":"{\"a\":[1,`))
	out, failed = answer(calls(60, list(5)))
	require.Nil(t, failed)
	require.Equal(t, 60, strings.Count(out, `"arguments":{"a":[1,`), "few values count for nothing")
	_, failed = answer(calls(18, list(900)))
	require.Nil(t, failed)
	_, failed = answer(calls(19, list(900)))
	require.Equal(t, responses.AnswerTooLarge(), failed)
	_, failed = answer(strings.ReplaceAll(calls(19, list(900)), "tool_search", "f"))
	require.Nil(t, failed, "a function's counts once")
}
