package translate_test

import (
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/streamcheck"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// A long answer that is drained says byte for byte what it says at once, and no more of
// it than a few pieces is in memory for that.
func TestDrainedAnswersSayTheSame(t *testing.T) {
	const pieces = 3000
	word := strings.Repeat("word ", 20)
	chunk := func(delta string) string { return `data: {"choices":[{"index":0,"delta":` + delta + `}]}` + "\n\n" }
	again := func(s string) string { return strings.Repeat(s, pieces) }
	text, thought := chunk(`{"content":"`+word+`"}`), chunk(`{"reasoning":"\\n`+word+`"}`)
	logprobs := `data: {"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-1,"bytes":[97]}]}}]}` + "\n\n"
	call := func(name string) string {
		return chunk(`{"tool_calls":[{"index":0,"id":"c","function":{"name":"`+name+`","arguments":"{\"input\":\""}}]}`) +
			again(chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"`+word+`"}}]}`)) + chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}`)
	}
	end := finish + "data: [DONE]\n\n"
	for name, stream := range map[string]string{
		"text":               again(text) + end,
		"a thought":          again(thought) + again(text) + end,
		"logprobs":           again(logprobs) + end,
		"a refusal":          again(chunk(`{"refusal":"`+word+`"}`)) + end,
		"a call":             again(text) + call("f") + end,
		"a custom call":      call("c") + end,
		"a long delta":       chunk(`{"content":"`+again(word)+`"}`) + again(text) + end,
		"it is cut":          again(thought) + again(text),
		"a call that is cut": again(text) + strings.TrimSuffix(call("f"), chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"\"}"}}]}`)),
		"a whole answer":     `{"choices":[{"message":{"content":"` + again(word) + `","reasoning":"` + again(word) + `"},"finish_reason":"stop"}]}`,
		"a short one":        text + end,
	} {
		for _, revised := range []string{"", "not stored", "failed"} {
			t.Run(name+revised, func(t *testing.T) {
				run := func(drains bool) (said string, outcome responses.Outcome, most int) {
					_, turn, err := translate.New(translate.Options{ReasoningField: "reasoning", ReasoningEvents: "reasoning_text"}).For(alice).Continued(nil, []byte(
						`{"model":"m","input":"hi","stream":true,"store":true,"include":["reasoning.encrypted_content"],"tools":[{"type":"function","name":"f"},{"type":"custom","name":"c"}]}`),
						40, &translate.Past{Stored: true}, corpus.ID, corpus.Created)
					require.Nil(t, err)
					s := turn.Stream()
					var told strings.Builder
					if drains {
						s.Drain(func(dst []byte) []byte {
							most = max(most, cap(dst))
							told.Write(dst)
							return dst[:0]
						})
					}
					var out []byte
					for rest := stream; len(rest) > 0; {
						n := min(4<<10, len(rest))
						told.Write(out)
						var e error
						out, e = s.Write(out[:0], []byte(rest[:n]), corpus.Ended)
						require.NoError(t, e)
						rest = rest[n:]
					}
					if !s.Done() {
						told.Write(out)
						out = s.End(out[:0], nil, corpus.Ended)
					}
					switch revised {
					case "not stored":
						out = s.Instead(out, nil)
					case "failed":
						out = s.Instead(out, responses.NewError(503, "state_unavailable", "gone"))
					}
					if at, items := s.Apart(); len(items) > 0 {
						told.Write(out[:at])
						for _, piece := range items {
							told.Write(piece)
						}
						out = out[at:]
					}
					told.Write(out)
					return told.String(), s.Outcome(), most
				}
				want, whole, _ := run(false)
				got, apart, most := run(true)
				require.True(t, want == got, "it says something else: %d and %d bytes", len(want), len(got))
				require.Empty(t, streamcheck.Check(strings.NewReader(got)))
				require.Less(t, most, 256<<10)
				require.Equal(t, whole.Status, apart.Status)
				start, last := apart.Output()
				items := string(apart.Resource[start : last-1])
				for _, piece := range apart.Apart {
					items += string(piece)
				}
				require.Equal(t, name == "a short one", len(apart.Apart) == 0)
				start, last = whole.Output()
				require.True(t, string(whole.Resource[start:last]) == items+"]", "the items are others")
			})
		}
	}
}
