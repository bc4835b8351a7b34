package history_test

import (
	"encoding/json"
	"testing"

	"antwort/shared/history"
	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

// Whatever is sent: what is kept and joined is JSON, with as many items, each with an
// id that no other has, and nothing else of it is changed.
func FuzzSplice(f *testing.F) {
	for _, seed := range []string{`"a"`, `[]`, `[{"role":"user","content":"x"}]`, `[ {"id" : null,"type":"reasoning"}, {"id":"a"},{"id":"a"}]`,
		`[{"type":"function_call","call_id":"c"},{"type":"function_call_output","call_id":"c"}]`, `[{"type":"compaction"},{"type":"local_shell_call_output","id":"a b"}]`} {
		f.Add([]byte(seed), []byte(`[{"type":"reasoning","status":"incomplete"}]`))
	}
	f.Fuzz(func(t *testing.T, input, output []byte) {
		limits := jsontext.Limits{Depth: 64}
		if jsontext.Check(input, limits) != nil || jsontext.Check(output, limits) != nil {
			return
		}
		var sent, kept []json.RawMessage
		isArray := json.Unmarshal(input, &sent) == nil
		got := history.Keep(nil, input, random)
		require.NoError(t, jsontext.Check(got, jsontext.Limits{Depth: 65}))
		require.NoError(t, json.Unmarshal(got, &kept))
		if isArray {
			require.Len(t, kept, len(sent))
		}
		joined, _, err := history.Rules{Fill: true}.Join(nil, []history.Turn{{Input: got, Output: output}}, []byte(`[]`))
		if err == nil {
			require.NoError(t, jsontext.Check(joined, jsontext.Limits{Depth: 65}))
		}
		page, err := history.Page{Limit: 100}.Append(nil, got)
		require.Nil(t, err)
		require.NoError(t, jsontext.Check(page, jsontext.Limits{Depth: 70}))
		body := append(append([]byte(`{"input":`), input...), '}')
		ask := history.Read(body)
		require.NoError(t, jsontext.Check(ask.AppendBody(nil, got), jsontext.Limits{Depth: 70}))
	})
}
