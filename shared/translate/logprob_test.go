package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

// sameEntry holds an entry that passes as it is against what is made of its parse tree.
func sameEntry(t *testing.T, entry string) (rendered bool) {
	t.Helper()
	if !isRendered([]byte(entry)) {
		return false
	}
	var w chunkWork
	v, err := w.parser.Parse(entry)
	require.NoError(t, err, entry)
	w.appendLogprobs([]*fastjson.Value{v})
	require.Equal(t, entry, string(w.logprobs))
	return true
}

func TestEntriesThatPassAsTheyAre(t *testing.T) {
	const one = `{"token":"a","logprob":-1.25,"bytes":[97,0,255]`
	for _, entry := range []string{
		one + `,"top_logprobs":[]}`,
		one + `,"top_logprobs":[` + one + `}]}`,
		one + `,"top_logprobs":[` + one + `},{"token":"\n\"\\é€😀","logprob":1e-7,"bytes":[]}]}`,
	} {
		require.True(t, sameEntry(t, entry), entry)
		for i := range entry { // and what is nearly so is what its tree makes of it
			sameEntry(t, entry[:i])
			for _, c := range []string{"", ",", "]", "}", `"`, `\`, `\/`, `\u0041`, "0", "01", "-", ".5", "e", " ", "null", "\x00", "\xff", "{"} {
				sameEntry(t, entry[:i]+c+entry[i:])
				sameEntry(t, entry[:i]+c+entry[i+1:])
				sameEntry(t, strings.Replace(entry, entry[i:i+1], c, 1))
			}
		}
	}
}

func FuzzEntries(f *testing.F) {
	f.Add(`{"token":"a","logprob":-1.25,"bytes":[97],"top_logprobs":[{"token":"\n","logprob":0,"bytes":[]}]}`)
	f.Fuzz(func(t *testing.T, entry string) { sameEntry(t, entry) })
}
