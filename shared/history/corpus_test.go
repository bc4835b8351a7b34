package history_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/history"
	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

// Every case of the corpus goes on for two turns, once with what was kept of it, in a
// chain and in a conversation, and once with the whole history sent again: the model
// gets the same bytes.
func TestHistoryByChainIsHistoryInline(t *testing.T) {
	cases, err := corpus.Load()
	require.NoError(t, err)
	compared := 0
	for i := range cases {
		c := &cases[i]
		t.Run(c.Name, func(t *testing.T) {
			ask := history.Read(c.Request)
			translator := translate.New(c.Options)
			output, ok := answerOf(translator, c, c.Request, &translate.Past{Stored: true})
			if !ok {
				return // no answer that could go on
			}
			var turns []history.Turn
			var conversation []json.RawMessage
			inline := itemsSent(ask.Input)
			input := ask.Input
			for range 2 {
				kept := history.Keep(nil, input, corpus.ID+"x"[:len(turns)])
				turns = append(turns, history.Turn{Input: kept, Output: output})
				inline = append(inline, whole(elements(output))...)
				add := func(_ string, raw []byte) { conversation = append(conversation, raw) }
				history.Each(history.KeepApart(nil, input, corpus.ID+"c"[:len(turns)-1], 0), false, add)
				history.Each(output, true, add)
				next := append(outputsFor(t, inline), json.RawMessage(`{"role":"user","content":"go on"}`))
				input = array(next)
				output = []byte(`[{"id":"msg_second","type":"message","role":"assistant","content":[{"type":"output_text","text":"\ud83d\ude00 yes"}],"status":"completed"}]`)

				past, _, failed := history.Rules{}.Join(nil, turns, history.Keep(nil, input, corpus.ID+"y"))
				if failed != nil {
					require.Contains(t, failed.Message, "No tool call found", "the input has an output without a call")
					return
				}
				inline = append(inline, next...)
				chain, e := translated(translator, ask.AppendBody(nil, input), &translate.Past{Stored: true, Items: past})
				require.Nil(t, e)
				want, e := translated(translator, ask.AppendBody(nil, array(inline)), nil)
				require.Nil(t, e)
				require.Equal(t, string(want), string(chain))

				past, _, failed = history.Rules{Field: history.Conversation}.Join(nil, []history.Turn{{Input: array(conversation)}}, history.KeepApart(nil, input, corpus.ID+"d", 0))
				require.Nil(t, failed)
				conversed, e := translated(translator, ask.AppendBody(nil, input), &translate.Past{Stored: true, Items: past})
				require.Nil(t, e)
				require.Equal(t, string(want), string(conversed))
				ids := map[string]bool{}
				history.Each(array(conversation), false, func(id string, _ []byte) {
					require.NotEmpty(t, id)
					require.False(t, ids[id], "%s stands once", id)
					ids[id] = true
				})
				compared++
			}
		})
	}
	require.Greater(t, compared, 600)
}

func translated(tr *translate.Translator, body []byte, past *translate.Past) ([]byte, *responses.Error) {
	chat, turn, err := tr.Continued(nil, body, len(body)/8, past, corpus.ID, corpus.Created)
	if err == nil {
		turn.Free()
	}
	return chat, err
}

// answerOf returns the items of the case's answer.
func answerOf(tr *translate.Translator, c *corpus.Case, body []byte, past *translate.Past) ([]byte, bool) {
	if c.Status != 200 || jsontext.Check(body, jsontext.Limits{Depth: 200}) != nil {
		return nil, false
	}
	_, turn, err := tr.Continued(nil, body, len(body)/8, past, corpus.ID, corpus.Created)
	if err != nil {
		return nil, false
	}
	defer turn.Free()
	if turn.Streaming() {
		_, err = corpus.Stream(nil, turn.Stream(), append(slices.Clone(c.Stream), c.Answer...))
	} else {
		_, err = turn.Response(nil, c.Answer, corpus.Ended)
	}
	o := turn.Outcome()
	if err != nil || o.Failed() {
		return nil, false
	}
	start, end := o.Output()
	return bytes.Clone(o.Resource[start:end]), true
}

func itemsSent(input []byte) []json.RawMessage {
	if text, ok := jsontext.Text(input); ok {
		return []json.RawMessage{json.RawMessage(`{"role":"user","content":"` + string(text) + `"}`)}
	}
	return elements(input)
}

func elements(list []byte) (items []json.RawMessage) {
	jsontext.Elements(list, func(item []byte) bool {
		items = append(items, item)
		return true
	})
	return items
}

func array(items []json.RawMessage) []byte {
	return append(append([]byte{'['}, bytes.Join(asBytes(items), []byte{','})...), ']')
}

func asBytes(items []json.RawMessage) (b [][]byte) {
	for _, item := range items {
		b = append(b, item)
	}
	return b
}

type someItem struct {
	Type, ID, Status, Execution string
	CallID                      *string `json:"call_id"`
}

// whole leaves out what clients would not send again.
func whole(items []json.RawMessage) (left []json.RawMessage) {
	for _, raw := range items {
		var it someItem
		if json.Unmarshal(raw, &it) != nil || it.Type == "message" || it.Status == "" || it.Status == "completed" {
			left = append(left, raw)
		}
	}
	return left
}

// outputsFor carries out the calls that are open.
func outputsFor(t *testing.T, items []json.RawMessage) (outputs []json.RawMessage) {
	open := map[string]int{}
	var order []someItem
	for _, raw := range items {
		var it someItem
		if json.Unmarshal(raw, &it) != nil {
			continue
		}
		if it.Execution == "server" {
			continue
		}
		if it.CallID == nil {
			it.CallID = &it.ID
		}
		switch it.Type {
		case "function_call", "custom_tool_call", "local_shell_call", "shell_call", "apply_patch_call", "tool_search_call":
			open[*it.CallID]++
			order = append(order, it)
		case "function_call_output", "custom_tool_call_output", "local_shell_call_output", "shell_call_output", "apply_patch_call_output", "tool_search_output":
			open[*it.CallID]--
		}
	}
	for _, call := range order {
		if open[*call.CallID]--; open[*call.CallID] < 0 {
			continue
		}
		m := map[string]any{"type": call.Type + "_output", "call_id": *call.CallID, "output": "done"}
		switch call.Type {
		case "tool_search_call":
			m = map[string]any{"type": "tool_search_output", "call_id": *call.CallID, "execution": "client", "tools": []any{}}
		case "apply_patch_call":
			m["status"] = "completed"
		}
		b, err := json.Marshal(m)
		require.NoError(t, err)
		outputs = append(outputs, b)
	}
	return outputs
}
