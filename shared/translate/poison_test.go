package translate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/streamcheck"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// poisons are arguments as models and servers have said them, and mutations of
// each by a fixed seed.
func poisons() []string {
	seeds := []string{
		``, ` `, "\n", `null`, `{}`, `{"q":"a"}`, `{"q":"a"}{"q":"b"}`, `{"q":"a"}{"q":"a"}`, `{}{"q":"a"}`, `{"q":"a`, `{"q":`, `{"q":"a"}}`,
		`{"q":"a"},{"q":"b"}`, `{"q":"a"},`, `{},{"q":"a"}`, "{\"q\":\"a\"}\u00a0", "\u3000{\"q\":\"a\"}", "{}\u00a0{\"q\":\"a\"}", "{\"q\":\"a\"}\f{\"q\":\"b\"}", "\u0085", "\u2003",
		`"a"`, `[1]`, `1`, `true`, `say "hi"`, `{"q":NaN}`, `{"q":"\ud83d"}`, `{'q':'a'}`, "{\"q\":\"a\nb\"}", `{"q":{"q":[{"q":"{}"}]}}`, `[1][2]`, "```json\n{\"q\":1}\n```",
	}
	insert := []rune("{}[]\",:\\ \nn1\x00é\u00a0\u0085\u2003\u2028\u3000\ufeff\f\v")
	random := rand.New(rand.NewPCG(1, 2))
	all := seeds
	for len(all) < 480 {
		b := []byte(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(b) + 1)
			switch random.IntN(3) {
			case 0: // one more
				c := insert[random.IntN(len(insert))]
				b = append(b[:at:at], string(c)+string(b[at:])...)
			case 1: // cut
				b = b[:at]
			default: // once more
				b = append(b, b[at:]...)
			}
		}
		all = append(all, strings.ToValidUTF8(string(b), "?"))
	}
	return all
}

// Whatever stands in the history, the arguments that go upstream are one object:
// vLLM and its templates refuse anything else in every later turn.
func TestPoisonInTheHistoryGoesNoFurther(t *testing.T) {
	for _, poison := range poisons() {
		request := fmt.Appendf(nil, `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"g","arguments":%s}]}`, quoted(t, poison))
		chat, _, e := translate.New(benchOptions).Request(nil, request, corpus.ID, corpus.Created)
		require.Nil(t, e, "%q", poison)
		var sent struct {
			Messages []struct {
				Calls []struct {
					Function struct{ Arguments string }
				} `json:"tool_calls"`
			}
		}
		require.NoError(t, json.Unmarshal(chat, &sent))
		arguments := sent.Messages[0].Calls[0].Function.Arguments
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(arguments), &object), "%q became %q", poison, arguments)
		if said := strings.Trim(poison, " \t\r\n"); said != arguments && said != "" && said != "null" {
			require.Contains(t, []any{poison, nil}, object["arguments"], "what was said stays: %q", poison)
		}
	}
}

// However a model's arguments are broken, no call that is complete has two JSON
// texts, and a stream says what a whole answer says, however it is cut.
func TestPoisonInAnswersIsNoCall(t *testing.T) {
	tr := translate.New(benchOptions)
	for _, poison := range poisons() {
		turn := func(stream bool) *translate.Turn {
			_, turn, e := tr.Request(nil, fmt.Appendf(nil, `{"model":"m","input":"go","stream":%v,"tools":[{"type":"function","name":"g"}]}`, stream), corpus.ID, corpus.Created)
			require.Nil(t, e)
			return turn
		}
		whole, e := turn(false).Response(nil, fmt.Appendf(nil, `{"choices":[{"message":{"tool_calls":[{"id":"c","function":{"name":"g","arguments":%s}}]},"finish_reason":"stop"}]}`, quoted(t, poison)), corpus.Ended)
		require.Nil(t, e, "%q", poison)
		output := callsOf(t, whole)
		for _, size := range []int{1, 2, 3, len(poison) + 1} {
			var in strings.Builder
			in.WriteString(`data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"g"}}]}}]}` + "\n\n")
			for runes := []rune(poison); len(runes) > 0; runes = runes[min(size, len(runes)):] {
				fmt.Fprintf(&in, `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":%s}}]}}]}`+"\n\n", quoted(t, string(runes[:min(size, len(runes))])))
			}
			in.WriteString(`data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n")
			u := turn(true)
			events, failed := corpus.Stream(nil, u.Stream(), []byte(in.String()))
			require.Nil(t, failed)
			require.Empty(t, streamcheck.Check(strings.NewReader(string(events))), "%q", poison)
			require.Equal(t, output, callsOf(t, u.Outcome().Resource), "%q in pieces of %d", poison, size)
		}
		for _, arguments := range output {
			require.Less(t, texts(arguments), 2, "%q became %q", poison, output)
		}
	}
}

// callsOf are the arguments of a response's calls.
func callsOf(t *testing.T, resource []byte) (arguments []string) {
	var r struct {
		Status string
		Output []struct{ Type, Arguments string }
	}
	require.NoError(t, json.Unmarshal(resource, &r))
	require.Equal(t, "completed", r.Status)
	for _, item := range r.Output {
		require.Equal(t, "function_call", item.Type)
		arguments = append(arguments, item.Arguments)
	}
	return arguments
}

// texts counts the JSON texts that s is made of, 0 when it is no JSON.
func texts(s string) int {
	d := json.NewDecoder(strings.NewReader(s))
	for n := 0; ; n++ {
		var v any
		switch err := d.Decode(&v); {
		case errors.Is(err, io.EOF):
			return n
		case err != nil:
			return 0
		}
	}
}

func quoted(t *testing.T, s string) []byte {
	b, err := json.Marshal(s)
	require.NoError(t, err)
	return b
}
