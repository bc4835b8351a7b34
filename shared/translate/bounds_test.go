package translate_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"antwort/shared/corpus"
	"antwort/shared/responses"
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
		"broken characters":               {`"content":"` + strings.Repeat("a\xff", 100_000) + `"`, ""},
		"too many":                        {`"content":"` + strings.Repeat("a\xff", 200_000) + `"`, "more broken characters"},
		"too many in a thought":           {`"content":"a","reasoning":"` + strings.Repeat(`\ud800`, 200_000) + `"`, "more broken characters"},
		"too many in all":                 {`"content":"` + strings.Repeat("\xff", 100_000) + `","refusal":"` + strings.Repeat("\n", 100_000) + `"`, "more broken characters"},
		"too many in arguments":           {call(`"` + strings.Repeat("\xff", 200_000) + `"`), "more broken characters"},
		"escapes in arguments":            {call(`"{\"a\":\"` + strings.Repeat(`\\n`, 4000) + `\"}"`), ""},
		"too many escapes in arguments":   {call(`"{\"a\":\"` + strings.Repeat(`\\n`, 11_000) + `\"}"`), "more escapes than the limit"},
		"too many, and a broken one":      {call(`"` + "\xff" + strings.Repeat(`\n`, 11_000) + `"`), "more escapes than the limit"},
		"too many behind a broken escape": {call(`"\x` + strings.Repeat(`\n`, 11_000) + `"`), "more escapes than the limit"},
		"too many in an object":           {call(`{"a":"` + strings.Repeat(`\n`, 11_000) + `"}`), "more escapes than the limit"},
		"escapes in a text":               {`"content":"` + strings.Repeat(`\n`, 200_000) + `"`, ""},
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
			require.NoError(t, err)
			if c.problem == "" {
				require.Nil(t, failed)
				require.NotContains(t, string(events), "response.failed")
				return
			}
			require.NotNil(t, failed)
			require.Contains(t, failed.Message, c.problem)
			require.Contains(t, string(events), c.problem)
		})
	}
}
