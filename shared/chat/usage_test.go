package chat_test

import (
	"testing"

	"antwort/shared/chat"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// Numbers of tokens are read in whatever way servers write them, and nothing else is
// taken for one.
func TestCountsOfTokens(t *testing.T) {
	for written, want := range map[string]int64{
		`10`: 10, `0`: 0, `10.0`: 10, `1e3`: 1000, `0.0`: 0, `9007199254740991`: 1<<53 - 1,
		`9007199254740992`: 0, `99999999999999999999`: 0, `-1`: 0, `"10"`: 0, `null`: 0, `[10]`: 0, `true`: 0,
	} {
		t.Run(written, func(t *testing.T) {
			v, err := fastjson.Parse(`{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":` + written + `,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":` + written + `}}}`)
			require.NoError(t, err)
			var a chat.Answer
			a.Read(v)
			require.Equal(t, chat.Usage{Known: true, Input: 7, Output: want, Total: 9, Cached: want}, a.Usage)
		})
	}
}
