package history_test

import (
	"encoding/json"
	"strings"
	"testing"

	"antwort/shared/history"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

const random = "abcdefgh234567abcdefgh234567" // 28

func TestWhatARequestAsksOfAStore(t *testing.T) {
	for body, want := range map[string]history.Ask{
		`{}`:                                {},
		`{"store":true}`:                    {Store: history.Yes},
		`{"store":false}`:                   {Store: history.No},
		`{"store":null}`:                    {},
		`{"store":"x"}`:                     {},
		`{"previous_response_id":"a"}`:      {Previous: "a"},
		`{"previous_response_\u0069d":"a"}`: {Previous: "a"},
		`{"previous_response_id":"\u0061"}`: {Previous: "a"},
		`{"previous_response_id":7}`:        {},
		`[]`:                                {},
	} {
		got := history.Read([]byte(body))
		require.Equal(t, want.Store, got.Store, body)
		require.Equal(t, want.Previous, got.Previous, body)
	}
	a := history.Read([]byte(`{"a":1, "input" : [ 1 ] ,"b":2}`))
	require.Equal(t, `[ 1 ]`, string(a.Input))
	require.Equal(t, `{"a":1, "input" : [2] ,"b":2}`, string(a.AppendBody(nil, []byte(`[2]`))))
}

func TestItemsAreKeptAsTheyWereSent(t *testing.T) {
	for name, c := range map[string]struct{ input, kept string }{
		"a text":           {`"a\nb \ud83d\ude00"`, `[{"id":"msg_Xi00","type":"message","role":"user","content":"a\nb \ud83d\ude00"}]`},
		"nothing":          {`[]`, `[]`},
		"a message":        {`[{"role":"user","content":"a"}]`, `[{"id":"msg_Xi00","role":"user","content":"a"}]`},
		"blanks":           {`[ { "role" : "user" } , {"type":"reasoning"}]`, `[{"id":"msg_Xi00", "role" : "user" },{"id":"rs_Xi01","type":"reasoning"}]`},
		"an id of theirs":  {`[{"type":"function_call","id":"fc_1"}]`, `[{"type":"function_call","id":"fc_1"}]`},
		"an id twice":      {`[{"type":"message","id":"a"},{"type":"message","id":"a"}]`, `[{"type":"message","id":"a"},{"type":"message","id":"msg_Xi01"}]`},
		"an id of others":  {`[{"type":"message","id":"a b"}]`, `[{"type":"message","id":"msg_Xi00"}]`},
		"an empty id":      {`[{"type":"message","id":""}]`, `[{"type":"message","id":"msg_Xi00"}]`},
		"an id null":       {`[{"id":null,"type":"reasoning"}]`, `[{"id":"rs_Xi00","type":"reasoning"}]`},
		"an id of 65":      {`[{"id":"` + strings.Repeat("a", 65) + `","type":"reasoning"}]`, `[{"id":"rs_Xi00","type":"reasoning"}]`},
		"an id that pairs": {`[{"id":"a b","type":"local_shell_call_output","output":"x"}]`, `[{"id":"lsho_Xi00","call_id":"a b","type":"local_shell_call_output","output":"x"}]`},
		"a type of nobody": {`[{"type":"future"}]`, `[{"id":"item_Xi00","type":"future"}]`},
		"an escaped name":  {`[{"\u0069d":"a","type":"message"}]`, `[{"\u0069d":"a","type":"message"}]`},
		"no object":        {`[{},1,"a"]`, `[{},1,"a"]`},
		"the tenth":        {`[` + strings.Repeat(`{"id":"a"},`, 11) + `{"type":"reasoning"}]`, ""},
		"an output":        {`[{"type":"function_call_output","call_id":"c"}]`, `[{"id":"fco_Xi00","type":"function_call_output","call_id":"c"}]`},
		"an escaped type":  {`[{"type":"function_c\u0061ll"}]`, `[{"id":"fc_Xi00","type":"function_c\u0061ll"}]`},
		"nested members":   {`[{"content":[{"id":"x","type":"y"}],"role":"user"}]`, `[{"id":"msg_Xi00","content":[{"id":"x","type":"y"}],"role":"user"}]`},
		"a custom tool":    {`[{"type":"custom_tool_call"},{"type":"custom_tool_call_output"}]`, `[{"id":"ctc_Xi00","type":"custom_tool_call"},{"id":"ctco_Xi01","type":"custom_tool_call_output"}]`},
	} {
		t.Run(name, func(t *testing.T) {
			got := string(history.Keep(nil, []byte(c.input), "X"))
			if c.kept == "" {
				require.Contains(t, got, `{"id":"rs_Xi11","type":"reasoning"}]`)
				return
			}
			require.Equal(t, c.kept, got)
		})
	}
}

func TestTurnsAreJoined(t *testing.T) {
	const call, output = `{"type":"function_call","id":"fc_1","call_id":"c","status":"completed"}`, `{"type":"function_call_output","id":"fco_1","call_id":"c"}`
	u := func(id string) string { return `{"id":"` + id + `","role":"user"}` }
	turn := func(input, output string) history.Turn {
		return history.Turn{Input: []byte(`[` + input + `]`), Output: []byte(`[` + output + `]`)}
	}
	for name, c := range map[string]struct {
		rules        history.Rules
		turns        []history.Turn
		input        string
		joined       string
		param, error string
	}{
		"in order":             {turns: []history.Turn{turn(u("a"), u("b")), turn(u("c"), u("d")+","+u("e"))}, input: u("f"), joined: u("a") + "," + u("b") + "," + u("c") + "," + u("d") + "," + u("e")},
		"a call, answered":     {turns: []history.Turn{turn(u("a"), call)}, input: output, joined: u("a") + "," + call},
		"an output of no call": {turns: []history.Turn{turn(u("a"), u("b"))}, input: output, param: "input", error: "No tool call found for function call output with call_id c."},
		"two outputs of one":   {turns: []history.Turn{turn(u("a"), call)}, input: output + `,{"type":"function_call_output","call_id":"c"}`, param: "input", error: "No tool call found for function call output with call_id c."},
		"an open call":         {turns: []history.Turn{turn(u("a"), call)}, input: u("z"), param: "input", error: "No tool output found for function call c."},
		"an open call, filled": {rules: history.Rules{Fill: true}, turns: []history.Turn{turn(u("a"), call)}, input: u("z"),
			joined: u("a") + "," + call + `,{"type":"function_call_output","call_id":"c","output":"(no output)"}`},
		"an open search, filled": {rules: history.Rules{Fill: true}, turns: []history.Turn{turn("", `{"type":"tool_search_call","execution":"client","call_id":"c"}`)}, input: u("z"),
			joined: `{"type":"tool_search_call","execution":"client","call_id":"c"},{"type":"tool_search_output","call_id":"c","execution":"client","tools":[]}`},
		"an open patch, filled": {rules: history.Rules{Fill: true}, turns: []history.Turn{turn("", `{"type":"apply_patch_call","call_id":"c"}`)}, input: u("z"),
			joined: `{"type":"apply_patch_call","call_id":"c"},{"type":"apply_patch_call_output","call_id":"c","status":"failed","output":"(no output)"}`},
		"an open custom tool":     {turns: []history.Turn{turn("", `{"type":"custom_tool_call","call_id":"c"}`)}, input: u("z"), param: "input", error: "No tool output found for custom tool call c."},
		"half a call":             {turns: []history.Turn{turn(u("a"), u("b")+`,{"type":"function_call","call_id":"c","status":"incomplete"}`)}, input: u("z"), joined: u("a") + "," + u("b")},
		"half a thought":          {turns: []history.Turn{turn(u("a"), `{"type":"reasoning","status":"incomplete"},`+u("b"))}, input: u("z"), joined: u("a") + "," + u("b")},
		"half a text":             {turns: []history.Turn{turn(u("a"), `{"type":"message","status":"incomplete"}`)}, input: u("z"), joined: u("a") + `,{"type":"message","status":"incomplete"}`},
		"a compaction":            {turns: []history.Turn{turn(u("a"), call), turn(u("b")+`,{"type":"compaction","id":"cmp_1"}`, u("c"))}, input: u("a"), joined: `{"type":"compaction","id":"cmp_1"},` + u("c")},
		"sent again":              {turns: []history.Turn{turn(u("a"), u("b"))}, input: u("x") + "," + u("b"), param: "input[1]", error: "Duplicate item found with id b. Remove duplicate items from your input and try again: the conversation of previous_response_id has it already."},
		"a call_id again":         {turns: []history.Turn{turn(u("a"), call), turn(output, strings.Replace(call, "fc_1", "fc_2", 1))}, input: strings.Replace(output, "fco_1", "fco_2", 1), joined: u("a") + "," + call + "," + output + "," + strings.Replace(call, "fc_1", "fc_2", 1)},
		"an output by its id":     {turns: []history.Turn{turn("", `{"type":"local_shell_call","id":"lsh_1","call_id":"c"}`)}, input: `{"type":"local_shell_call_output","id":"c","output":"x"}`, joined: `{"type":"local_shell_call","id":"lsh_1","call_id":"c"}`},
		"too many items":          {rules: history.Rules{Items: 2}, turns: []history.Turn{turn(u("a"), u("b"))}, input: u("c"), param: "previous_response_id", error: "the conversation has 3 items, the limit is 2: compact it, or start anew"},
		"an item without its key": {turns: []history.Turn{turn(u("a"), u("b"))}, input: `{"type":"function_call_output"}`, joined: u("a") + "," + u("b")},
	} {
		t.Run(name, func(t *testing.T) {
			got, compacted, err := c.rules.Join([]byte("x"), c.turns, []byte(`[`+c.input+`]`))
			if c.error != "" {
				require.NotNil(t, err)
				require.Equal(t, c.error, err.Message)
				require.Equal(t, c.param, err.Param)
				require.Equal(t, 400, err.Status)
				require.Equal(t, "x", string(got))
				return
			}
			require.Nil(t, err)
			require.Equal(t, "x["+c.joined+"]", string(got))
			require.Equal(t, name == "a compaction", compacted)
		})
	}
}

func TestReferencesAreResolved(t *testing.T) {
	stored := []byte(`[{"id":"a","x":1},{"id":"b","x":2}]`)
	index := history.Index{}
	index.Add(stored)
	find := func(id string) ([]byte, *responses.Error) { return index[id], nil }
	for name, c := range map[string]struct{ input, resolved, error string }{
		"none":           {`[{"role":"user","content":"a"}]`, "", ""},
		"a text":         {`"a"`, "", ""},
		"one":            {`[{"type":"item_reference","id":"b"}, {"role":"user"}]`, `[{"id":"b","x":2},{"role":"user"}]`, ""},
		"without a type": {`[{"id":"a"}]`, `[{"id":"a","x":1}]`, ""},
		"unknown":        {`[{"id":"a"},{"id":"c"}]`, "", "Item with id 'c' not found. Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input."},
	} {
		t.Run(name, func(t *testing.T) {
			got, any, err := history.Resolve([]byte(c.input), find)
			if c.error != "" {
				require.Equal(t, c.error, err.Message)
				require.Equal(t, "input[1].id", err.Param)
				require.Equal(t, 404, err.Status)
				return
			}
			require.Nil(t, err)
			require.Equal(t, c.resolved != "", any)
			if !any {
				c.resolved = c.input
			}
			require.Equal(t, c.resolved, string(got))
		})
	}
}

func TestItemsNameTheirResponse(t *testing.T) {
	for id, ok := range map[string]bool{
		"msg_" + random + "00": true, "fc_" + random + "12": true, "msg_" + random + "i00": true, "item_" + random + "i123": true,
		"": false, "msg_": false, "msg": false, random: false, "msg_" + random: false, "msg_" + random + "0": false, "msg_" + random + "i0": false,
		"msg_" + random + "x0": false, "msg_" + random + "ii0": false,
	} {
		got, is := history.Origin(id)
		require.Equal(t, ok, is, id)
		if ok {
			require.Equal(t, random, got)
		}
	}
}

func TestItemsAreListed(t *testing.T) {
	kept := []byte(`[{"id":"a","role":"user","content":"x\n"},{"id":"b","type":"function_call","status":"completed"},{"id":"c","type":"message","role":"assistant","status":"incomplete","content":"y"},` +
		`{"id":"d","type":"message","role":"user","content":[{"type":"input_image","image_url":"data:x"},{"type":"input_image","image_url":"https://x"}]}]`)
	shown := map[string]string{
		"a": `{"id":"a","role":"user","content":[{"type":"input_text","text":"x\n"}],"type":"message","status":"completed"}`,
		"b": `{"id":"b","type":"function_call","status":"completed"}`,
		"c": `{"id":"c","type":"message","role":"assistant","status":"incomplete","content":[{"type":"output_text","annotations":[],"text":"y"}]}`,
		"d": `{"id":"d","type":"message","role":"user","content":[{"type":"input_image","image_url":null},{"type":"input_image","image_url":"https://x"}],"status":"completed"}`,
	}
	for _, c := range []struct {
		page history.Page
		want string
		more bool
	}{
		{history.Page{Limit: 20}, "dcba", false},
		{history.Page{Limit: 20, Ascending: true}, "abcd", false},
		{history.Page{Limit: 2}, "dc", true},
		{history.Page{Limit: 2, After: "c"}, "ba", false},
		{history.Page{Limit: 2, After: "a"}, "", false},
		{history.Page{Limit: 1, After: "b", Ascending: true}, "c", true},
	} {
		got, err := c.page.Append(nil, kept)
		require.Nil(t, err)
		var list struct {
			Object string
			Data   []json.RawMessage
			First  *string `json:"first_id"`
			Last   *string `json:"last_id"`
			More   bool    `json:"has_more"`
		}
		require.NoError(t, json.Unmarshal(got, &list))
		require.Equal(t, "list", list.Object)
		require.Equal(t, c.more, list.More)
		require.Len(t, list.Data, len(c.want))
		for i, id := range c.want {
			require.Equal(t, shown[string(id)], string(list.Data[i]))
		}
		if c.want == "" {
			require.Nil(t, list.First)
			require.Nil(t, list.Last)
			continue
		}
		require.Equal(t, c.want[:1], *list.First)
		require.Equal(t, c.want[len(c.want)-1:], *list.Last)
	}
	_, err := history.Page{Limit: 2, After: "z"}.Append(nil, kept)
	require.Equal(t, "after", err.Param)
	got, err := history.Page{Limit: 1, Images: true}.Append(nil, kept)
	require.Nil(t, err)
	require.Contains(t, string(got), `"image_url":"data:x"`)
}
