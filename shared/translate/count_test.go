package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
	"antwort/shared/responses"
)

func TestWhatCountsIsTheChatRequestItself(t *testing.T) {
	for name, c := range map[string]struct {
		how        Count
		chat, want string
	}{
		"prompt and tools": {config.Tokenize, `{"model":"m","messages":[{}],"stream":true,"temperature":1,"tools":[{"a":"}"}],"tool_choice":"auto"}`,
			`{"model":"m","messages":[{}],"tools":[{"a":"}"}],"add_generation_prompt":true}`},
		"a prompt that ends otherwise": {config.Tokenize, `{"model":"m","messages":[],"continue_final_message":true,"chat_template":"t"}`,
			`{"model":"m","messages":[],"continue_final_message":true,"chat_template":"t"}`},
		"template": {config.Tokenize, `{"model":"m","messages":[],"chat_template_kwargs":{"a":1,"documents":2},"documents":[]}`,
			`{"model":"m","messages":[],"add_generation_prompt":true,"chat_template_kwargs":{"a":1,"documents":[]}}`},
		"empty template": {config.Tokenize, `{"model":"m","messages":[],"chat_template_kwargs":{}}`, `{"model":"m","messages":[],"add_generation_prompt":true,"chat_template_kwargs":{}}`},
		"effort": {config.Tokenize, `{"model":"m","messages":[],"reasoning_effort":"high","chat_template_kwargs":{"reasoning_effort":"low"}}`,
			`{"model":"m","messages":[],"add_generation_prompt":true,"chat_template_kwargs":{"reasoning_effort":"high","enable_thinking":true}}`},
		"the template's effort": {config.Tokenize, `{"model":"m","messages":[],"chat_template_kwargs":{"reasoning_effort":"low"}}`,
			`{"model":"m","messages":[],"add_generation_prompt":true,"chat_template_kwargs":{"reasoning_effort":"low"}}`},
		"one token": {config.CompletionCount, `{"model":"m","messages":[{}],"stream":true,"stream_options":{},"max_completion_tokens":9,"logprobs":true,"top_logprobs":2,"tool_choice":"required","seed":1}`,
			`{"model":"m","messages":[{}],"tool_choice":"auto","seed":1,"max_completion_tokens":1}`},
		"one token after a choice": {config.CompletionCount, `{"model":"m","messages":[],"tool_choice":"none"}`, `{"model":"m","messages":[],"tool_choice":"none","max_completion_tokens":1}`},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, c.want, string(c.how.Append(nil, []byte(c.chat)))) })
	}
	require.Equal(t, "/tokenize", Count(config.Tokenize).Path())
	require.Equal(t, "/v1/chat/completions", Count(config.CompletionCount).Path())
}

func TestCountIsReadOfTheAnswer(t *testing.T) {
	for _, c := range []struct {
		how    Count
		answer string
		want   int64
	}{
		{config.Tokenize, ` {"tokens":[1,2],"count":2}`, 2},
		{config.Tokenize, `{"tokens":[` + strings.Repeat("12345,", 600_000) + `1],"count":2}`, 2},
		{config.Tokenize, `{"tokens":[` + strings.Repeat("12345,", 700_000) + `1],"count":2}`, 0}, // too far behind
		{config.CompletionCount, `{"count":9,"usage":{"completion_tokens":1,"prompt_tokens":12}}`, 12},
		{config.CompletionCount, `{"usage":null}`, 0},
		{config.CompletionCount, `{"count":9}`, 0},
		{config.Tokenize, `{"count":1.5}`, 0},
		{config.Tokenize, `[1]`, 0},
		{config.Tokenize, `{"count":2`, 0},
	} {
		got, err := c.how.Read([]byte(c.answer))
		require.Equal(t, c.want, got, c.answer)
		require.Equal(t, c.want == 0, err != nil, c.answer)
	}
	require.Equal(t, `{"object":"response.input_tokens","input_tokens":2}`, string(AppendCount(nil, 2)))
}

func TestUncountableIsNamed(t *testing.T) {
	const image = `{"type":"input_image","image_url":"data:image/png;base64,AA=="}`
	past := &Past{Items: []byte(`[{"role":"user","content":[` + image + `]}]`)}
	for _, c := range []struct {
		how         Count
		past        *Past
		input, want string
	}{
		{config.Tokenize, nil, `"hi"`, ""},
		{config.Tokenize, nil, `[{"role":"user","content":[{"type":"input_text","text":"a"},` + image + `]}]`, "input[0].content[1]"},
		{config.Tokenize, nil, `[{"role":"user","content":[{"type":"input_video","video_url":"data:video/mp4;base64,AA=="}]}]`, "input[0].content[0]"},
		{config.Tokenize, past, `"hi"`, "previous_response_id"},
		{config.Tokenize, &Past{Items: past.Items, Conversation: "conv_a"}, `"hi"`, "conversation"},
		{config.CompletionCount, past, `"hi"`, ""},
	} {
		body := []byte(`{"model":"m","input":` + c.input + `}`)
		_, turn, err := New(Options{}).Continued(nil, body, len(body), c.past, "id", 1)
		require.Nil(t, err)
		if e := c.how.Uncountable(turn); c.want == "" {
			require.Nil(t, e)
		} else {
			require.Equal(t, c.want, e.Param)
		}
		turn.Free()
	}
}

func TestAServerThatCannotCountIsNamed(t *testing.T) {
	notFound := responses.NewError(404, "", "Not Found")
	require.Equal(t, 501, Count(config.Tokenize).Refused(notFound).Status)
	require.Same(t, notFound, Count(config.CompletionCount).Refused(notFound))
	noModel := responses.NewError(404, "model_not_found", "there is no such model")
	require.Same(t, noModel, Count(config.Tokenize).Refused(noModel))
}
