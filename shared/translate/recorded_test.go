package translate_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The Responses requests of the recorded cases become the chat requests that
// vLLM's answers were recorded for.
func TestRecordedRequests(t *testing.T) {
	recorded := 0
	for _, c := range cases(t) {
		if c.Recorded == nil {
			continue
		}
		recorded++
		t.Run(c.Name, func(t *testing.T) {
			var want, got map[string]any
			require.NoError(t, json.Unmarshal(c.Recorded, &want))
			require.NoError(t, json.Unmarshal(c.Expected.Chat, &got))
			if n, ok := want["max_tokens"].(float64); ok {
				delete(want, "max_tokens")
				want["max_completion_tokens"] = max(n, 16) // the least that the Responses API allows
			}
			delete(got, "stream")
			delete(got, "stream_options")
			require.Equal(t, want, got)
		})
	}
	require.Greater(t, recorded, 40)
}
