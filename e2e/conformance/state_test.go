package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"antwort/e2e/chain"
	"antwort/e2e/checkout"

	"github.com/stretchr/testify/require"
)

// throughChain starts mock-llm, a server that translates and stores, and one that
// forwards to it.
func throughChain(t *testing.T) (url string) {
	c, err := chain.Start(context.Background(), chain.Options{Antwort: checkout.Antwort(t), Tiers: []string{"serve", "serve"}, Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Stop()) })
	return c.BaseURL
}

// Turns that go on from each other, through both tiers: every answer, event and error
// is of the specification, and says what it goes on from and that it is stored.
func TestStoredTurns(t *testing.T) {
	s, url := load(t), throughChain(t)
	send := func(method, path, body string) (int, []byte) {
		req, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, answer
	}
	seen, previous := make(map[string]int), "null"
	for _, members := range []string{
		`"input":"mock: reasoning=1"`,
		`"input":[{"type":"message","role":"user","content":"and now?"}],"stream":true`,
		`"input":"mock: calls=1","tools":[{"type":"function","name":"f","parameters":{},"strict":false}]`,
	} {
		status, answer := send("POST", "/v1/responses", `{"model":"/mnt/models","previous_response_id":`+previous+`,`+members+`}`)
		require.Equal(t, 200, status, "%s", answer)
		resource := answer
		if bytes.HasPrefix(answer, []byte("event: ")) {
			s.checkEvents(t, answer, seen)
			text := strings.TrimSuffix(string(answer), "}\n\ndata: [DONE]\n\n")
			_, text, _ = strings.Cut(text[strings.LastIndex(text, "\ndata: "):], `,"response":`)
			resource = []byte(text)
		}
		s.check(t, "ResponseResource", resource)
		var said struct {
			ID       string
			Store    bool
			Previous json.RawMessage `json:"previous_response_id"`
		}
		require.NoError(t, json.Unmarshal(resource, &said))
		require.True(t, said.Store)
		require.JSONEq(t, previous, string(said.Previous))
		status, again := send("GET", "/v1/responses/"+said.ID, "")
		require.Equal(t, 200, status)
		require.Equal(t, string(resource), string(again))
		previous = `"` + said.ID + `"`
	}
	for _, members := range []string{`"previous_response_id":"resp_nobody","input":"a"`, `"previous_response_id":` + previous + `,"input":"the call is open"`} {
		status, answer := send("POST", "/v1/responses", `{"model":"/mnt/models",`+members+`}`)
		require.Equal(t, 400, status)
		s.check(t, "ErrorPayload", member(t, answer, "error"))
	}
}
