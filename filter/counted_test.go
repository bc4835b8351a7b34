package filter_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// How many tokens a request has is asked with one request, of the same body that would
// have been sent, and a number is all that comes back.
func TestTokensAreCounted(t *testing.T) {
	const path, ask = "/v1/responses/input_tokens", `{"model":"m","input":"hello","reasoning":{"effort":"low"},"stream":true}`
	for _, profile := range profiles {
		for _, chunk := range []int{0, 7} {
			h := startSplit(t, config("vllm", profile))
			h.set(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/tokenize" {
					w.WriteHeader(http.StatusTeapot)
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"count":3,"max_model_len":99,"tokens":[1,2,3]}`)
			}, chunk)
			got := do(t, h.Host, "POST", path, strings.NewReader(ask))
			require.Equal(t, 200, got.status, got.body)
			require.Equal(t, `{"object":"response.input_tokens","input_tokens":3}`, got.body)
			require.Equal(t, []string{`{"model":"m","messages":[{"role":"user","content":"hello"}],"add_generation_prompt":true,"chat_template_kwargs":{"reasoning_effort":"low","enable_thinking":true}}`}, h.up.finished())
		}
		up := newUpstream(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/chat/completions" {
				w.WriteHeader(http.StatusTeapot)
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, chatHello)
		})
		h := start(t, config("vllm", profile, "engine.count_tokens", `"completion"`), up)
		got := do(t, h, "POST", path, strings.NewReader(ask))
		require.Equal(t, `{"object":"response.input_tokens","input_tokens":7}`, got.body)
		require.Equal(t, []string{`{"model":"m","messages":[{"role":"user","content":"hello"}],"reasoning_effort":"low","max_completion_tokens":1}`}, up.finished())
		h = start(t, config("vllm", profile, "engine.count_tokens", `"off"`), up)
		got = do(t, h, "POST", path, strings.NewReader(ask))
		require.Equal(t, 404, got.status)
		require.Contains(t, got.body, "unsupported_endpoint")
	}
}

func TestFailedCountsAreTold(t *testing.T) {
	for _, profile := range profiles {
		h := startSplit(t, config("vllm", profile, "limits.response_body_bytes", `"4KiB"`))
		for name, c := range map[string]struct {
			status        int
			body          string
			gated, inline int
			code          string
		}{
			"no endpoint":   {404, `{"error":{"message":"Not Found","type":"Not Found","code":404}}`, 501, 404, "unsupported_endpoint"},
			"no such model": {404, `{"error":{"message":"The model x does not exist","type":"NotFoundError","code":404}}`, 404, 404, "model_not_found"},
			"wrong method":  {405, `{"detail":"Method Not Allowed"}`, 501, 405, "unsupported_endpoint"},
			"failed":        {500, `{"error":{"message":"no"}}`, 500, 500, "upstream_error"},
			"no number":     {200, `{"tokens":[]}`, 502, 200, "upstream_invalid_answer"},
			"no JSON":       {200, `{"count":`, 502, 200, "upstream_invalid_answer"},
			"too large":     {200, `{"count":3,"tokens":[` + strings.Repeat("1,", 4<<10) + `1]}`, 502, 200, "upstream_invalid_answer"},
		} {
			t.Run(profile+"/"+name, func(t *testing.T) {
				h.set(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(c.status)
					_, _ = io.WriteString(w, c.body)
				}, 0)
				got := do(t, h.Host, "POST", "/v1/responses/input_tokens", strings.NewReader(hello))
				want := c.gated
				if profile == "inline" {
					want = c.inline
				}
				require.Equal(t, want, got.status, got.body)
				require.Contains(t, got.body, `"code":"`+c.code+`"`)
			})
		}
	}
}
