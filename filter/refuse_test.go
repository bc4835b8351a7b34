package filter_test

import (
	"io"
	"strings"
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

const (
	hello       = `{"model":"m","input":"hello"}`
	helloStream = `{"model":"m","input":"hello","stream":true}`
	chatHello   = `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi there"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9,"prompt_tokens_details":{"cached_tokens":3}}}`
)

// chatEvents is a chat stream: one chunk a string.
var chatEvents = []string{
	`data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{"content":" there"}}]}` + "\n\n",
	`data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n",
	`data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}` + "\n\n",
	"data: [DONE]\n\n",
}

func TestRefusedRequests(t *testing.T) {
	type request struct {
		method, path, body string // method "": POST, path "": /v1/responses
		chunked            bool
		header             []string
	}
	// One that has begun may be noted late, among those of the next case: those that must not begin have an upstream of their own.
	type of struct {
		profile string
		unseen  bool
	}
	ups, hosts := map[of]*upstream{}, map[of]*filtertest.Host{}
	for _, profile := range profiles {
		for _, unseen := range []bool{true, false} {
			up := newUpstream(nil)
			ups[of{profile, unseen}], hosts[of{profile, unseen}] = up, start(t, config("vllm", profile), up)
		}
	}
	for _, c := range []struct {
		name    string
		request request
		status  int
		code    string
		param   string
		header  [2]string
		unseen  bool // the upstream sees nothing of it in the profile inline either
	}{
		{name: "not JSON", request: request{body: `{"model":`}, status: 400, code: "invalid_json"},
		{name: "no object", request: request{body: `"text"`}, status: 400, code: "invalid_json"},
		{name: "no object, chunked", request: request{body: `12`, chunked: true}, status: 400, code: "invalid_json"},
		{name: "unended, chunked", request: request{body: `{"model":"m","input":"}`, chunked: true}, status: 400, code: "invalid_json"},
		{name: "trailing garbage", request: request{body: hello + " x"}, status: 400, code: "invalid_json"},
		{name: "second document", request: request{body: hello + "{}"}, status: 400, code: "invalid_json"},
		{name: "invalid UTF-8", request: request{body: "{\"model\":\"m\",\"input\":\"\xff\"}"}, status: 400, code: "invalid_json"},
		{name: "value out of range", request: request{body: `{"model":"m","input":"a","temperature":3}`}, status: 400, code: "out_of_range", param: "temperature"},
		{name: "unknown item", request: request{body: `{"model":"m","input":[{"type":"x"}]}`}, status: 400, code: "unsupported_item", param: "input[0].type"},
		{name: "too deep", request: request{body: `{"model":"m","input":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`}, status: 400, code: "limit_exceeded"},
		{name: "empty body", request: request{}, status: 400, code: "invalid_json", unseen: true},
		{name: "no content type", request: request{body: hello, header: []string{"Content-Type", ""}}, status: 415, code: "unsupported_content_type", unseen: true},
		{name: "other content type", request: request{body: hello, header: []string{"Content-Type", "text/plain"}}, status: 415, code: "unsupported_content_type", unseen: true},
		{name: "encoded body", request: request{body: hello, header: []string{"Content-Encoding", "zstd"}}, status: 415, code: "unsupported_content_encoding", header: [2]string{"Accept-Encoding", "identity"}, unseen: true},
		{name: "wrong method", request: request{method: "PUT", body: hello}, status: 405, code: "method_not_allowed", header: [2]string{"Allow", "POST"}, unseen: true},
		{name: "GET", request: request{method: "GET"}, status: 405, code: "method_not_allowed", unseen: true},
		{name: "WebSocket", request: request{method: "GET", header: []string{"Upgrade", "websocket"}}, status: 426, code: "websocket_unsupported", unseen: true},
		{name: "input tokens of nothing", request: request{path: "/v1/responses/input_tokens", body: "{}"}, status: 400, code: "missing_required_parameter", param: "input"},
		{name: "input tokens of an image", request: request{path: "/v1/responses/input_tokens", body: `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/png;base64,AA=="}]}]}`}, status: 400, code: "unsupported_content", param: "input[0].content[0]"},
		{name: "stored response", request: request{method: "GET", path: "/v1/responses/resp_1"}, status: 404, code: "response_not_found", unseen: true},
		{name: "delete", request: request{method: "DELETE", path: "/v1/responses/resp_1"}, status: 404, code: "response_not_found", unseen: true},
		{name: "cancel", request: request{path: "/v1/responses/resp_1/cancel"}, status: 404, code: "response_not_found", unseen: true},
		{name: "input items", request: request{method: "GET", path: "/v1/responses/resp_1/input_items?limit=1"}, status: 404, code: "response_not_found", unseen: true},
		{name: "compact", request: request{path: "/v1/responses/compact", body: "{}"}, status: 404, code: "unsupported_endpoint", unseen: true},
		{name: "wrong method for a stored response", request: request{path: "/v1/responses/resp_1"}, status: 405, code: "method_not_allowed", header: [2]string{"Allow", "GET, DELETE"}, unseen: true},
		{name: "unknown path below", request: request{path: "/v1/responses/a/b"}, status: 404, code: "unknown_url", unseen: true},
		{name: "trailing slash", request: request{path: "/v1/responses/", body: hello}, status: 404, code: "unknown_url", unseen: true},
	} {
		for _, profile := range profiles {
			t.Run(c.name+"/"+profile, func(t *testing.T) {
				up, h := ups[of{profile, c.unseen}], hosts[of{profile, c.unseen}]
				up.set(gives(200, "application/json", chatHello))
				method, path := c.request.method, c.request.path
				if method == "" {
					method = "POST"
				}
				if path == "" {
					path = "/v1/responses"
				}
				var body io.Reader
				switch {
				case c.request.chunked:
					body = unsized(c.request.body)
				case c.request.body != "":
					body = strings.NewReader(c.request.body)
				}
				header := append([]string{"Content-Type", "application/json", "X-Request-Id", "id-1"}, c.request.header...)
				got := do(t, h, method, path, body, header...)
				require.Equal(t, c.status, got.status, got.body)
				e := errorOf(t, got.body)
				require.Equal(t, c.code, e.Code, got.body)
				require.Equal(t, c.param, e.Param, got.body)
				require.Equal(t, "application/json", got.header.Get("Content-Type"))
				require.Equal(t, "id-1", got.header.Get("X-Request-Id"))
				if c.header[0] != "" {
					require.Equal(t, c.header[1], got.header.Get(c.header[0]))
				}
				wait(t, h)
				require.Empty(t, up.finished(), "the upstream got an invalid request")
				if c.unseen || profile == "gated" {
					require.Zero(t, up.count(), "the upstream saw an invalid request begin")
				}
			})
		}
	}
}

// In a request without content-length the document's end is where it goes on;
// garbage that comes later makes the request unfinished for the upstream.
func TestGarbageAfterADocumentOfUnknownLength(t *testing.T) {
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			up := newUpstream(gives(200, "application/json", chatHello))
			h := start(t, config("vllm", profile), up, func(o *filtertest.Options) {
				o.RequestSplit = filtertest.At(int64(len(hello)))
			})
			got := do(t, h, "POST", "/v1/responses", unsized(hello+" \n x"))
			require.Equal(t, 400, got.status)
			require.Equal(t, "invalid_json", errorOf(t, got.body).Code)
			wait(t, h)
			require.Empty(t, up.finished())

			got = do(t, h, "POST", "/v1/responses", unsized(hello+" \n\t"))
			require.Equal(t, 200, got.status, got.body)
			require.Len(t, up.finished(), 1)
		})
	}
}
