package translate_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"antwort/shared/corpus"
	"antwort/shared/responses"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
	"github.com/valyala/fastjson"
)

var lineEnds = []struct{ name, eol string }{{"LF", "\n"}, {"CRLF", "\r\n"}, {"CR", "\r"}}

// Every stream of the corpus, and whole answer in the place of one, cut at every byte offset and byte by byte, gives
// the same events; so it does with the other line ends, cut wherever a line
// ends and byte by byte.
func TestEverySplitGivesTheSameEvents(t *testing.T) {
	for _, c := range cases(t) {
		if c.Status != 200 || c.Expected.Chat == nil {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			_, turn, e := translate.New(c.Options).Request(nil, c.Request, corpus.ID, corpus.Created)
			require.Nil(t, e)
			if !turn.Streaming() {
				return
			}
			buffer := make([]byte, 0, len(c.Expected.Events))
			lines := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(c.Stream) + string(c.Answer))
			for _, end := range lineEnds {
				in := []byte(strings.ReplaceAll(lines, "\n", end.eol))
				check := func(at string, offset int, pieces ...[]byte) {
					events, failed := corpus.Stream(buffer[:0], turn.Stream(), pieces...)
					if !bytes.Equal(events, c.Expected.Events) || !bytes.Equal(errorOf(failed), c.Expected.Error) {
						t.Fatalf("%s with %s, cut %s %d:\nexpected %s%s\ngot      %s%s\n%s\nrerun: go test ./shared/translate -run 'TestEverySplitGivesTheSameEvents/^%s$'",
							c.Name, end.name, at, offset, c.Expected.Events, c.Expected.Error, events, errorOf(failed), firstDifference(c.Expected.Events, events), c.Name)
					}
				}
				for i := range in {
					// One goroutine does all of it: the race detector sees nothing in further cuts.
					if end.eol == "\n" && !raceEnabled || i > 0 && (isEnd(in[i-1]) || isEnd(in[i])) {
						check("at byte", i, in[:i], in[i:])
					}
				}
				check("into bytes of which there are", len(in), slices.Collect(slices.Chunk(in, 1))...)
			}
		})
	}
}

func isEnd(c byte) bool { return c == '\n' || c == '\r' }

func errorOf(e *responses.Error) []byte {
	if e == nil {
		return nil
	}
	return corpus.ErrorResult(e)
}

// What is streamed in a recording and what is not are the same items, but for
// the calls' ids, which vLLM draws at random.
func TestWholeAndStreamedAreTheSameItems(t *testing.T) {
	whole := make(map[string][]byte)
	all := cases(t)
	for _, c := range all {
		whole[c.Name] = c.Expected.Response
	}
	// vLLM's parsers give another text when they stream (see the corpus' README).
	differ := map[string]bool{"vllm_reasoning_cut_by_length": true, "vllm_tool_cut_by_length": true}
	compared := 0
	for _, c := range all {
		name, ok := strings.CutSuffix(c.Name, "_stream")
		response := whole[name]
		if !ok || response == nil || c.Expected.Events == nil || differ[name] || name == "made_every_field" {
			continue
		}
		compared++
		want, _ := withoutCallIDs(t, response)
		got, terminal := withoutCallIDs(t, terminalResponse(t, c.Expected.Events))
		if want != got {
			t.Errorf("items of %s: expected those of %s: %s\ngot %s\n%s", c.Name, name, want, got, firstDifference([]byte(want), []byte(got)))
		}
		require.Equal(t, fastjson.GetString(response, "status"), string(terminal.GetStringBytes("status")), c.Name)
	}
	require.GreaterOrEqual(t, compared, 45)
}

func terminalResponse(t *testing.T, events []byte) []byte {
	lines := strings.Split(strings.TrimSpace(string(events)), "\n")
	last := lines[len(lines)-3] // before the blank line and [DONE]
	data, ok := strings.CutPrefix(last, "data: ")
	require.True(t, ok, last)
	return fastjson.MustParse(data).Get("response").MarshalTo(nil)
}

func withoutCallIDs(t *testing.T, response []byte) (string, *fastjson.Value) {
	v, err := fastjson.ParseBytes(response)
	require.NoError(t, err)
	for _, item := range v.GetArray("output") {
		if id := string(item.GetStringBytes("call_id")); strings.HasPrefix(id, "chatcmpl-tool-") {
			item.Set("call_id", fastjson.MustParse(`"…"`))
		}
	}
	return v.Get("output").String(), v
}
