package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMockLLM(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	code := make(chan int, 1)
	var stderr bytes.Buffer
	go func() {
		code <- Main(ctx, []string{"mock-llm", "--port", "0", "--model", "tiny"}, strings.NewReader(""), in, &stderr)
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	found := regexp.MustCompile(`^mock-llm: model tiny at (http://127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(line)
	require.NotNil(t, found, line)

	res, err := http.Post(found[1]+"/v1/chat/completions", "application/json",
		strings.NewReader(`{"model":"tiny","messages":[{"role":"user","content":"Count from 1 to 5."}]}`))
	require.NoError(t, err)
	defer res.Body.Close()
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
	assert.Equal(t, "1, 2, 3, 4, 5", answer.Choices[0].Message.Content)

	stop()
	assert.Equal(t, exitOK, <-code, stderr.String())
}

func TestMockLLMOnATakenPort(t *testing.T) {
	code, _, stderr := run(t, "mock-llm", "--host", "256.0.0.1")
	assert.Equal(t, exitRun, code)
	assert.Contains(t, stderr, "cannot listen")
}
