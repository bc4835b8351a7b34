// Package codexrequests sends requests as the Codex agent sends them, and reads the
// answers as strictly as it does: items only from response.output_item.done,
// and response.completed with an id and integer token counts as the only good
// end. The chain under test drops tools of unknown types.
package codexrequests

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"antwort/e2e/clients/report"
)

// An item is a Responses item as it comes and as it goes back.
type item map[string]any

func (i item) str(key string) string {
	s, _ := i[key].(string)
	return s
}

// A turn is what Codex knows after one request.
type turn struct {
	items []item
	text  string // deltas, for display only
	think string
	usage struct {
		InputTokens        int64 `json:"input_tokens"`
		InputTokensDetails *struct {
			CachedTokens int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		OutputTokens        int64 `json:"output_tokens"`
		OutputTokensDetails *struct {
			ReasoningTokens int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
		TotalTokens int64 `json:"total_tokens"`
	}
}

// calls are the items of one type.
func (t *turn) calls(typ string) (list []item) {
	for _, i := range t.items {
		if i.str("type") == typ {
			list = append(list, i)
		}
	}
	return list
}

// A failure is response.failed or an HTTP error.
type failure struct {
	Status        int
	Code, Message string
}

func (f *failure) Error() string { return fmt.Sprintf("%d %s: %s", f.Status, f.Code, f.Message) }

var errClosed = errors.New("stream closed before response.completed")

type client struct {
	url string
	enc *zstd.Encoder
}

func newClient(t *testing.T) *client {
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return &client{report.URL(t) + "/v1/responses", enc}
}

// do sends one turn: a zstd body, an event stream back.
func (c *client) do(ctx context.Context, body map[string]any) (*turn, error) {
	plain, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.enc.EncodeAll(plain, nil)))
	if err != nil {
		return nil, err
	}
	for key, value := range map[string]string{
		"Content-Type": "application/json", "Content-Encoding": "zstd", "Accept": "text/event-stream", "Authorization": "Bearer unused",
		"Originator": "codex_cli_rs", "User-Agent": "codex_cli_rs/0.99.0", "Version": "0.99.0", "Session-Id": session, "Thread-Id": session,
		"X-Codex-Window-Id": session + ":0",
	} {
		req.Header.Set(key, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, httpFailure(resp)
	}
	return read(resp.Body)
}

const session = "0199c0de-0000-7000-8000-000000000001"

func httpFailure(resp *http.Response) error {
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var body struct {
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(b, &body); err != nil {
		return fmt.Errorf("%s: %w: %s", resp.Status, err, b)
	}
	return &failure{resp.StatusCode, body.Error.Code, body.Error.Message}
}

// read reads one stream to its end.
func read(r io.Reader) (*turn, error) {
	t := &turn{}
	var failed *failure
	completed := false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var e struct {
			Type         string
			Delta        string
			SummaryIndex *int `json:"summary_index"`
			Item         item
			Response     json.RawMessage
		}
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return t, fmt.Errorf("event %s: %w", data, err)
		}
		if completed {
			return t, fmt.Errorf("event %s after response.completed", e.Type)
		}
		switch e.Type {
		case "response.output_item.done":
			t.items = append(t.items, e.Item)
		case "response.output_text.delta":
			t.text += e.Delta
		case "response.reasoning_summary_text.delta":
			if e.SummaryIndex == nil {
				return t, fmt.Errorf("no summary_index: %s", data)
			}
			t.think += e.Delta
		case "response.failed":
			var failedResponse struct {
				Error struct{ Code, Message string }
			}
			if err := json.Unmarshal(e.Response, &failedResponse); err != nil {
				return t, err
			}
			failed = &failure{200, failedResponse.Error.Code, failedResponse.Error.Message}
		case "response.incomplete":
			return t, errors.New("incomplete response")
		case "response.completed":
			var done struct {
				ID    string
				Usage json.RawMessage
			}
			if err := json.Unmarshal(e.Response, &done); err != nil {
				return t, err
			}
			if err := json.Unmarshal(done.Usage, &t.usage); err != nil { // refuses null and 1.0 as Codex does
				return t, fmt.Errorf("usage %s: %w", done.Usage, err)
			}
			if completed = done.ID != ""; !completed {
				return t, errors.New("response.completed without an id")
			}
		}
	}
	switch {
	case failed != nil:
		return t, failed
	case lines.Err() != nil:
		return t, lines.Err()
	case !completed:
		return t, errClosed
	}
	return t, nil
}

func TestClient(t *testing.T) {
	client := newClient(t)
	for _, c := range cases {
		report.Case(t, c.name, c.proves, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			c.run(t, ctx, client)
		})
	}
}
