package chat

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// A thought in two fields is that of the second where the first has blanks only. What is no
// valid text, which the parser lets through, is no blank.
func TestABlankThoughtIsNone(t *testing.T) {
	for first, blank := range map[string]bool{
		``: true, ` `: true, `\n`: true, ` \u0020`: true, " \n": true, `a`: false, ` a`: false, `\n.`: false,
		" " + strings.Repeat(`\n`, 3_000): true, strings.Repeat(" ", 4_095) + "\u3000" + strings.Repeat(" ", 5_000): true,
		strings.Repeat(" ", 5_000) + "a": false, " " + strings.Repeat(`\n`, 3_000) + `\x`: false,
		`\ud800`: false, ` \ud83d`: false, `\x`: false, ` \u12`: false, `\ud800\u0041`: false,
	} {
		var a Answer
		a.ReadChunk(fastjson.MustParse(`{"choices":[{"delta":{"reasoning":"` + first + `","reasoning_content":"b"}}]}`))
		require.Equal(t, blank, a.Mixed, first)
		require.Equal(t, blank, a.Reasoning.String() == `"b"`, first)
	}
}

// What an answer says in a word is kept as long as it comes: no more of it than a word has.
func TestWordsOfAnAnswerAreShort(t *testing.T) {
	long := strings.Repeat("\u00e9", 1000)
	for _, answer := range []string{
		`{"choices":[{"delta":{"content":"a"},"finish_reason":"` + long + `"}]}`,
		`{"choices":[{"delta":{"` + long + `":"a"}}]}`,
	} {
		var a Answer
		a.ReadChunk(fastjson.MustParse(answer))
		kept := a.Finish + a.Unread
		require.NotEmpty(t, kept)
		require.LessOrEqual(t, len(kept), 64)
		require.True(t, strings.HasPrefix(long, kept))
	}
}
