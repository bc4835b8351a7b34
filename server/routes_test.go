package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// Every mistake is answered in OpenAI's shape, by both providers alike.
func TestRefusedRequests(t *testing.T) {
	m, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	front := back.front()
	small := start(t, config.VLLM, llm, func(c *config.Config) { c.Limits.RequestBodyBytes = 1024 })
	big := `{"model":"m","input":"` + strings.Repeat("x", 2000) + `"}`
	for _, c := range []struct {
		name, method, path, body string
		fields                   []string
		status                   int
		typ, param, code         string
		only                     *running // nil: backend and frontend
	}{
		{"unknown path", "POST", "/v1/chat/completions", ask, nil, 404, "not_found_error", "", "unknown_url", nil},
		{"root", "GET", "/", "", nil, 404, "not_found_error", "", "unknown_url", nil},
		{"trailing slash", "POST", "/v1/responses/", ask, nil, 404, "not_found_error", "", "unknown_url", nil},
		{"no dot segments", "GET", "/v1/models/..%2f..%2fmetrics", "", nil, 404, "not_found_error", "", "unknown_url", nil},
		{"ids with odd characters", "GET", "/v1/responses/a%2fb", "", nil, 404, "not_found_error", "", "unknown_url", nil},
		{"wrong method", "PUT", "/v1/responses", ask, nil, 405, "invalid_request_error", "", "method_not_allowed", nil},
		{"wrong method for models", "POST", "/v1/models", "{}", nil, 405, "invalid_request_error", "", "method_not_allowed", nil},
		{"plain GET", "GET", "/v1/responses", "", nil, 405, "invalid_request_error", "", "method_not_allowed", nil},
		{"input tokens of nothing", "POST", "/v1/responses/input_tokens", "{}", nil, 400, "invalid_request_error", "input", "missing_required_parameter", nil},
		{"input tokens read", "GET", "/v1/responses/input_tokens", "", nil, 405, "invalid_request_error", "", "method_not_allowed", nil},
		{"stored response", "GET", "/v1/responses/resp_1", "", nil, 404, "not_found_error", "", "response_not_found", nil},
		{"delete", "DELETE", "/v1/responses/resp_1", "", nil, 404, "not_found_error", "", "response_not_found", nil},
		{"cancel", "POST", "/v1/responses/resp_1/cancel", "", nil, 404, "not_found_error", "", "response_not_found", nil},
		{"input items", "GET", "/v1/responses/resp_1/input_items?limit=2", "", nil, 404, "not_found_error", "", "response_not_found", nil},
		{"compact nothing", "POST", "/v1/responses/compact", "{}", nil, 400, "invalid_request_error", "model", "missing_required_parameter", nil},
		{"unknown model", "GET", "/v1/models/gpt", "", nil, 404, "not_found_error", "model", "model_not_found", nil},
		{"content type", "POST", "/v1/responses", ask, []string{"Content-Type", "text/plain"}, 415, "invalid_request_error", "", "unsupported_content_type", nil},
		{"no content type", "POST", "/v1/responses", ask, []string{"Content-Type", ""}, 415, "invalid_request_error", "", "unsupported_content_type", nil},
		{"content encoding", "POST", "/v1/responses", ask, []string{"Content-Encoding", "br"}, 415, "invalid_request_error", "", "unsupported_content_encoding", nil},
		{"two encodings", "POST", "/v1/responses", ask, []string{"Content-Encoding", "gzip, zstd"}, 415, "invalid_request_error", "", "unsupported_content_encoding", nil},
		{"not gzip", "POST", "/v1/responses", ask, []string{"Content-Encoding", "gzip"}, 400, "invalid_request_error", "", "invalid_body", nil},
		{"not zstd", "POST", "/v1/responses", ask, []string{"Content-Encoding", "zstd"}, 400, "invalid_request_error", "", "invalid_body", nil},
		{"empty body", "POST", "/v1/responses", "", nil, 400, "invalid_request_error", "", "invalid_json", nil},
		{"not JSON", "POST", "/v1/responses", "{", nil, 400, "invalid_request_error", "", "invalid_json", nil},
		{"trailing garbage", "POST", "/v1/responses", ask + "x", nil, 400, "invalid_request_error", "", "invalid_json", nil},
		{"invalid UTF-8", "POST", "/v1/responses", "{\"model\":\"m\",\"input\":\"\xff\"}", nil, 400, "invalid_request_error", "", "invalid_json", nil},
		{"wrong type", "POST", "/v1/responses", `{"model":"m","input":7}`, nil, 400, "invalid_request_error", "input", "", nil},
		{"unknown item", "POST", "/v1/responses", `{"model":"m","input":[{"type":"dream"}]}`, nil, 400, "invalid_request_error", "input[0].type", "", nil},
		{"streamed mistake", "POST", "/v1/responses", `{"model":"m","input":7,"stream":true}`, nil, 400, "invalid_request_error", "input", "", nil},
		{"body over the limit", "POST", "/v1/responses", big, nil, 413, "invalid_request_error", "", "request_too_large", small},
		{"vLLM does not know the model", "POST", "/v1/responses", `{"model":"gpt","input":"hi"}`, nil, 404, "not_found_error", "model", "model_not_found", nil},
	} {
		servers := []*running{back, front}
		if c.only != nil {
			servers = []*running{c.only, c.only.front(func(f *config.Config) { f.Limits.RequestBodyBytes = 1024 }), c.only.front()}
		}
		var first answer
		for i, r := range servers {
			t.Run(c.name+"/"+string(r.first.cfg.Engine.Provider), func(t *testing.T) {
				before := m.Stats().Completed
				got := r.call(c.method, c.path, c.body, c.fields...)
				require.Equal(t, c.status, got.status, got.body)
				typ, param, code := got.errorCode(t)
				require.Equal(t, []string{c.typ, c.param}, []string{typ, param}, got.body)
				if c.code != "" {
					require.Equal(t, c.code, code)
				}
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.NotEmpty(t, got.header.Get("X-Request-Id"))
				require.Equal(t, before, m.Stats().Completed, "something was generated")
				if i == 0 {
					first = got
				}
				require.Equal(t, first.body, got.body, "the frontend changed the body")
			})
		}
	}
	require.Equal(t, "POST", back.call("GET", "/v1/responses", "").header.Get("Allow"))
	require.Equal(t, "GET, DELETE", front.call("POST", "/v1/responses/resp_1", "").header.Get("Allow"))
	require.Equal(t, "gzip, zstd", front.call("POST", "/v1/responses", ask, "Content-Encoding", "br").header.Get("Accept-Encoding"))
}

func TestModels(t *testing.T) {
	_, llm := mock(t, mockllm.Options{Model: "/mnt/models"})
	back := start(t, config.VLLM, llm)
	for _, r := range []*running{back, back.front()} {
		list := r.call("GET", "/v1/models", "")
		require.Equal(t, 200, list.status)
		require.Contains(t, list.body, `"object":"list"`)
		for _, path := range []string{"/v1/models/%2Fmnt%2Fmodels", "/v1/models//mnt/models"} {
			one := r.call("GET", path, "")
			require.Equal(t, 200, one.status, one.body)
			require.Contains(t, one.body, `"id":"/mnt/models"`)
			require.NotContains(t, one.body, `"list"`)
		}
		head := r.call("HEAD", "/v1/models", "")
		require.Equal(t, 200, head.status)
		require.Empty(t, head.body)
	}
}

func TestRequestIDs(t *testing.T) {
	seen := make(chan string, 10)
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Request-Id")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(chatWhole))
	}))
	back := start(t, config.VLLM, llm)
	front := back.front()
	for _, c := range []struct {
		name, given string
		taken       bool
	}{
		{"made", "", false},
		{"taken", "0af7651916cd43dd8448eb211c80319c:a/b+c=.-_", true},
		{"too long", strings.Repeat("a", 129), false},
		{"odd characters", "a b", false},
		{"not ASCII", "ä", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := front.post(ask, "X-Request-Id", c.given)
			require.Equal(t, 200, got.status, got.body)
			id := got.header.Get("X-Request-Id")
			require.Len(t, got.header.Values("X-Request-Id"), 1)
			require.Equal(t, id, wait(t, seen, "the upstream's request"), "the upstream got another id")
			if c.taken {
				require.Equal(t, c.given, id)
			} else {
				require.Regexp(t, `^req_[a-z0-9]{28}$`, id)
			}
			for _, r := range []*running{back, front} {
				line := r.log.waitFor(t, `"msg":"request"`, id)
				require.Equal(t, "/v1/responses", line["path"])
				require.EqualValues(t, 200, line["status"])
			}
		})
	}
}

// Ids that are made one after the other stand in this order, and differ in the rest.
func TestIDsAreByTime(t *testing.T) {
	first, later := timedID(time.UnixMilli(1790000000000)), timedID(time.UnixMilli(1790000000001))
	require.Regexp(t, `^[a-z0-9]{28}$`, first)
	require.Less(t, first[:8], later[:8])
	require.NotEqual(t, first[8:], later[8:])
	require.Len(t, timedID(time.Unix(0, 0)), 28)
}
