// Package openaigo drives the official openai-go package through the chain.
// The mock model answers with what it received, so a lost input shows.
package openaigo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/conversations"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/param"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/clients/report"
)

const model = "/mnt/models"

func TestClient(t *testing.T) {
	client := openai.NewClient(option.WithBaseURL(report.URL(t)+"/v1"), option.WithAPIKey("unused"), option.WithMaxRetries(0))
	cases := []struct {
		name, proves string
		run          func(t *testing.T, ctx context.Context, c openai.Client)
	}{
		{"create", "the prompt reaches the model; every field that the SDK declares is there", create},
		{"required-fields", "no required field of the response is missing, the nullable ones are null (litellm#41972)", requiredFields},
		{"stream", "lifecycle in order, deltas equal the final text, usage in the last event (openai/codex#41340)", stream},
		{"tools", "reasoning and two calls go back as one assistant message with their results (litellm#21154, #13420)", tools},
		{"stream-tools", "calls, text and reasoning of one stream are items one after another (litellm#17246)", streamTools},
		{"json-schema", "a strict schema reaches the model and comes back with the answer", jsonSchema},
		{"image", "an image part reaches the model with its detail and every byte", image},
		{"incomplete", "a cut answer is incomplete, whole and streamed (litellm#37710)", incomplete},
		{"stored", "previous_response_id goes on, whole and streamed; a response is read again, its input items page, and it is deleted", stored},
		{"background", "a response in the background is polled, its events are read on from any, and it is cancelled", background},
		{"conversation", "a conversation is made, responses on it see it and become a part of it, and it is deleted", conversation},
		{"errors", "statuses are *openai.Error with type, code and param", apiErrors},
		{"stream-cut", "a stream that upstream cuts ends with response.failed or an error, never completed (codex-lb#1833)", streamCut},
		{"stream-silence", "a silent stream is kept alive, and the comments that do it disturb nothing (litellm#34821)", streamSilence},
		{"extra-fields", "vLLM's own parameters pass to the model", extraFields},
	}
	for _, c := range cases {
		report.Case(t, c.name, c.proves, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c.run(t, ctx, client)
		})
	}
}

func ask(text string) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(text)}}
}

func items(list ...responses.ResponseInputItemUnionParam) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Input: responses.ResponseNewParamsInputUnion{OfInputItemList: list}}
}

func userMessage(text string) responses.ResponseInputItemUnionParam {
	return responses.ResponseInputItemParamOfMessage(text, responses.EasyInputMessageRoleUser)
}

func function(name, property string) responses.ToolUnionParam {
	return responses.ToolUnionParam{OfFunction: &responses.FunctionToolParam{
		Name: name, Strict: openai.Bool(true), Parameters: map[string]any{"type": "object", "additionalProperties": false,
			"properties": map[string]any{property: map[string]any{"type": "string"}}, "required": []string{property}}}}
}

// verbatim is an output item as input, byte for byte.
func verbatim(item responses.ResponseOutputItemUnion) responses.ResponseInputItemUnionParam {
	return param.Override[responses.ResponseInputItemUnionParam](json.RawMessage(item.RawJSON()))
}

func create(t *testing.T, ctx context.Context, c openai.Client) {
	p := ask("Grüße 👋")
	p.Instructions = openai.String("You are terse.")
	p.Temperature = openai.Float(0.5)
	p.Metadata = shared.Metadata{"trace": "t1"}
	r, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	text := r.OutputText()
	assert.Contains(t, text, `1 system: "You are terse."`)
	assert.Contains(t, text, `2 user: "Grüße 👋"`)
	assert.Contains(t, text, "temperature=0.5")
	assert.Equal(t, responses.ResponseStatusCompleted, r.Status)
	assert.Equal(t, shared.Metadata{"trace": "t1"}, r.Metadata)
	assert.Equal(t, r.Usage.TotalTokens, r.Usage.InputTokens+r.Usage.OutputTokens)
	assert.Positive(t, r.Usage.OutputTokens)
}

func requiredFields(t *testing.T, ctx context.Context, c openai.Client) {
	r, err := c.Responses.New(ctx, ask("hi"))
	require.NoError(t, err)
	var body map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(r.RawJSON()), &body))
	for _, key := range strings.Fields(`id object created_at status model output tools tool_choice truncation parallel_tool_calls text top_p
		presence_penalty frequency_penalty top_logprobs temperature store background service_tier metadata usage completed_at`) {
		assert.Contains(t, body, key)
		assert.NotEqual(t, "null", string(body[key]), key)
	}
	for _, key := range strings.Fields(`incomplete_details previous_response_id instructions error reasoning max_output_tokens max_tool_calls
		safety_identifier prompt_cache_key`) {
		assert.Contains(t, body, key)
	}
	for _, key := range []string{"incomplete_details", "previous_response_id", "instructions", "error", "max_output_tokens"} {
		assert.Equal(t, "null", string(body[key]), key)
	}
	assert.NotContains(t, r.Output[0].RawJSON(), `"logprobs":null`)
}

func stream(t *testing.T, ctx context.Context, c openai.Client) {
	s := c.Responses.NewStreaming(ctx, ask("stream me"))
	defer s.Close()
	var types []string
	var text strings.Builder
	var final responses.Response
	for s.Next() {
		e := s.Current()
		assert.EqualValues(t, len(types), e.SequenceNumber)
		types = append(types, e.Type)
		switch e.Type {
		case "response.output_text.delta":
			text.WriteString(e.Delta)
		case "response.completed":
			final = e.Response
		}
	}
	require.NoError(t, s.Err())
	require.Greater(t, len(types), 8)
	assert.Equal(t, []string{"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"}, types[:4])
	assert.Equal(t, []string{"response.output_text.done", "response.content_part.done", "response.output_item.done", "response.completed"}, types[len(types)-4:])
	assert.Contains(t, text.String(), `1 user: "stream me"`)
	assert.Equal(t, text.String(), final.OutputText())
	assert.Positive(t, final.Usage.InputTokens)
}

func tools(t *testing.T, ctx context.Context, c openai.Client) {
	question := userMessage("mock: reasoning=\"my plan\" call=get_weather calls=2\nweather")
	p := items(question)
	p.Tools = []responses.ToolUnionParam{function("get_weather", "city")}
	r, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	require.Len(t, r.Output, 3)
	history := []responses.ResponseInputItemUnionParam{question}
	for _, item := range r.Output {
		history = append(history, verbatim(item))
	}
	for i, item := range r.Output[1:] {
		assert.JSONEq(t, `{"city":"weather"}`, item.Arguments.OfString)
		out := responses.ResponseInputItemParamOfFunctionCallOutput([]string{"sunny", "rainy"}[i])
		out.OfFunctionCallOutput.CallID = openai.String(item.CallID)
		history = append(history, out)
	}
	p.Input.OfInputItemList = history
	r, err = c.Responses.New(ctx, p)
	require.NoError(t, err)
	text := r.OutputText()
	assert.True(t, strings.HasPrefix(text, "The tools say: sunny; rainy"), text)
	lines := assistantLines(text)
	require.Len(t, lines, 1, text)
	assert.Contains(t, lines[0], `reasoning="my plan"`)
	assert.Equal(t, 2, strings.Count(lines[0], "calls get_weather"))
}

func assistantLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, " assistant:") {
			lines = append(lines, line)
		}
	}
	return lines
}

func streamTools(t *testing.T, ctx context.Context, c openai.Client) {
	p := ask("mock: reasoning=\"think\" text=\"I look.\" call=get_weather calls=2 interleave=1\nweather")
	p.Tools = []responses.ToolUnionParam{function("get_weather", "city")}
	s := c.Responses.NewStreaming(ctx, p)
	defer s.Close()
	var order []string
	arguments := map[int64]string{}
	var final responses.Response
	for s.Next() {
		switch e := s.Current().AsAny().(type) {
		case responses.ResponseOutputItemAddedEvent:
			order = append(order, "added "+e.Item.Type)
		case responses.ResponseOutputItemDoneEvent:
			order = append(order, "done "+e.Item.Type)
		case responses.ResponseFunctionCallArgumentsDeltaEvent:
			arguments[e.OutputIndex] += e.Delta
		case responses.ResponseCompletedEvent:
			final = e.Response
		}
	}
	require.NoError(t, s.Err())
	assert.Equal(t, []string{"added reasoning", "done reasoning", "added message", "done message",
		"added function_call", "done function_call", "added function_call", "done function_call"}, order)
	require.Len(t, final.Output, 4)
	assert.Equal(t, "I look.", final.OutputText())
	for i := int64(2); i < 4; i++ {
		assert.Equal(t, final.Output[i].Arguments.OfString, arguments[i])
		assert.JSONEq(t, `{"city":"weather"}`, arguments[i])
	}
}

func jsonSchema(t *testing.T, ctx context.Context, c openai.Client) {
	p := ask("Ann")
	p.Text = responses.ResponseTextConfigParam{Format: responses.ResponseFormatTextConfigUnionParam{OfJSONSchema: &responses.ResponseFormatTextJSONSchemaConfigParam{
		Name: "person", Strict: openai.Bool(true), Schema: map[string]any{"type": "object", "required": []string{"name", "age"}, "additionalProperties": false,
			"properties": map[string]any{"name": map[string]any{"type": "string"}, "age": map[string]any{"type": "integer", "minimum": 21}}},
	}}}
	r, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"Ann","age":21}`, r.OutputText())
	assert.Equal(t, "json_schema", r.Text.Format.Type)
	assert.Equal(t, "person", r.Text.Format.Name)
	assert.Contains(t, r.Text.Format.Schema, "properties")
}

func image(t *testing.T, ctx context.Context, c openai.Client) {
	const url = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
	r, err := c.Responses.New(ctx, items(responses.ResponseInputItemParamOfMessage(responses.ResponseInputMessageContentListParam{
		responses.ResponseInputContentParamOfInputText("what is this?"),
		{OfInputImage: &responses.ResponseInputImageParam{ImageURL: openai.String(url), Detail: responses.ResponseInputImageDetailLow}},
	}, responses.EasyInputMessageRoleUser)))
	require.NoError(t, err)
	assert.Contains(t, r.OutputText(), `[text "what is this?"] [image_url image/png 118 bytes sha256:`)
	assert.Contains(t, r.OutputText(), `detail="low"`)
}

func incomplete(t *testing.T, ctx context.Context, c openai.Client) {
	p := ask("please echo this at length")
	p.MaxOutputTokens = openai.Int(16)
	r, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, responses.ResponseStatusIncomplete, r.Status)
	assert.Equal(t, "max_output_tokens", r.IncompleteDetails.Reason)
	s := c.Responses.NewStreaming(ctx, p)
	defer s.Close()
	last := ""
	for s.Next() {
		last = s.Current().Type
	}
	require.NoError(t, s.Err())
	assert.Equal(t, "response.incomplete", last)
}

func stored(t *testing.T, ctx context.Context, c openai.Client) {
	report.NeedsServer(t)
	var numbers []string
	var input []responses.ResponseInputItemUnionParam
	for n := range 45 {
		numbers = append(numbers, fmt.Sprint("number ", n))
		input = append(input, userMessage(numbers[n]))
	}
	first, err := c.Responses.New(ctx, items(input...))
	require.NoError(t, err)
	read, err := c.Responses.Get(ctx, first.ID, responses.ResponseGetParams{})
	require.NoError(t, err)
	assert.Equal(t, first.RawJSON(), read.RawJSON())
	var got []string
	pages := c.Responses.InputItems.ListAutoPaging(ctx, first.ID, responses.InputItemListParams{Limit: openai.Int(7), Order: responses.InputItemListParamsOrderAsc})
	for pages.Next() {
		got = append(got, pages.Current().Content.OfInputItemContentList[0].Text)
	}
	require.NoError(t, pages.Err())
	assert.Equal(t, numbers, got)
	p := ask("and now?")
	p.PreviousResponseID = openai.String(first.ID)
	second, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	p = ask("and then?")
	p.PreviousResponseID = openai.String(second.ID)
	s := c.Responses.NewStreaming(ctx, p)
	defer s.Close()
	var final responses.Response
	for s.Next() {
		if e := s.Current(); e.Type == "response.completed" {
			final = e.Response
		}
	}
	require.NoError(t, s.Err())
	for _, part := range []string{`user: "number 44"`, `user: "and now?"`, `user: "and then?"`} {
		assert.Contains(t, final.OutputText(), part)
	}
	require.NoError(t, c.Responses.Delete(ctx, first.ID))
	_, err = c.Responses.Get(ctx, first.ID, responses.ResponseGetParams{})
	var e *openai.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "response_not_found", e.Code)
}

func background(t *testing.T, ctx context.Context, c openai.Client) {
	report.NeedsServer(t)
	p := ask("mock: tokens=5 delay=10ms")
	p.Background = openai.Bool(true)
	r, err := c.Responses.New(ctx, p)
	require.NoError(t, err)
	assert.Equal(t, responses.ResponseStatusQueued, r.Status)
	require.Eventually(t, func() bool {
		r, err = c.Responses.Get(ctx, r.ID, responses.ResponseGetParams{})
		return err == nil && r.Status == responses.ResponseStatusCompleted
	}, 10*time.Second, 50*time.Millisecond)
	assert.NotEmpty(t, r.OutputText())
	all := func(s *ssestream.Stream[responses.ResponseStreamEventUnion]) (events []string, id string) {
		defer s.Close()
		for s.Next() {
			if events = append(events, s.Current().RawJSON()); len(events) == 1 {
				id = s.Current().Response.ID
			}
		}
		require.NoError(t, s.Err())
		return events, id
	}
	events, id := all(c.Responses.NewStreaming(ctx, p))
	for after := range events {
		// The library says stream in the body of the GET, where nobody looks for it.
		rest, _ := all(c.Responses.GetStreaming(ctx, id, responses.ResponseGetParams{StartingAfter: openai.Int(int64(after))}, option.WithQuery("stream", "true")))
		assert.Equal(t, append([]string(nil), events[after+1:]...), rest)
	}
	p = ask("mock: tokens=1000 delay=50ms")
	p.Background = openai.Bool(true)
	r, err = c.Responses.New(ctx, p)
	require.NoError(t, err)
	for range 2 {
		r, err = c.Responses.Cancel(ctx, r.ID)
		require.NoError(t, err)
		assert.Equal(t, responses.ResponseStatusCancelled, r.Status)
	}
}

func conversation(t *testing.T, ctx context.Context, c openai.Client) {
	report.NeedsServer(t)
	chat, err := c.Conversations.New(ctx, conversations.ConversationNewParams{})
	require.NoError(t, err)
	var last *responses.Response
	for _, text := range []string{"hello", "and now?"} {
		p := ask(text)
		p.Conversation.OfString = openai.String(chat.ID)
		last, err = c.Responses.New(ctx, p)
		require.NoError(t, err)
		assert.Equal(t, chat.ID, last.Conversation.ID)
	}
	assert.Contains(t, last.OutputText(), `1 user: "hello"`)
	assert.Contains(t, last.OutputText(), `3 user: "and now?"`)
	list, err := c.Conversations.Items.List(ctx, chat.ID, conversations.ItemListParams{})
	require.NoError(t, err)
	assert.Len(t, list.Data, 4)
	gone, err := c.Conversations.Delete(ctx, chat.ID)
	require.NoError(t, err)
	assert.True(t, gone.Deleted)
}

func apiErrors(t *testing.T, ctx context.Context, c openai.Client) {
	temperature, model404 := ask("hi"), ask("hi")
	temperature.Temperature = openai.Float(3)
	model404.Model = "no-such-model"
	tool := ask("hi")
	tool.Tools = []responses.ToolUnionParam{{OfWebSearch: &responses.WebSearchToolParam{Type: responses.WebSearchToolTypeWebSearch}}}
	long := ask("mock: text=ok\n" + strings.Repeat("a ", 1<<20))
	state := ask("hi")
	state.PreviousResponseID = openai.String("resp_unknown")
	for _, c2 := range []struct {
		name              string
		p                 responses.ResponseNewParams
		status            int
		typ, code, params string
	}{
		{"temperature", temperature, 400, "invalid_request_error", "", "temperature"},
		{"tool type", tool, 400, "invalid_request_error", "", "tools[0].type"},
		{"model", model404, 404, "not_found_error", "model_not_found", "model"},
		{"context", long, 400, "invalid_request_error", "context_length_exceeded", ""},
		{"state", state, 400, "invalid_request_error", "previous_response_not_found", "previous_response_id"},
		{"rate limit", ask("mock: status=429 retry-after=1\nhi"), 429, "rate_limit_error", "", ""},
		{"server", ask("mock: status=500\nhi"), 500, "server_error", "", ""},
	} {
		_, err := c.Responses.New(ctx, c2.p)
		var e *openai.Error
		if !assert.ErrorAs(t, err, &e, c2.name) {
			continue
		}
		assert.Equal(t, c2.status, e.StatusCode, c2.name)
		assert.Equal(t, c2.typ, e.Type, c2.name)
		if c2.code != "" {
			assert.Equal(t, c2.code, e.Code, c2.name)
		}
		if c2.params != "" {
			assert.Equal(t, c2.params, e.Param, c2.name)
		}
		assert.NotEmpty(t, e.Message, c2.name)
	}
}

func streamCut(t *testing.T, ctx context.Context, c openai.Client) {
	for _, fault := range []string{"cut-after=6", "end-after=6", "error-after=6", "garbage-after=6"} {
		s := c.Responses.NewStreaming(ctx, ask("mock: "+fault+"\nhello there"))
		var types []string
		for s.Next() {
			types = append(types, s.Current().Type)
		}
		assert.Contains(t, types, "response.output_text.delta", fault)
		assert.NotContains(t, types, "response.completed", fault)
		assert.True(t, s.Err() != nil || types[len(types)-1] == "response.failed", "%s: %v %v", fault, types, s.Err())
		var parse *json.SyntaxError
		assert.False(t, errors.As(s.Err(), &parse), "%s: %v", fault, s.Err())
		s.Close()
	}
}

func streamSilence(t *testing.T, ctx context.Context, c openai.Client) {
	report.NeedsServer(t)
	start := time.Now()
	s := c.Responses.NewStreaming(ctx, ask("mock: text=\"a b\" first-delay=4500ms\nhi"))
	defer s.Close()
	var final responses.Response
	for s.Next() {
		switch e := s.Current(); e.Type {
		case "response.created":
			assert.WithinRange(t, time.Now(), start.Add(2900*time.Millisecond), start.Add(4300*time.Millisecond))
		case "response.completed":
			final = e.Response
		}
	}
	require.NoError(t, s.Err())
	assert.Equal(t, "a b", final.OutputText())
}

func extraFields(t *testing.T, ctx context.Context, c openai.Client) {
	r, err := c.Responses.New(ctx, ask("hi"), option.WithJSONSet("top_k", 7), option.WithJSONSet("chat_template_kwargs", map[string]any{"enable_thinking": false}))
	require.NoError(t, err)
	assert.Contains(t, r.OutputText(), "top_k=7")
	assert.Contains(t, r.OutputText(), `chat_template_kwargs={"enable_thinking":false}`)
}
