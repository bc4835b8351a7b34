package streaming

import (
	"strings"
	"testing"

	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// What passes is weighed by its texts, whatever stands around them.
func TestWhatPassesIsWeighed(t *testing.T) {
	chunk := func(choice string) string {
		return `{"id":"` + strings.Repeat("x", 500) + `","choices":[` + choice + `]}`
	}
	for name, c := range map[string]struct {
		data string
		want int64
	}{
		"a short piece":         {chunk(`{"index":0,"delta":{"content":"a"}}`), 1},
		"a long one":            {chunk(`{"index":0,"delta":{"content":"` + strings.Repeat("w ", 200) + `"}}`), 100},
		"a thought":             {chunk(`{"index":0,"delta":{"reasoning_content":"` + strings.Repeat("w ", 200) + `"}}`), 100},
		"of a completion":       {chunk(`{"index":0,"text":"` + strings.Repeat("w ", 200) + `"}`), 100},
		"choices at once":       {chunk(`{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}},{"index":2,"delta":{"content":"c"}}`), 3},
		"arguments of a call":   {chunk(`{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"` + strings.Repeat("w ", 200) + `"}}]}}`), 100},
		"what is deeper":        {chunk(`{"index":0,"delta":{"x":[[[[[["` + strings.Repeat("w ", 200) + `"]]]]]]}}`), 101},
		"a role":                {chunk(`{"index":0,"delta":{"role":"assistant","content":""}}`), 0},
		"an end":                {chunk(`{"index":0,"delta":{},"finish_reason":"stop"}`), 0},
		"log probabilities":     {chunk(`{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"` + strings.Repeat("w ", 200) + `"}]}}`), 1},
		"no choice":             {`{"choices":[]}`, 0},
		"what is no list":       {`{"choices":{"delta":{"content":"abcdefgh"}}}`, 0},
		"what is no JSON":       {`{"choices":[{"delta":{"content":"abcdefgh`, 0},
		"what is nested deeply": {`{"choices":` + strings.Repeat("[", 100_000) + `}`, 0},
		"the end":               {`[DONE]`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			u := NewUsageReader(1 << 20)
			u.Weigh()
			for piece := range strings.SplitAfterSeq("data: "+c.data+"\n\n", "c") {
				u.Read([]byte(piece))
			}
			require.Equal(t, c.want, u.Passed())
			_, has := u.Found()
			require.False(t, has)
		})
	}
}

// An event that is too long to be read counts as it is written, as does what comes after it.
func TestWhatCannotBeReadIsWeighed(t *testing.T) {
	u := NewUsageReader(100)
	u.Weigh()
	for range 10 {
		u.Read([]byte(strings.Repeat("x", 1000)))
	}
	require.GreaterOrEqual(t, u.Passed(), int64(9*1000/4))
	other := NewUsageReader(1000)
	other.Read([]byte("data: {\"choices\":[{\"delta\":{\"content\":\"abcdefgh\"}}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n"))
	require.Zero(t, other.Passed(), "nobody has asked")
	found, has := other.Found()
	require.True(t, has)
	require.Equal(t, responses.Usage{Input: 1, Output: 2}, found)
}

// A piece of a text counts once, wherever the bytes of its event are cut.
func TestDeltasAreCountedWhereverTheyAreCut(t *testing.T) {
	text := strings.Repeat(`data: {"type":"response.output_text.delta","delta":"a \"delta\":"}`+"\n\n", 20)
	for size := 1; size < 90; size++ {
		var d deltas
		n := int64(0)
		for rest := []byte(text); len(rest) > 0; rest = rest[min(size, len(rest)):] {
			n += d.in(rest[:min(size, len(rest))])
		}
		require.EqualValues(t, 20, n, "in pieces of %d bytes", size)
	}
}
