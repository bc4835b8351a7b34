package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/responses"
	"antwort/shared/streamcheck"
)

var aMemory = &Memory{Sealed: []byte("blob"), Usage: responses.Usage{Input: 5, Output: 2, Total: 7}}

func turnOf(t *testing.T, body string) *Turn {
	t.Helper()
	_, turn, err := New(Options{}).Request(nil, []byte(body), "id", 1)
	require.Nil(t, err)
	return turn
}

func checked(t *testing.T, stream []byte) {
	t.Helper()
	require.Empty(t, streamcheck.Check(strings.NewReader(string(stream))), string(stream))
}

const compactionItem = `{"id":"cmp_id00","type":"compaction","encrypted_content":"blob"}`

func TestAnswerThatIsACompaction(t *testing.T) {
	turn := turnOf(t, `{"model":"m","input":"x"}`)
	whole := turn.Compacted(nil, aMemory, 2)
	require.Contains(t, string(whole), `"status":"completed"`)
	require.Contains(t, string(whole), `"output":[`+compactionItem+`]`)
	require.Contains(t, string(whole), `"usage":{"input_tokens":5,`)
	require.Equal(t, "completed", turn.Outcome().Status)
	start, end := turn.Outcome().Output()
	require.Equal(t, "["+compactionItem+"]", string(turn.Outcome().Resource[start:end]))

	turn = turnOf(t, `{"model":"m","input":"x","stream":true}`)
	turn.NotStored()
	events := turn.Compacted(nil, aMemory, 2)
	checked(t, events)
	require.Equal(t, 1, strings.Count(string(events), "event: response.compaction.compacting\n"))
	require.Contains(t, string(events), `"output":[`+compactionItem+`]`)
}

const chatAnswer = `{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`

func TestAnswerThatBeginsWithACompaction(t *testing.T) {
	const usage = `"usage":{"input_tokens":8,"input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"output_tokens":3,`
	check := func(answer []byte) {
		t.Helper()
		require.Contains(t, string(answer), `"output":[`+compactionItem+`,{"id":"msg_id01",`)
		require.Contains(t, string(answer), usage)
	}
	turn := turnOf(t, `{"model":"m","input":"x"}`)
	turn.BeginWith(aMemory)
	whole, err := turn.Response(nil, []byte(chatAnswer), 2)
	require.Nil(t, err)
	check(whole)
	long := turn.Whole()
	long.Write([]byte(chatAnswer))
	whole, err = long.End(nil, 2)
	require.Nil(t, err)
	check(whole)

	turn = turnOf(t, `{"model":"m","input":"x","stream":true}`)
	turn.BeginWith(aMemory)
	for _, form := range []string{chatAnswer, `data: {"choices":[{"delta":{"content":"hi"}}]}` + "\n\n" + `data: {"choices":[{"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}` + "\n\n"} {
		events, broken := turn.Stream().Write(nil, []byte(form), 2)
		require.NoError(t, broken)
		checked(t, events)
		check(events)
	}
}

func TestTextOfAnAnswer(t *testing.T) {
	for answer, want := range map[string]string{
		chatAnswer: "hi",
		`{"choices":[{"message":{"reasoning":"hm","content":"<think>so</think>\n it is "}}]}`: "it is",
		`{"choices":[{"message":{"reasoning":"hm","content":null}}]}`:                         "",
		`{"choices":[{"message":{"content":"<think>so</think>"}}]}`:                           "",
		`{"choices":[{"message":{"content":"<think>so it"},"finish_reason":"length"}]}`:       "",
		`{"choices":[{"message":{"content":"it is"},"finish_reason":"length"}]}`:              "it is" + cutMark,
		`{"choices":[{"message":{"content":"it is"},"finish_reason":"content_filter"}]}`:      "",
		`{"error":{"message":"no"}}`: "",
		`{`:                          "",
		`[]`:                         "",
	} {
		text, _, err := ReadText([]byte(answer))
		require.Equal(t, want, text, answer)
		require.Equal(t, want == "", err != nil, answer)
	}
	require.Equal(t, `{"model":"m","messages":[],"temperature":0}`, string(AppendPlain(nil, []byte(`{"model":"m","messages":[],"temperature":0,"tools":[],"tool_choice":"auto","parallel_tool_calls":true}`))))
}
