package forward_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/forward"
	"antwort/shared/responses"
	"antwort/shared/streamcheck"

	"github.com/stretchr/testify/require"
)

// Every stream of the corpus passes unchanged however it is cut; a stream that
// breaks off anywhere is ended as the protocol wants.
func TestCorpusPassesAndCutStreamsAreEnded(t *testing.T) {
	cases, err := corpus.Load()
	require.NoError(t, err)
	for _, c := range cases {
		in := c.Expected.Events
		if in == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, eol := range []string{"\n", "\r\n", "\r"} {
				in := []byte(strings.ReplaceAll(string(in), "\n", eol))
				whole, w := pass(in)
				require.Equal(t, string(in), string(w.End(whole, nil)), "in one piece")
				require.True(t, w.Done())
				bytewise, w := pass(slices.Collect(slices.Chunk(in, 1))...)
				require.Equal(t, string(in), string(w.End(bytewise, nil)), "byte by byte")
			}
			for at := 0; at < len(in); at += 53 {
				passed, w := pass(in[:at])
				require.True(t, bytes.HasPrefix(in, passed), "cut at byte %d", at)
				require.True(t, len(passed) == 0 || bytes.HasSuffix(passed, []byte("\n\n")), "cut at byte %d: half an event passed", at)
				if !w.Passed() || !bytes.Contains(passed, []byte("event: response.in_progress\n")) {
					continue // a real status is possible, or the resource is not known to be complete
				}
				done := w.Done()
				ended := w.End(passed, responses.NewError(502, "upstream_cut", "cut"))
				if done {
					require.Equal(t, string(in[:len(passed)]), string(ended), "cut at byte %d after the terminal event", at)
					continue
				}
				if problems := streamcheck.Check(bytes.NewReader(ended)); len(problems) > 0 {
					t.Fatalf("cut at byte %d: expected a valid stream, got %v\n%s", at, problems, ended)
				}
			}
		})
	}
}

func pass(pieces ...[]byte) (passed []byte, w *forward.Watch) {
	w = new(forward.Watch)
	for _, piece := range pieces {
		p := bytes.Clone(piece)
		whole, err := w.Write(p)
		if err != nil {
			panic(err)
		}
		passed = append(passed, whole...)
		w.Release()
		clear(p) // the caller reads into it again
	}
	return passed, w
}
