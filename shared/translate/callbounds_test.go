package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// What the calls of an answer are, and what waits behind one that is open, has bounds that no
// honest answer meets: all that waits is told at once.
func TestWhatCallsSayHasBounds(t *testing.T) {
	delta := func(format string, args ...any) string {
		return `data: {"choices":[{"delta":{` + fmt.Sprintf(format, args...) + `}}]}` + "\n\n"
	}
	call := func(index int, arguments string) string {
		return delta(`"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"%s"}}]`, index, index, arguments)
	}
	calls := func(n int, arguments string) (all string) {
		for i := range n {
			all += call(i+1, arguments)
		}
		return all
	}
	numbered := func(n int) (texts string) {
		for i := range n {
			texts += fmt.Sprintf("[%d]", i)
		}
		return texts
	}
	piece := func(arguments string) string {
		return delta(`"tool_calls":[{"index":0,"function":{"arguments":"%s"}}]`, arguments)
	}
	open := call(0, `{\"a\":`)
	long := `[\"` + strings.Repeat("x", 8<<10) + `\"]`
	for name, c := range map[string]struct {
		answer, problem string
		all             bool // may be told at once
	}{
		"texts of calls that waited":  {open + calls(4, numbered(500)), "", false},
		"too many texts":              {open + calls(5, numbered(500)), "more tool calls than any answer has", false},
		"texts that are long in all":  {open + calls(120, long+strings.ReplaceAll(long, "x", "y")), "", true},
		"texts that are too long":     {open + calls(140, long+strings.ReplaceAll(long, "x", "y")), "over this server's limit", true},
		"calls of some texts":         {calls(2000, "{}{}{}{}"), "", false},
		"texts that came once more":   {call(0, numbered(500)) + strings.Repeat(call(0, numbered(500)), 3), "", false},
		"and again and again":         {call(0, numbered(500)) + call(1, "{}") + strings.Repeat(call(0, numbered(500)), 5), "more arguments for a tool call that was complete", false},
		"calls that come once more":   {strings.Repeat(calls(500, `{\"a\":1}`), 8), "", false},
		"texts and thoughts in turns": {open + strings.Repeat(delta(`"content":"t"`)+delta(`"reasoning":"t"`), 255), "", false},
		"too many of them":            {open + strings.Repeat(delta(`"content":"t"`)+delta(`"reasoning":"t"`), 256), "more texts and tool calls at a time", false},
		"a text in pieces":            {open + strings.Repeat(delta(`"content":"t"`), 5000), "", false},
		"long texts that wait":        {open + strings.Repeat(delta(`"content":"%s"`, strings.Repeat("t", 1000)), 240), "", false},
		"too long ones":               {open + strings.Repeat(delta(`"content":"%s"`, strings.Repeat("t", 1000)), 270), "over this server's limit", false},
		"long ids":                    {open + delta(`"tool_calls":[{"index":1,"id":"%s","function":{"name":"f","arguments":"{\"a\":"}}]`, strings.Repeat("i", 3000)) + delta(`"tool_calls":[{"id":"%s","function":{"arguments":"1}"}}]`, strings.Repeat("i", 3000)), "", false},
		"long names":                  {delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"%s","arguments":"{}"}}]`, strings.Repeat("n", 1<<10)), "", false},
		"too long names":              {delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"%s","arguments":"{}"}}]`, strings.Repeat("n", 1<<10+1)), "a name of more than 1 KiB", false},
		"too many escapes in names":   {strings.Repeat(delta(`"tool_calls":[{"index":0,"id":"c","function":{"name":"%s","arguments":"{}"}}]`, strings.Repeat(`\n`, 512)), 21), "more escapes than the limit", false},
		"arguments that are not live": {call(0, "[") + strings.Repeat(piece(strings.Repeat("1,", 1000)), 510), "", false},
		"too long arguments":          {call(0, "[") + strings.Repeat(piece(strings.Repeat("1,", 1000)), 530), "over this server's limit", false},
		"as long ones that are live":  {call(0, `{\"a\":[`) + strings.Repeat(piece(strings.Repeat("1,", 1000)), 530), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			opt := translate.Options{Limits: responses.Limits{Escapes: 20_000}, AnswerBytes: 2 << 20}
			if !c.all {
				opt.TextBytes = 1 << 20
			}
			_, turn, err := translate.New(opt).Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
			require.Nil(t, err)
			s := turn.Stream()
			out := s.Start(nil)
			for piece := range slices.Chunk([]byte(c.answer+`data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}`+"\n\ndata: [DONE]\n\n"), 4<<10) {
				out, _ = s.Write(out, piece, corpus.Ended)
			}
			if c.problem == "" {
				require.Contains(t, string(out), "event: response.completed")
				return
			}
			require.Contains(t, string(out), "event: response.failed")
			require.Contains(t, string(out), c.problem)
		})
	}
}
