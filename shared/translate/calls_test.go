package translate

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// However the arguments of a lowered custom tool are cut into pieces, the input is the same:
// of another form they are the input themselves, with all of their white space.
func TestTheInputOfACustomToolDoesNotDependOnPieces(t *testing.T) {
	blanks := strings.Repeat(" \n\t", 1000)
	for arguments, want := range map[string]string{
		`{"input":"a\nb"}`: `a\nb`,
		blanks + `{` + blanks + `"input"` + blanks + `:` + blanks + `"a b"` + blanks + `}`: `a b`,
		`{"input" "a"}`:                  `{\"input\" \"a\"}`,
		`{"in put":"a"}`:                 `{\"in put\":\"a\"}`,
		`{"input":1}`:                    `{\"input\":1}`,
		`{"input"`:                       `{\"input\"`,
		"ls -l":                          "ls -l",
		`{"input"` + blanks + `x`:        `{\"input\"` + strings.Repeat(` \n\t`, 1000) + `x`,
		`{"input"` + blanks:              `{\"input\"` + strings.Repeat(` \n\t`, 1000),
		`{"input":"\ud83d\ude00\ud83d"}`: `\ud83d\ude00\\ud83d`,
		"":                               "",
	} {
		for _, size := range []int{1, 2, 7, 1 << 20} {
			var c customInput
			var got []byte
			for rest := arguments; rest != ""; {
				n := min(size, len(rest))
				got, rest = c.write(got, []byte(rest[:n])), rest[n:]
			}
			require.Equal(t, want, string(c.end(got, false)), "%.40q in pieces of %d", arguments, size)
		}
	}
}
