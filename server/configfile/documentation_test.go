package configfile

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

var update = flag.Bool("update", false, "write the generated parts of the documentation")

const documentation = "../../docs/configuration.md"

func TestDocumentationIsWhatTheCodeSays(t *testing.T) {
	text, err := os.ReadFile(documentation)
	require.NoError(t, err)
	want := replacePart(t, text, "reference", config.Reference())
	want = replacePart(t, want, "example", append(append([]byte("```yaml\n"), config.Example()...), "```\n"...))
	if *update {
		require.NoError(t, os.WriteFile(documentation, want, 0o644))
		return
	}
	assert.Equal(t, string(want), string(text), "write it again with: go generate ./server/configfile")
}

// replacePart puts generated text between the two comments of this name.
func replacePart(t *testing.T, text []byte, name string, part []byte) []byte {
	t.Helper()
	between := regexp.MustCompile(`(?s)(<!-- begin ` + name + `:[^\n]*\n).*?(<!-- end ` + name + ` -->)`)
	require.Lenf(t, between.FindAll(text, -1), 1, "the comments around the %s", name)
	return between.ReplaceAllFunc(text, func(found []byte) []byte {
		marks := between.FindSubmatch(found)
		return bytes.Join([][]byte{marks[1], []byte("\n"), part, []byte("\n"), marks[2]}, nil)
	})
}

func TestDocumentationExamplesAreValid(t *testing.T) {
	text, err := os.ReadFile(documentation)
	require.NoError(t, err)
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(text, -1)
	require.Len(t, examples, 2)
	for _, example := range examples {
		file, err := Parse("example", example[1])
		require.NoError(t, err)
		c, err := config.Load(config.Sources{JSON: file.JSON})
		require.NoError(t, file.Explain(err))

		want := config.Default()
		want.Engine.Provider, want.Engine.BackendURL = config.VLLM, "http://llm.example:8000"
		assert.Equal(t, want, c, "an example holds the defaults")
	}
}
