package translate_test

import (
	"fmt"
	"strings"
	"testing"

	"antwort/shared/responses"
	"antwort/shared/streamcheck"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// A stream that says more than the limit ends as failed, whatever it says, and
// what it had said is kept.
func TestAllThatAStreamSaysHasALimit(t *testing.T) {
	const limit, piece = 4 << 10, "0123456789abcdef"
	text := func(member string) string {
		return fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{%q:%q}}]}`, member, piece) + "\n\n"
	}
	call := func(index int, name, arguments string) string {
		return fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{%s"arguments":%q}}]}}]}`, index, index, name, arguments) + "\n\n"
	}
	named := `"name":"f",`
	for name, c := range map[string]struct{ first, again string }{
		"text":              {"", text("content")},
		"reasoning":         {"", text("reasoning")},
		"a refusal":         {"", text("refusal")},
		"a call":            {call(0, named, `{"a":"`), call(0, "", piece)},
		"a call that waits": {call(0, named, `{"a":"`) + call(1, named, `{"b":"`), call(1, "", piece)},
		"a text that waits": {call(0, named, `{"a":"`), text("content")},
		"logprobs":          {"", `data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97]}]}}]}` + "\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := translate.New(translate.Options{ReasoningField: "reasoning", ReasoningEvents: "reasoning_text", AnswerBytes: limit})
			_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true,"tools":[{"type":"function","name":"f"}]}`), "x", 1)
			require.Nil(t, err)
			s := turn.Stream()
			out, e := s.Write(nil, []byte(c.first), 1)
			require.NoError(t, e)
			sent := 0
			for ; !s.Done() && sent < limit; sent++ {
				out, e = s.Write(out, []byte(c.again), 1)
				require.NoError(t, e)
			}
			require.True(t, s.Done(), "it has no end")
			require.True(t, s.Outcome().Failed())
			require.Less(t, s.Held(), 3*limit)
			require.Empty(t, streamcheck.Check(strings.NewReader(string(out))))
			require.Contains(t, string(out), responses.AnswerTooLarge().Message)
			require.Contains(t, string(out), "event: response.failed")
		})
	}
}

// What a very large stream has said is not said again where its end goes out at once.
func TestATooLargeStreamEndsShortly(t *testing.T) {
	const limit = 2 << 20
	tr := translate.New(translate.Options{AnswerBytes: limit, ShortFailure: true})
	_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), "x", 1)
	require.Nil(t, err)
	s := turn.Stream()
	delta := []byte(fmt.Sprintf(`data: {"choices":[{"index":0,"delta":{"content":%q}}]}`, strings.Repeat("word ", 2000)) + "\n\n")
	var all, last []byte
	for !s.Done() {
		var e error
		last, e = s.Write(nil, delta, 1)
		require.NoError(t, e)
		all = append(all, last...)
	}
	require.Less(t, len(last), 64<<10)
	require.Contains(t, string(last), "event: response.failed")
	require.Contains(t, string(last), responses.AnswerTooLarge().Message)
	require.Greater(t, len(all), limit)
}

func TestCallsAtATimeHaveALimit(t *testing.T) {
	tr := translate.New(translate.Options{})
	_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), "x", 1)
	require.Nil(t, err)
	s := turn.Stream()
	var out []byte
	for i := 0; i < 1000 && !s.Done(); i++ {
		var e error
		out, e = s.Write(out[:0], fmt.Appendf(nil, `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{"}}]}}]}`+"\n\n", i, i), 1)
		require.NoError(t, e)
	}
	require.True(t, s.Outcome().Failed())
	require.Contains(t, string(out), "more texts and tool calls at a time")
}
