package translate_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/thought"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// The text of a call's arguments is no part of the answer's JSON: what is parsed of it has
// its own bound.
func TestCallsOfTooManyValuesAreNotParsed(t *testing.T) {
	tr := translate.New(translate.Options{Limits: responses.Limits{Values: 10_000}})
	many := `{"commands":["a"],"x":[` + strings.TrimSuffix(strings.Repeat(`0,`, 20_000), ",") + `]}`
	for name, c := range map[string]struct{ tool, arguments, item string }{
		"a shell's":                    {`"type":"shell"`, many, ""},
		"a search's":                   {`"type":"tool_search","execution":"client"`, many, `"arguments":"{`},
		"nan in a long one":            {`"type":"shell"`, strings.Replace(many, "0", "nan", 1), ""},
		"a shell's with a long text":   {`"type":"shell"`, `{"commands":["` + strings.Repeat("a,", 20_000) + `"]}`, `"commands":["a,`},
		"a shell's within the limit":   {`"type":"shell"`, many[:10_000] + `0]}`, `"commands":["a"]`},
		"a search's, within the limit": {`"type":"tool_search","execution":"client"`, many[:10_000] + `0]}`, `"arguments":{"commands":`},
	} {
		t.Run(name, func(t *testing.T) {
			called := strings.Trim(strings.Split(c.tool, ",")[0][len(`"type":`):], `"`)
			call := `"tool_calls":[{"index":0,"id":"c","function":{"name":"` + called + `","arguments":"` + strings.ReplaceAll(c.arguments, `"`, `\"`) + `"}}]}`
			request := func(stream string) *translate.Turn {
				_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":`+stream+`,"tools":[{`+c.tool+`}]}`), corpus.ID, corpus.Created)
				require.Nil(t, err)
				return turn
			}
			whole, failed := request("false").Response(nil, []byte(`{"choices":[{"message":{`+call+`,"finish_reason":"tool_calls"}]}`), corpus.Ended)
			events, err := request("true").Stream().Write(nil, []byte(`data: {"choices":[{"delta":{`+call+`,"finish_reason":"tool_calls"}]}`+"\n\ndata: [DONE]\n\n"), corpus.Ended)
			require.NoError(t, err)
			if c.item == "" {
				require.NotNil(t, failed)
				require.Contains(t, failed.Message, "do not say what to do")
				require.Contains(t, string(events), "do not say what to do")
				return
			}
			require.Nil(t, failed)
			require.Contains(t, string(whole), c.item)
			require.Contains(t, string(events), c.item)
		})
	}
}

// Each field that is not known is kept with its name.
func TestARequestHasAThousandFieldsThatAreNotKnown(t *testing.T) {
	tr := translate.New(translate.Options{})
	for n, want := range map[int]string{1000: "", 1001: `x1000 is one of more than 1000 parameters that are not known`} {
		body := `{"model":"m","input":"hi"`
		for i := range n {
			body += `,"x` + strconv.Itoa(i) + `":1`
		}
		_, _, err := tr.Request(nil, []byte(body+`}`), corpus.ID, corpus.Created)
		if want == "" {
			require.Nil(t, err)
		} else {
			require.EqualError(t, err, want)
			require.Equal(t, 400, err.Status)
			require.Equal(t, "limit_exceeded", err.Code)
		}
	}
}

// 7,000 calls of an answer held a worker for 53 ms, and each is looked for among all.
func TestAnAnswerOfMoreCallsThanAnyIsNone(t *testing.T) {
	tr := translate.New(translate.Options{})
	for n, failure := range map[int]string{2048: "", 2049: "more tool calls than any answer has"} {
		var whole, events []string
		for i := range n {
			call := `{"index":` + strconv.Itoa(i) + `,"id":"c` + strconv.Itoa(i) + `","function":{"name":"f","arguments":"{\"a\":1}"}}`
			whole = append(whole, call)
			events = append(events, `data: {"choices":[{"delta":{"tool_calls":[`+call+`]}}]}`+"\n\n")
		}
		turn := func(stream string) *translate.Turn {
			_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":`+stream+`}`), corpus.ID, corpus.Created)
			require.Nil(t, err)
			return turn
		}
		_, err := turn("false").Response(nil, []byte(`{"choices":[{"message":{"tool_calls":[`+strings.Join(whole, ",")+`]},"finish_reason":"tool_calls"}]}`), corpus.Ended)
		said, failed := turn("true").Stream().Write(nil, []byte(strings.Join(events, "")+`data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`+"\n\ndata: [DONE]\n\n"), corpus.Ended)
		require.NoError(t, failed)
		if failure == "" {
			require.Nil(t, err)
			require.Contains(t, string(said), "event: response.completed")
		} else {
			require.ErrorContains(t, err, failure)
			require.Contains(t, string(said), failure)
		}
	}
}

// An error in the place of events is read as far as one in the place of an answer.
func TestALongErrorLineIsNoError(t *testing.T) {
	tr := translate.New(translate.Options{})
	for line, want := range map[string]string{
		`error: {"code":400,"message":"too long"}`:                                           "too long",
		`error: {"message":"too long","x":[` + strings.Repeat("0,", 64<<10) + `0]}`:          "",
		`error: {"message":"too long","x":"` + strings.Repeat("a", 32<<10) + `","code":400}`: "too long",
	} {
		_, turn, failed := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
		require.Nil(t, failed)
		_, err := turn.Stream().Write(nil, []byte(line+"\n\n"), corpus.Ended)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, want)
		}
	}
}

// What a model server makes of a call's arguments is read once, however its texts and its
// pieces are: each of these took seconds, or minutes.
func TestNoArgumentsAreReadAgainAndAgain(t *testing.T) {
	numbered := func(before, after string) (texts string) {
		for i := range 500 {
			texts += before + strconv.Itoa(i) + after
		}
		return texts
	}
	long := `{\"a\":\"` + strings.Repeat("x", 4<<20)
	for name, pieces := range map[string][]string{
		"texts that begin alike":  {numbered(`{\"a\":\"`+strings.Repeat("x", 8000), `\"}`)},
		"texts again and again":   {numbered(`{\"a\":`, `}`) + strings.Repeat(`{\"a\":499}`, 200_000)},
		"empty ones and blanks":   {strings.Repeat("{}", 4000) + strings.Repeat(" ", 4<<20)},
		"blanks in small pieces":  append([]string{strings.Repeat(" ", 4<<20)}, slices.Repeat([]string{" "}, 5000)...),
		"a brace, and blanks":     append([]string{"{" + strings.Repeat(" ", 4<<20)}, slices.Repeat([]string{" "}, 5000)...),
		"all of them once more":   append([]string{long + `\"}`, long}, slices.Repeat([]string{"x"}, 5000)...),
		"broken ones once more":   append([]string{long + `\"}`, long[:4<<20] + `\"x}`}, slices.Repeat([]string{"x"}, 5000)...),
		"a long number once more": append([]string{long + `\"}`, strings.Repeat("1", 4<<20) + "e"}, slices.Repeat([]string{"x"}, 5000)...),
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			_, turn, err := translate.New(translate.Options{EventBytes: 16 << 20}).Request(nil, []byte(`{"model":"m","input":"hi","stream":true,"tools":[{"type":"function","name":"f"}]}`), corpus.ID, corpus.Created)
			require.Nil(t, err)
			s := turn.Stream()
			s.Start(nil)
			more := `"id":"c","function":{"name":"f",`
			for i, piece := range pieces {
				after := ""
				if i == 0 && len(pieces) > 1 && strings.HasSuffix(piece, "}") {
					after = `data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n" // ends the call
				}
				_, e := s.Write(nil, []byte(`data: {"choices":[{"delta":{"tool_calls":[{"index":0,`+more+`"arguments":"`+piece+`"}}]}}]}`+"\n\n"+after), corpus.Ended)
				require.NoError(t, e)
				more = `"id":"c","function":{`
			}
			s.End(nil, nil, corpus.Ended)
			require.Less(t, time.Since(began), 5*time.Second)
		})
	}
}

// What is broken in an answer is mended, and what is escaped twice is decoded, as far as
// an honest one may be so.
func TestAnswersHaveNoMoreThanSoMuchToMend(t *testing.T) {
	call := func(arguments string) string {
		return `"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":` + arguments + `}}]`
	}
	for name, c := range map[string]struct{ message, problem string }{
		"broken characters":                {`"content":"` + strings.Repeat("a\xff", 100_000) + `"`, ""},
		"too many":                         {`"content":"` + strings.Repeat("a\xff", 200_000) + `"`, "more broken characters"},
		"too many in a thought":            {`"content":"a","reasoning":"` + strings.Repeat(`\ud800`, 200_000) + `"`, "more broken characters"},
		"too many in all":                  {`"content":"` + strings.Repeat("\xff", 100_000) + `","refusal":"` + strings.Repeat("\n", 100_000) + `"`, "more broken characters"},
		"too many in arguments":            {call(`"` + strings.Repeat("\xff", 200_000) + `"`), "more broken characters"},
		"escapes in arguments":             {call(`"{\"a\":\"` + strings.Repeat(`\\n`, 4000) + `\"}"`), ""},
		"too many escapes in arguments":    {call(`"{\"a\":\"` + strings.Repeat(`\\n`, 11_000) + `\"}"`), "more escapes than the limit"},
		"too many, and a broken one":       {call(`"` + "\xff" + strings.Repeat(`\n`, 11_000) + `"`), "more escapes than the limit"},
		"too many behind a broken escape":  {call(`"\x` + strings.Repeat(`\n`, 11_000) + `"`), "more escapes than the limit"},
		"too many in an object":            {call(`{"a":"` + strings.Repeat(`\n`, 11_000) + `"}`), "more escapes than the limit"},
		"letters as escapes in an object":  {call(`{"a":"` + strings.Repeat(`\u0061`, 4_000) + `"}`), ""},
		"too many letters as escapes":      {call(`{"a":"` + strings.Repeat(`\u0061`, 25_000) + `"}`), "more escapes than the limit"},
		"escapes in a text":                {`"content":"` + strings.Repeat(`\n`, 200_000) + `"`, ""},
		"too many in short texts":          {`"content":"a","x":"` + strings.Repeat(`\n`, 3_000) + `","y":"` + strings.Repeat(`\n`, 3_000) + `","z":"` + strings.Repeat("z", 16<<10) + `"`, "more escapes than the limit in names and short strings"},
		"too many in a name":               {`"content":"a","` + strings.Repeat(`\n`, 6_000) + `":"` + strings.Repeat("z", 16<<10) + `"`, "more escapes than the limit in names and short strings"},
		"too many in a long name":          {`"content":"a","` + strings.Repeat(`\n`, 60_000) + `":1`, "more escapes than the limit in names and short strings"},
		"a number that is longer than any": {`"content":"a","x":` + strings.Repeat("1", 17<<10), "a number of more than 1 KiB"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := translate.New(translate.Options{Limits: responses.Limits{Escapes: 10_000}, EventBytes: 4 << 20})
			request := func(stream string) *translate.Turn {
				_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":`+stream+`}`), corpus.ID, corpus.Created)
				require.Nil(t, err)
				return turn
			}
			_, failed := request("false").Response(nil, []byte(`{"choices":[{"message":{`+c.message+`},"finish_reason":"stop"}]}`), corpus.Ended)
			message := strings.ReplaceAll(c.message, "\n", "\x01") // a line end would end the event's line
			events, err := request("true").Stream().Write(nil, []byte(`data: {"choices":[{"delta":{`+message+`},"finish_reason":"stop"}]}`+"\n\ndata: [DONE]\n\n"), corpus.Ended)
			if c.problem == "" {
				require.NoError(t, err)
				require.Nil(t, failed)
				require.NotContains(t, string(events), "response.failed")
				return
			}
			if err != nil { // nothing has been told yet
				events = []byte(err.Error())
			}
			require.NotNil(t, failed)
			require.Contains(t, failed.Message, c.problem)
			require.Contains(t, string(events), c.problem)
		})
	}
}

// What is decoded of a request has bounds of its own, which no conversation meets.
func TestWhatIsDecodedOfARequestHasBounds(t *testing.T) {
	tr := translate.New(translate.Options{ReasoningField: "reasoning", Limits: responses.Limits{Escapes: 10_000}})
	file := func(text string) string {
		return `{"role":"user","content":[{"type":"input_file","filename":"a.txt","file_data":"` + base64.StdEncoding.EncodeToString([]byte(text)) + `"}]}`
	}
	thoughtOf := func(text string) string {
		return `{"type":"reasoning","summary":[],"encrypted_content":"` + string(thought.AppendCopy(nil, []byte(text))) + `"},{"role":"user","content":"a"}`
	}
	call := func(arguments string) string {
		return `{"type":"function_call","call_id":"c","name":"f","arguments":"` + strings.ReplaceAll(arguments, `"`, `\"`) + `"},{"type":"function_call_output","call_id":"c","output":"a"}`
	}
	numbers := func(n int) string { return `{"a":[` + strings.Repeat("0,", n-1) + `0]}` }
	for name, c := range map[string]struct{ items, want, problem string }{
		"a file of lines":          {file(strings.Repeat("a\n", 9_000)), `a\na\n`, ""},
		"one of too many":          {file(strings.Repeat("a\n", 11_000)), "", "more characters to escape than the limit of 10000"},
		"two that have too many":   {file(strings.Repeat("a\n", 6_000)) + "," + file(strings.Repeat("a\n", 6_000)), "", "more characters to escape"},
		"a thought":                {thoughtOf(strings.Repeat("a\n", 9_000) + "\x00b"), `a\n\u0000b`, ""},
		"one of too many escapes":  {thoughtOf(strings.Repeat("a\n", 11_000)), "", "more characters to escape"},
		"a long thought":           {thoughtOf(strings.Repeat("word ", 600_000)), "word word", ""},
		"one that is too long":     {thoughtOf(strings.Repeat("word ", 800_000)), "", "more than this server opens"},
		"two that are":             {thoughtOf(strings.Repeat("word ", 400_000)) + "," + thoughtOf(strings.Repeat("word ", 400_000)), "", "more than this server opens"},
		"what others have sealed":  {`{"type":"reasoning","summary":[],"encrypted_content":"g` + strings.Repeat("A", 5<<20) + `"},{"role":"user","content":"a"}`, `"content":"a"`, ""},
		"arguments of many values": {call(numbers(200_000)), `"arguments":"{\"a\":[0,0`, ""},
		"of more than are read":    {call(numbers(300_000)), `"arguments":"{\"arguments\":\"{`, ""},
		"a long number":            {call(`{"a":` + strings.Repeat("1", 100_000) + `}`), `"arguments":"{\"arguments\":\"{`, ""},
		"one of those":             {call(`{"a":` + strings.Repeat("1", 1025) + `}`), `"arguments":"{\"arguments\":\"{`, ""},
		"a number":                 {call(`{"a":` + strings.Repeat("1", 1024) + `}`), `"arguments":"{\"a\":1`, ""},
		"blanks":                   {call(strings.Repeat(" \\n", 4_000) + `{"a":` + strings.Repeat(" ", 90_000) + `0}`), `{\"a\":   `, ""},
		"of more in all":           {strings.TrimSuffix(strings.Repeat(call(numbers(20_000))+",", 30), ","), `"arguments":"{\"arguments\":\"{`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := tr.Request(nil, []byte(`{"model":"m","input":[`+c.items+`]}`), corpus.ID, corpus.Created)
			if c.problem != "" {
				require.NotNil(t, err)
				require.Contains(t, err.Message, c.problem)
				return
			}
			require.Nil(t, err)
			require.True(t, strings.Contains(string(out), c.want))
		})
	}
}

// A thought that no request could bring back has no copy.
func TestAVeryLongThoughtHasNoCopy(t *testing.T) {
	for n, want := range map[int]bool{100: true, 2 << 20: true, 2<<20 + 1: false} {
		_, turn, err := translate.New(translate.Options{}).Request(nil, []byte(`{"model":"m","input":"hi","include":["reasoning.encrypted_content"]}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		out, failed := turn.Response(nil, []byte(`{"choices":[{"message":{"reasoning":"`+strings.Repeat("a", n)+`","content":"a"},"finish_reason":"stop"}]}`), corpus.Ended)
		require.Nil(t, failed)
		require.Equal(t, want, strings.Contains(string(out), `"encrypted_content":"`))
		require.Contains(t, string(out), `"status":"completed"},{`)
	}
}

// Of many calls none is told twice because it came twice, and one may begin with a number.
func TestCallsThatComeOnceMoreAreToldOnce(t *testing.T) {
	for name, c := range map[string]struct {
		n, told   int
		arguments string
	}{"many": {500, 500, `{\"a\":1}`}, "a long one behind a number": {1, 2, `12{\"a\":\"` + strings.Repeat("z", 2_000) + `\"}`}} {
		t.Run(name, func(t *testing.T) {
			s := newTurn(t).Stream()
			var calls []string
			for i := range c.n {
				calls = append(calls, fmt.Sprintf(`{"index":%d,"id":"call_%d","type":"function","function":{"name":"f%d","arguments":"%s"}}`, i, i, i, c.arguments))
			}
			chunk := `data: {"choices":[{"index":0,"delta":{"tool_calls":[` + strings.Join(calls, ",") + `]}}]}` + "\n\n"
			out, err := s.Write(nil, []byte(chunk+chunk+`data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}`+"\n\n"+chunk+"data: [DONE]\n\n"), corpus.Ended)
			require.NoError(t, err)
			require.Equal(t, c.told, strings.Count(string(out), "event: response.output_item.done"))
		})
	}
}

// Calls whose arguments are broken do not take what later ones may have.
func TestBrokenArgumentsCountForWhatWasLookedAt(t *testing.T) {
	call := func(id, arguments string) string {
		return `{"type":"function_call","call_id":"` + id + `","name":"f","arguments":"` + arguments + `"},{"type":"function_call_output","call_id":"` + id + `","output":"a"}`
	}
	var items []string
	for i := range 40 {
		items = append(items, call(fmt.Sprint("c", i), `{\"a\":\"`+strings.Repeat("x", 60_000)))
	}
	items = append(items, call("good", `{\"b\":[1,2]}`))
	chat, _, err := translate.New(benchOptions).Request(nil, []byte(`{"model":"m","input":[`+strings.Join(items, ",")+`]}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	require.Contains(t, string(chat), `"arguments":"{\"b\":[1,2]}"`)
}

// The description of a namespace is told with each of its tools: 1,000 of 1 MB took all memory.
func TestToolsInNamespacesCountAndHaveABound(t *testing.T) {
	functions := func(n int) string {
		list := ""
		for i := range n {
			list += `,{"type":"function","name":"f` + strconv.Itoa(i) + `"}`
		}
		return `[` + strings.TrimPrefix(list, ",") + `]`
	}
	namespace := func(name, description, tools string) string {
		return `{"type":"namespace","name":"` + name + `","description":"` + description + `","tools":` + tools + `}`
	}
	long := strings.Repeat("x", 1000)
	brought := func(tools string) string {
		return `"input":[{"type":"additional_tools","tools":[` + tools + `]},{"role":"user","content":"hi"}]`
	}
	const many, told = "brings the request to more tools than the limit of 100, with those in namespaces", "is told with each tool of the namespace, which makes more than the limit of "
	for name, c := range map[string]struct {
		text           int
		fields         string
		param, problem string
	}{
		"as many as may be":            {0, `"input":"hi","tools":[` + namespace("n", "a", functions(60)) + `,` + namespace("m", "a", functions(40)) + `]`, "", ""},
		"one more":                     {0, `"input":"hi","tools":[` + namespace("n", "a", functions(60)) + `,` + namespace("m", "a", functions(41)) + `]`, "tools[1].tools", many},
		"one more namespace":           {0, `"input":"hi","tools":[` + namespace("n", "a", functions(100)) + `,` + namespace("m", "a", functions(1)) + `]`, "tools[0].tools", many},
		"those of a list said twice":   {0, `"input":"hi","tools":[` + namespace("n", "a", functions(60)+`,"tools":`+functions(60)) + `]`, "tools[0].tools", many},
		"those that are left out":      {0, `"input":"hi","tools":[` + namespace("n", "a", `[`+strings.TrimSuffix(strings.Repeat(`{"type":"web_search"},`, 101), ",")+`]`) + `]`, "tools[0].tools", many},
		"as many that an item brings":  {0, brought(namespace("n", "a", functions(100))), "", ""},
		"one more of an item":          {0, brought(namespace("n", "a", functions(101))), "input[0].tools[0].tools", many},
		"one with those of tools":      {0, brought(namespace("n", "a", functions(50))) + `,"tools":[` + namespace("m", "a", functions(51)) + `]`, "input[0].tools[0].tools", many},
		"a long description":           {100_000, `"input":"hi","tools":[` + namespace("n", long, functions(100)) + `]`, "", ""},
		"a longer one":                 {100_000, `"input":"hi","tools":[` + namespace("n", long+"x", functions(100)) + `]`, "tools[0].description", told + "100000 bytes"},
		"two in all":                   {100_000, `"input":"hi","tools":[` + namespace("n", long, functions(50)) + `,` + namespace("m", long+"x", functions(50)) + `]`, "tools[1].description", told + "100000 bytes"},
		"one of an item":               {100_000, brought(namespace("n", long+"x", functions(100))), "input[0].tools[0].description", told + "100000 bytes"},
		"of tools that are not sent":   {100_000, `"input":"hi","tools":[` + namespace("n", long+"x", functions(100)) + `],"tool_choice":{"type":"allowed_tools","tools":[{"type":"function","name":"f1","namespace":"n"}]}`, "", ""},
		"where texts have no bound":    {0, `"input":"hi","tools":[` + namespace("n", strings.Repeat("x", 80<<10), functions(100)) + `]`, "", ""},
		"and all of them have another": {0, `"input":"hi","tools":[` + namespace("n", strings.Repeat("x", 84<<10), functions(100)) + `]`, "tools[0].description", told + "8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := translate.New(translate.Options{TextBytes: c.text, DropUnsupportedTools: true, Limits: responses.Limits{Tools: 100}})
			chat, _, err := tr.Request(nil, []byte(`{"model":"m",`+c.fields+`}`), corpus.ID, corpus.Created)
			if c.problem == "" {
				require.Nil(t, err)
				require.Contains(t, string(chat), `"n__f1","description":"`)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, c.param, err.Param)
			require.Contains(t, err.Message, c.problem)
			require.Equal(t, "limit_exceeded", err.Code)
		})
	}
}

// Types of tools that are left out are compared with each other, and with those that are chosen.
func TestLongTypesOfToolsThatAreLeftOutAreNotKept(t *testing.T) {
	long := strings.Repeat("x", 100)
	tr := translate.New(translate.Options{DropUnsupportedTools: true})
	_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","tools":[{"type":"web_search"},{"type":"`+long+`"},{"type":"`+long+`y"}]}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	require.Equal(t, "web_search, other", turn.DroppedTools())
	_, _, err = tr.Request(nil, []byte(`{"model":"m","input":"hi","tools":[{"type":"function","name":"f"},{"type":"`+long+`"}],"tool_choice":{"type":"`+long+`"}}`), corpus.ID, corpus.Created)
	require.NotNil(t, err)
	require.Equal(t, "tool_choice.type", err.Param)
}

// The description of a namespace is told as it is written, with each of its tools.
func TestEachToolHasTheDescriptionOfItsNamespace(t *testing.T) {
	chat, _, err := translate.New(translate.Options{}).Request(nil, []byte(`{"model":"m","input":"hi","tools":[{"type":"namespace","name":"n","description":"\u00fc\"","tools":[{"type":"function","name":"a"},{"type":"function","name":"b","description":"B"},{"type":"function","name":"c"}]}]}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	for _, told := range []string{`"n__a","description":"ü\""`, `"n__b","description":"B\n\nü\""`, `"n__c","description":"ü\""`} {
		require.Contains(t, string(chat), told)
	}
}

// A number is read digit by digit, wherever it stands.
func TestARequestHasNoNumberOfMoreThanOneKiB(t *testing.T) {
	for _, where := range []string{`"temperature":%s`, `"seed":%s`, `"unknown":{"a":[1,%s]}`, `"text":{"format":{"type":"json_schema","name":"a","schema":{"maximum":%s}}}`} {
		for n, ok := range map[int]bool{1022: true, 1023: false} {
			_, _, err := translate.New(translate.Options{}).Request(nil, []byte(`{"model":"m","input":"hi",`+fmt.Sprintf(where, "0."+strings.Repeat("1", n))+`}`), corpus.ID, corpus.Created)
			if ok {
				require.Nil(t, err, where)
				continue
			}
			require.ErrorContains(t, err, "the request body is over a limit: a number of more than 1024 bytes at byte ")
			require.Equal(t, "limit_exceeded", err.Code)
		}
	}
}
