package server

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
	"antwort/shared/responses"
)

func upTo(bytes int64) func(*config.Config) {
	return func(c *config.Config) { c.Limits.ResponseBodyBytes = bytes }
}

// A stream without an end is ended: what it says may not be more than an answer
// may be, of whichever kind.
func TestTheSumOfAStreamHasALimit(t *testing.T) {
	const limit = 64 << 10
	word := strings.Repeat("word ", 200)
	item := func(i int) string {
		return `data: {"type":"response.output_item.done","sequence_number":` + strconv.Itoa(i+1) + `,"output_index":` + strconv.Itoa(i) + `,"item":{"type":"message","id":"m","content":[{"type":"output_text","text":"` + word + `"}]}}` + "\n\n"
	}
	created := `data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","output":[]}}` + "\n\n"
	for _, c := range []struct {
		provider config.Provider
		first    string
		again    func(i int) string
	}{
		{config.VLLM, chatRole, func(int) string { return chatText(word) }},
		{config.VLLMResponses, created, item},
	} {
		t.Run(string(c.provider), func(t *testing.T) {
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				send := sending(w)
				send(c.first)
				for i := 0; r.Context().Err() == nil; i++ {
					send(c.again(i))
				}
			}))
			r := start(t, c.provider, llm, upTo(limit))
			got := r.post(askStream)
			require.Equal(t, 200, got.status)
			require.Equal(t, "response.failed", lastEvent(t, got.body))
			require.Contains(t, got.body, "event: error\n")
			require.Contains(t, got.body, responses.AnswerTooLarge().Message)
			require.Less(t, len(got.body), 10*limit)
			r.log.waitFor(t, `"stream":true`, `"failure":"upstream_stream"`)
		})
	}
}

// A whole answer that is forwarded has the same limit: a real status while nothing
// was passed on, else the connection's end.
func TestForwardedAnswersHaveALimit(t *testing.T) {
	const limit = 512 << 10
	for name, c := range map[string]struct {
		limit   int64
		said    int // Content-Length; 0: not said
		sent    int
		refused bool // with a status
	}{
		"as large as may be":         {limit, limit, limit, false},
		"said to be too large":       {limit, limit + 1, limit + 1, true},
		"too large at the beginning": {1 << 10, 0, 2 << 10, true},
		"too large in the end":       {limit, 0, 2 * limit, false},
	} {
		t.Run(name, func(t *testing.T) {
			passed := make(chan struct{})
			back := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if c.said > 0 {
					w.Header().Set("Content-Length", strconv.Itoa(c.said))
				}
				first := c.sent
				if c.sent > limit && !c.refused {
					first = wholeAnswer + 1 // of that something is passed on before the rest comes
				}
				_, _ = io.WriteString(w, strings.Repeat("x", first))
				if first < c.sent {
					w.(http.Flusher).Flush()
					<-passed
					_, _ = io.WriteString(w, strings.Repeat("x", c.sent-first))
				}
			}))
			r := start(t, config.VLLMResponses, back, upTo(c.limit))
			resp := r.open("POST", "/v1/responses", strings.NewReader(ask), "Content-Type", "application/json")
			close(passed)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			switch {
			case c.refused:
				require.Equal(t, 502, resp.StatusCode)
				require.Contains(t, string(body), "upstream_invalid_answer")
				r.log.waitFor(t, `"failure":"upstream_answer"`)
			case c.sent > limit:
				require.Equal(t, 200, resp.StatusCode)
				require.Error(t, err, "it is taken for the whole")
				require.LessOrEqual(t, len(body), limit)
				r.log.waitFor(t, `"failure":"upstream_answer"`)
			default:
				require.NoError(t, err)
				require.Len(t, body, c.sent)
			}
		})
	}
}
