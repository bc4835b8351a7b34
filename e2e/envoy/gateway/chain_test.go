package gateway_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"
	"antwort/e2e/envoy"
	"antwort/shared/streamcheck"
)

// The chain of quickstart 06: Envoy with the filter, the native server, a model.
func TestChain(t *testing.T) {
	t.Setenv("ENVOY", envoy.Find(t))
	c, err := chain.Start(context.Background(), chain.Options{
		Antwort: checkout.Antwort(t), Tiers: []string{"envoy", "serve"}, Dir: t.TempDir(), Log: t.Logf,
	})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Stop()) })
	const question = `{"model":"/mnt/models","stream":%t,"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the capital of France? Answer in one sentence."}]}]}`
	ask := func(base, stream string) *http.Response {
		resp, err := http.Post(base+"/v1/responses", "application/json", strings.NewReader(strings.Replace(question, "%t", stream, 1)))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		t.Cleanup(func() { resp.Body.Close() })
		return resp
	}
	t.Run("whole", func(t *testing.T) {
		var got struct {
			Status string
			Output []struct{ Content []struct{ Text string } }
		}
		require.NoError(t, json.NewDecoder(ask(c.BaseURL, "false").Body).Decode(&got))
		assert.Equal(t, "completed", got.Status)
		require.NotEmpty(t, got.Output)
		assert.Equal(t, "The capital of France is Paris.", got.Output[0].Content[0].Text)
	})
	t.Run("streamed", func(t *testing.T) {
		resp := ask(c.BaseURL, "true")
		assert.Equal(t, ask(c.BackendURL, "true").Header.Get("Content-Type"), resp.Header.Get("Content-Type"))
		assert.Empty(t, streamcheck.Check(resp.Body))
	})
	t.Run("errors of the backend", func(t *testing.T) {
		bad := `{"input":[{"type":"no_such_item"}]}`
		direct, through := post(t, c.BackendURL+"/v1/responses", bad), post(t, c.BaseURL+"/v1/responses", bad)
		assert.Equal(t, http.StatusBadRequest, through.status)
		assert.Equal(t, direct.body, through.body)
	})
}
