package translate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"antwort/shared/corpus"
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
	open := call(0, `{\"a\":`)
	for name, c := range map[string]struct{ answer, problem string }{
		"texts of calls that waited": {open + calls(4, numbered(500)), ""},
		"too many texts":             {open + calls(5, numbered(500)), "more tool calls than any answer has"},
		"texts that are long in all": {open + calls(60, `[\"`+strings.Repeat("x", 8<<10)+`\"][\"`+strings.Repeat("y", 8<<10)+`\"]`), ""},
		"texts that are too long":    {open + calls(70, `[\"`+strings.Repeat("x", 8<<10)+`\"][\"`+strings.Repeat("y", 8<<10)+`\"]`), "over this server's limit"},
	} {
		t.Run(name, func(t *testing.T) {
			_, turn, err := translate.New(translate.Options{TextBytes: 4 << 20, AnswerBytes: 1 << 20}).Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
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
