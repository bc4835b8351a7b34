package translate_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

func appendJSON(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return b
}

func streamOf(t *testing.T) (*translate.Turn, *translate.Stream) {
	_, turn, err := translate.New(benchOptions).Request(nil, []byte(`{"model":"m","input":"hi","stream":true}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	return turn, turn.Stream()
}

const (
	hi     = `data: {"choices":[{"delta":{"content":"Hi"}}]}` + "\n\n"
	finish = `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n"
	boom   = `data: {"error":{"message":"boom","code":400}}` + "\n\n"
)

func TestTurnTellsOfTheRequest(t *testing.T) {
	opt := benchOptions
	opt.Model = "served"
	chat, turn, err := translate.New(opt).Request(nil, []byte(`{"model":"m","input":"hi"}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	require.Contains(t, string(chat), `"model":"served"`)
	require.Equal(t, "m", turn.Model())
	require.False(t, turn.Streaming())
	ok := turn.Outcome().HasUsage
	require.False(t, ok)
	resource, err := turn.Response(nil, wholeAnswer, corpus.Ended)
	require.Nil(t, err)
	require.Contains(t, string(resource), `"model":"m"`)
	outcome := turn.Outcome()
	usage, ok := outcome.Usage, outcome.HasUsage
	require.True(t, ok)
	require.Equal(t, responses.Usage{Input: 42, Output: 8, Total: 50}, usage)
}

// A request that goes to another upstream after all has that one's name of the
// model, and is otherwise the same.
func TestRequestsForUpstreamsWithOtherNames(t *testing.T) {
	chat, turn, err := translate.New(benchOptions).Request([]byte("before"), []byte(`{"model":"a\"b","input":"{\"model\":"}`), corpus.ID, corpus.Created)
	require.Nil(t, err)
	chat = chat[len("before"):]
	other := turn.AppendRenamed([]byte("x"), chat, `/mnt/"models"`)
	require.Equal(t, `x{"model":"/mnt/\"models\""`+strings.TrimPrefix(string(chat), `{"model":"a\"b"`), string(other))
	require.Equal(t, string(chat), string(turn.AppendRenamed(nil, chat, `a"b`)))
	require.Equal(t, `a"b`, turn.Model())
}

func TestRefusedRequestLeavesTheBuffer(t *testing.T) {
	out, turn, err := translate.New(benchOptions).Request([]byte("before"), []byte(`{"model":"m","input":"hi","tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"g"}}`), corpus.ID, corpus.Created)
	require.NotNil(t, err)
	require.Nil(t, turn)
	require.Equal(t, "before", string(out))
}

func TestStreamThatWasStartedEarly(t *testing.T) {
	_, s := streamOf(t)
	require.False(t, s.Started())
	events := s.Start(nil)
	require.True(t, s.Started())
	require.Equal(t, 2, strings.Count(string(events), "\n\n"))
	require.Empty(t, s.Start(nil), "expected nothing the second time")
	events, err := s.Write(events, []byte(boom), corpus.Ended)
	require.NoError(t, err, "expected events: the status was sent")
	require.True(t, s.Done())
	require.Contains(t, string(events), "event: error\n")
	checkStream(t, events, nil)
	require.Empty(t, s.End(nil, nil, corpus.Ended), "expected nothing after the end")
	late, err := s.Write(nil, []byte(hi), corpus.Ended)
	require.NoError(t, err)
	require.Empty(t, late, "expected nothing after the end")
}

func TestEndOfAStream(t *testing.T) {
	cause := translate.TimeoutError()
	for _, c := range []struct {
		name, in string
		cause    *responses.Error
		want     string
	}{
		{"nothing came", "", nil, `"code":"upstream_cut"`},
		{"broke off", hi, cause, `"code":"upstream_timeout"`},
		{"broke off after the finish reason", hi + finish, cause, `event: response.completed`},
		{"a call without a name, then the end", `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"x"}]},"finish_reason":"tool_calls"}]}` + "\n\n", nil, `"code":"upstream_invalid_answer"`},
		{"call that is no object", `data: {"choices":[{"delta":{"tool_calls":[1]}}]}` + "\n\n", nil, `"code":"upstream_invalid_answer"`},
		{"name that is no string", `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":1}}]}}]}` + "\n\n", nil, `"code":"upstream_invalid_answer"`},
		{"id that is no string", `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":1,"function":{"name":"f"}}]}}]}` + "\n\n", nil, `"code":"upstream_invalid_answer"`},
		{"arguments that are no text", `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":1}}]}}]}` + "\n\n", nil, `"code":"upstream_invalid_answer"`},
		{"logprobs that are none", `data: {"choices":[{"delta":{"content":"x"},"logprobs":{"content":[1,{"token":"x","logprob":nan,"bytes":["a"]}]},"finish_reason":"stop"}]}` + "\n\n", nil, `"token":"x","logprob":0,"bytes":[0]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, s := streamOf(t)
			events, err := s.Write(nil, []byte(c.in), corpus.Ended)
			require.NoError(t, err)
			events = s.End(events, c.cause, corpus.Ended)
			require.True(t, s.Done())
			require.Contains(t, string(events), c.want)
			checkStream(t, events, nil)
		})
	}
}

func TestWholeAnswersThatAreNone(t *testing.T) {
	turn, _ := streamOf(t)
	for _, message := range []string{
		`{"tool_calls":[{"id":1,"function":{"name":"f"}}]}`, `{"tool_calls":[{"function":{"name":1}}]}`, `{"tool_calls":[{"function":{"name":"f","arguments":1}}]}`,
		`{"tool_calls":[{}]}`, `{"reasoning":1}`, `{"content":{}}`, `{"refusal":[]}`,
	} {
		_, err := turn.Response(nil, []byte(`{"choices":[{"message":`+message+`,"finish_reason":"stop"}]}`), corpus.Ended)
		require.NotNil(t, err, message)
		require.Equal(t, []any{502, "upstream_invalid_answer"}, []any{err.Status, err.Code}, message)
	}
}

func TestHeldIsTheAnswerOnce(t *testing.T) {
	_, s := streamOf(t)
	require.Zero(t, s.Held())
	for range 1000 {
		_, err := s.Write(nil, []byte(hi), corpus.Ended)
		require.NoError(t, err)
	}
	require.Greater(t, s.Held(), 2000)
	require.Less(t, s.Held(), 8000)
}

// What is given back is used for other requests, and only then.
func TestFreeTurns(t *testing.T) {
	tr := translate.New(benchOptions)
	begin := func(model string) *translate.Turn {
		_, turn, err := tr.Request(nil, []byte(`{"model":"`+model+`","input":"hi","stream":true}`), corpus.ID, corpus.Created)
		require.Nil(t, err)
		return turn
	}
	answers := func(turn *translate.Turn, model string) {
		t.Helper()
		used := turn.Outcome().HasUsage
		require.False(t, used, "expected no usage before the answer")
		resource, err := turn.Response(nil, wholeAnswer, corpus.Ended)
		require.Nil(t, err)
		require.Contains(t, string(resource), `"model":"`+model+`"`)
		require.Equal(t, 1, strings.Count(string(resource), `"type":"message"`))
		events, failed := corpus.Stream(nil, turn.Stream(), []byte(hi+finish+"data: [DONE]\n\n"))
		checkStream(t, events, failed)
		require.Contains(t, string(events), `"model":"`+model+`"`)
	}
	for range 8 {
		kept, first := begin("kept"), begin("first")
		answers(first, "first")
		first.Free()
		first.Free()
		second, third := begin("second"), begin("third")
		require.NotSame(t, second, third, "expected a turn that was given back twice to be used once")
		third.Stream()
		_, err := third.Stream().Write(nil, []byte(hi+"data: half"), corpus.Ended)
		require.NoError(t, err)
		third.Free() // in the middle of an answer
		answers(second, "second")
		answers(kept, "kept")
		second.Free()
		kept.Free()
	}
}

// A Translator serves all goroutines; run with -race.
func TestConcurrentUse(t *testing.T) {
	all := cases(t)
	translators := make(map[translate.Options]*translate.Translator)
	for _, c := range all {
		translators[c.Options] = translate.New(c.Options)
	}
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range all {
				c := &all[(i+worker*len(all)/4)%len(all)]
				chat, turn, err := translators[c.Options].Request(nil, c.Request, corpus.ID, corpus.Created)
				if !bytes.Equal(chat, c.Expected.Chat) {
					t.Errorf("%s: expected the chat request as from one goroutine", c.Name)
				}
				if err == nil && c.Stream != nil {
					if events, _ := corpus.Stream(nil, turn.Stream(), c.Stream); !bytes.Equal(events, c.Expected.Events) {
						t.Errorf("%s: expected the events as from one goroutine", c.Name)
					}
				}
				if err == nil {
					turn.Free()
				}
			}
		})
	}
	wait.Wait()
}
