package compact

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/failure"
	"antwort/shared/responses"
)

func items(texts ...string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(`{"role":"user","content":"`+text+`"}`))
	}
	return all
}

// short is a model that reads so many items, the summary of what was before included.
func short(most int, asked *[]string) Model {
	return func(before string, items [][]byte) (string, responses.Usage, *failure.Failure) {
		var all []string
		if before != "" {
			all = append(all, before)
		}
		for _, raw := range items {
			all = append(all, strings.TrimSuffix(strings.TrimPrefix(string(raw), `{"role":"user","content":"`), `"}`))
		}
		*asked = append(*asked, strings.Join(all, "+"))
		if len(all) > most {
			return "", responses.Usage{}, failure.Of(failure.UpstreamStatus, responses.NewError(400, "context_length_exceeded", "too long"))
		}
		return "(" + strings.Join(all, "+") + ")", responses.Usage{Input: 1, Total: 1}, nil
	}
}

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		most  int
		items string
		want  string
		used  int64
	}{
		{9, "a b c", "(a+b+c)", 1},
		{3, "a b c d", "((a+b)+c+d)", 2},
		{2, "a b c d", "(((a+b)+c)+d)", 3},
		{2, "a b c d e f", "(((((a)+b)+c)+d)+e)+f", 0},
		{1, "a b", "", 0},
	} {
		var asked []string
		got, used, f := Summarize(short(c.most, &asked), items(strings.Fields(c.items)...))
		if c.want == "" {
			require.Equal(t, "context_length_exceeded", f.Reply.Code)
			continue
		}
		require.Nil(t, f)
		for item := range strings.FieldsSeq(c.items) {
			require.Equal(t, 1, strings.Count(got, item), "each is summed up once")
		}
		if c.used > 0 {
			require.Equal(t, c.want, got)
			require.Equal(t, c.used, used.Input)
		}
	}
}

func TestOtherFailuresEndIt(t *testing.T) {
	n := 0
	_, _, f := Summarize(func(string, [][]byte) (string, responses.Usage, *failure.Failure) {
		n++
		return "", responses.Usage{}, failure.Of(failure.UpstreamStatus, responses.NewError(500, "upstream_error", "no"))
	}, items("a", "b"))
	require.NotNil(t, f)
	require.Equal(t, 1, n)
	n = 0
	_, _, f = Summarize(func(before string, items [][]byte) (string, responses.Usage, *failure.Failure) {
		n++
		if len(items) == 1 {
			return "", responses.Usage{}, failure.Of(failure.ClientGone, nil)
		}
		return "", responses.Usage{}, failure.Of(failure.UpstreamStatus, responses.NewError(400, "context_length_exceeded", "no"))
	}, items("a", "b"))
	require.Equal(t, failure.ClientGone, f.Kind)
	require.Equal(t, 2, n)
}

func TestInstruction(t *testing.T) {
	text, err := Instruction("")
	require.NoError(t, err)
	require.Contains(t, text, "summary")
	file := filepath.Join(t.TempDir(), "prompt")
	_, err = Instruction(file)
	require.Error(t, err)
	for content, problem := range map[string]string{"Sum it up.": "", " \n": "no text", "\xff": "no text", strings.Repeat("x", instructionBytes+1): "64 KiB"} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		text, err = Instruction(file)
		if problem != "" {
			require.ErrorContains(t, err, problem)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, content, text)
	}
}
