package translate_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

func inPieces(turn *translate.Turn, answer []byte, n int) ([]byte, *responses.Error) {
	w := turn.Whole()
	for at := 0; at < len(answer); at += n {
		w.Write(answer[at:min(at+n, len(answer))])
	}
	return w.End(nil, corpus.Ended)
}

// Every whole answer of the corpus, however it is cut, gives the same resource.
func TestAWholeAnswerInPiecesIsTheSame(t *testing.T) {
	for _, c := range cases(t) {
		if c.Answer == nil || c.Status != 200 || c.Expected.Events != nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			_, turn, e := translate.New(c.Options).Request(nil, c.Request, corpus.ID, corpus.Created)
			require.Nil(t, e)
			if turn.Streaming() {
				return // what was wrong with it is said before the first event
			}
			for _, n := range []int{1, 2, 3, 7, 64, len(c.Answer) + 1} {
				got, failed := inPieces(turn, c.Answer, n)
				require.Equal(t, string(c.Expected.Error), string(errorOf(failed)), "in pieces of %d", n)
				require.Equal(t, string(c.Expected.Response), string(got), "in pieces of %d", n)
			}
		})
	}
}

// Many logprobs, in an answer and in a chunk, come out as few do.
func TestManyLogprobs(t *testing.T) {
	const entry = `{"token":"a\"]","logprob":-0.25,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-NaN,"bytes":null}]}`
	const rendered = `{"token":"a\"]","logprob":-0.25,"bytes":[97],"top_logprobs":[{"token":"b","logprob":0,"bytes":[]}]}`
	many := strings.TrimSuffix(strings.Repeat(entry+",", 1000), ",")
	tr := translate.New(translate.Options{ReasoningEvents: "reasoning_text", Limits: responses.Limits{Values: 20_000}})
	turn := func(stream bool) *translate.Turn {
		_, turn, err := tr.Request(nil, fmt.Appendf(nil, `{"model":"m","input":"hi","stream":%v}`, stream), corpus.ID, corpus.Created)
		require.Nil(t, err)
		return turn
	}
	whole, failed := turn(false).Response(nil, []byte(`{"x":[`+many+`],"choices":[{"message":{"content":"text"},"logprobs":{"content":[`+many+`]},"finish_reason":"stop"}]}`), corpus.Ended)
	require.Nil(t, failed)
	require.True(t, json.Valid(whole))
	require.Equal(t, 1000, strings.Count(string(whole), rendered))

	s := turn(true).Stream()
	events, err := s.Write(nil, []byte(`data: {"choices":[{"delta":{"content":"text"},"logprobs":{"content":[`+many+`]}}],"x":[`+many+`]}`+"\n\n"), corpus.Ended)
	require.NoError(t, err)
	require.Equal(t, 1000, strings.Count(string(events), rendered))
	// What is remembered of a chunk is nothing of a long one's.
	events, err = s.Write(nil, []byte(`data: {"choices":[{"delta":{"content":"more"}}]}`+"\n\n"), corpus.Ended)
	require.NoError(t, err)
	require.NotContains(t, string(events), "token")

	// Another answer with the memory of this one has none of its logprobs.
	whole, failed = turn(false).Response(nil, []byte(`{"choices":[{"message":{"content":"text"},"finish_reason":"stop"}]}`), corpus.Ended)
	require.Nil(t, failed)
	require.NotContains(t, string(whole), "logprobs\":[{")
}

func TestAnswersOfTooManyValuesAreRefused(t *testing.T) {
	tr := translate.New(translate.Options{Limits: responses.Limits{Values: 10_000}})
	values := strings.TrimSuffix(strings.Repeat(`0,`, 20_000), ",")
	for name, answer := range map[string]string{
		"the content": `{"choices":[{"message":{"content":[` + values + `]}}]}`,
		"a call":      `{"choices":[{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":[` + values + `]}}}]}}]}`,
		"the usage":   `{"choices":[{"message":{"content":"a"}}],"usage":{"a":[` + values + `]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
			require.Nil(t, err)
			_, failed := turn.Response(nil, []byte(answer), corpus.Ended)
			require.NotNil(t, failed)
			require.Contains(t, failed.Message, "more JSON values than the limit")
			_, e := turn.Stream().Write(nil, []byte("data: "+strings.Replace(answer, "message", "delta", 1)+"\n\n"), corpus.Ended)
			require.ErrorContains(t, e, "more JSON values than the limit")
		})
	}
	// Several events may come at once, so half is left to each.
	half := strings.TrimSuffix(strings.Repeat(`"",`, 6_000), ",")
	for n, refused := range map[string]bool{half: true, half[:len(half)/2]: false} {
		_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		_, e := turn.Stream().Write(nil, []byte(`data: {"choices":[{"delta":{"content":"a","x":[`+n+`]},"y":"`+strings.Repeat("y", 16<<10)+`"}]}`+"\n\n"), corpus.Ended)
		require.Equal(t, refused, e != nil)
	}
	_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi"}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	long := `{"token":"` + strings.Repeat("a", 70<<10) + `"}`
	_, failed := turn.Response(nil, []byte(`{"choices":[{"message":{"content":"a"},"logprobs":{"content":[`+long+`]}}]}`), corpus.Ended)
	require.NotNil(t, failed)
	require.Contains(t, failed.Message, "longer than any")
}

// Logprobs may become more than they were. What all of them become has the answer's limit.
func TestLogprobsThatBecomeTooManyAreRefused(t *testing.T) {
	tr := translate.New(translate.Options{AnswerBytes: 64 << 10})
	for n, refused := range map[int]bool{1_000: false, 2_000: true} {
		_, turn, err := tr.Request(nil, []byte(`{"model":"m","input":"hi"}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		_, failed := turn.Response(nil, []byte(`{"choices":[{"message":{"content":"a"},"logprobs":{"content":[{}`+strings.Repeat(",{}", n)+`]}}]}`+strings.Repeat(" ", 16<<10)), corpus.Ended)
		if require.Equal(t, refused, failed != nil); refused {
			require.Equal(t, responses.AnswerTooLarge(), failed)
		}
	}
}
