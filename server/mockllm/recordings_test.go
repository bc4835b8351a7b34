package mockllm_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
)

// deviations are the recordings that need a word to the mock, because a real
// model decided something there that a mock cannot know.
var deviations = map[string]struct {
	headers map[string]string
	change  map[string]any // request fields
	why     string
}{
	"auto_tool":          {headers: map[string]string{"X-Mock-Text": "21 degrees."}, why: "the small model did not call the tool it was told to call"},
	"json_object":        {headers: map[string]string{"X-Mock-Text": strings.Repeat("{ ", 80)}, why: "the small model did not come to an end"},
	"tool_result":        {headers: map[string]string{"X-Mock-Text": "The weather in Paris is beautiful."}, why: "the echo is longer than max_tokens"},
	"tool_cut_by_length": {change: map[string]any{"max_tokens": 15}, why: "the mock's tokens are longer than the model's"},
}

// TestRecordings sends every recorded request and compares status, error body,
// and the shape of the answer: keys, types, order and pattern of the chunks.
func TestRecordings(t *testing.T) {
	plain := httptest.NewServer(mockllm.New(mockllm.Options{MaxModelLen: 4096}))
	defer plain.Close()
	reasoning := httptest.NewServer(mockllm.New(mockllm.Options{MaxModelLen: 4096, ReasoningParser: true}))
	defer reasoning.Close()

	files, err := filepath.Glob("testdata/vllm/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			var recorded struct {
				Request json.RawMessage
				Status  int
				Body    json.RawMessage
			}
			readJSON(t, file, &recorded)
			server := plain
			if strings.Contains(string(recorded.Body), `"reasoning_tokens"`) {
				server = reasoning
			}
			request := []byte(`{"model":`) // what error_bad_json was made with
			if string(recorded.Request) != "null" {
				request = change(t, recorded.Request, deviations[name].change)
			}
			status, body := post(t, server.URL, request, deviations[name].headers)
			require.Equal(t, recorded.Status, status, "%s", body)
			if recorded.Status != http.StatusOK {
				assert.JSONEq(t, string(recorded.Body), string(body))
				return
			}
			assert.Equal(t, shape(t, recorded.Body), shape(t, body))
			assert.Equal(t, verdict(t, recorded.Body), verdict(t, body))

			raw, err := os.ReadFile(strings.TrimSuffix(file, ".json") + ".sse")
			if os.IsNotExist(err) {
				return // reasoning_then_tool was not streamed
			}
			require.NoError(t, err)
			extra := map[string]any{"stream": true}
			if name != "no_usage" {
				extra["stream_options"] = map[string]any{"include_usage": true}
			}
			status, body = post(t, server.URL, change(t, request, extra), deviations[name].headers)
			require.Equal(t, http.StatusOK, status, "%s", body)
			assert.Equal(t, pattern(t, raw), pattern(t, body))
		})
	}
}

func TestQuickstartAnswers(t *testing.T) {
	server := httptest.NewServer(mockllm.New(mockllm.Options{}))
	defer server.Close()
	for prompt, want := range map[string]string{
		"What is the capital of France? Answer in one sentence.": "The capital of France is Paris.",
		"Count from 1 to 5.": "1, 2, 3, 4, 5",
	} {
		_, body := post(t, server.URL, fmt.Appendf(nil, `{"messages":[{"role":"user","content":[{"type":"text","text":%q}]}]}`, prompt), nil)
		assert.Equal(t, want, content(t, body))
	}
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, v))
}

func change(t *testing.T, request []byte, fields map[string]any) []byte {
	t.Helper()
	if len(fields) == 0 {
		return request
	}
	var m map[string]any
	require.NoError(t, json.Unmarshal(request, &m))
	maps.Copy(m, fields)
	b, err := json.Marshal(m)
	require.NoError(t, err)
	return b
}

func post(t *testing.T, url string, body []byte, headers map[string]string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/json")
	for k, v := range headers {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, b
}

// shape is a JSON document with types instead of values, its keys in order.
func shape(t *testing.T, doc []byte) string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	s, err := shapeOf(dec)
	require.NoError(t, err, "%s", doc)
	return s
}

func shapeOf(dec *json.Decoder) (string, error) {
	token, err := dec.Token()
	if err != nil {
		return "", err
	}
	switch token {
	case json.Delim('{'):
		var members []string
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return "", err
			}
			value, err := shapeOf(dec)
			if err != nil {
				return "", err
			}
			members = append(members, fmt.Sprint(key, ":", value))
		}
		_, err = dec.Token()
		return "{" + strings.Join(members, " ") + "}", err
	case json.Delim('['):
		var items []string
		for dec.More() {
			item, err := shapeOf(dec)
			if err != nil {
				return "", err
			}
			if !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
		_, err = dec.Token()
		return "[" + strings.Join(items, "|") + "]", err
	}
	switch token.(type) {
	case nil:
		return "null", nil
	case json.Number:
		return "number", nil
	}
	return fmt.Sprintf("%T", token), nil
}

type choice struct {
	Message struct {
		Content   *string
		ToolCalls []struct {
			Function struct{ Name string }
		} `json:"tool_calls"`
	}
	FinishReason string  `json:"finish_reason"`
	StopReason   *string `json:"stop_reason"`
}

func firstChoice(t *testing.T, body []byte) choice {
	t.Helper()
	var v struct{ Choices []choice }
	require.NoError(t, json.Unmarshal(body, &v), "%s", body)
	require.NotEmpty(t, v.Choices, "%s", body)
	return v.Choices[0]
}

func content(t *testing.T, body []byte) string {
	t.Helper()
	c := firstChoice(t, body).Message.Content
	require.NotNil(t, c, "%s", body)
	return *c
}

// verdict is how an answer ended and what it called.
func verdict(t *testing.T, body []byte) string {
	c := firstChoice(t, body)
	s := c.FinishReason
	if c.StopReason != nil {
		s += " at " + *c.StopReason
	}
	for _, call := range c.Message.ToolCalls {
		s += " " + call.Function.Name
	}
	if c.Message.Content != nil && *c.Message.Content == "" {
		s += " empty"
	}
	return s
}

// pattern is the sequence of chunk shapes of a stream, repetitions once. The
// text that a delta carries is not part of it, a finish_reason is.
func pattern(t *testing.T, stream []byte) []string {
	t.Helper()
	var out []string
	for event := range strings.SplitSeq(strings.TrimSuffix(string(stream), "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(event, "data: ")
		require.True(t, ok, "event %q", event)
		kind := data
		if data != "[DONE]" {
			kind = shape(t, []byte(data))
			var chunk struct {
				Choices []struct {
					FinishReason *string `json:"finish_reason"`
					StopReason   any     `json:"stop_reason"`
				}
			}
			require.NoError(t, json.Unmarshal([]byte(data), &chunk))
			if len(chunk.Choices) > 0 && chunk.Choices[0].FinishReason != nil {
				kind += fmt.Sprint(" ", *chunk.Choices[0].FinishReason, " ", chunk.Choices[0].StopReason)
			}
		}
		if len(out) == 0 || out[len(out)-1] != kind {
			out = append(out, kind)
		}
	}
	return out
}
