package filter_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeadersOfATranslatedRequest(t *testing.T) {
	secret := []string{"Authorization", "Bearer client", "X-Api-Key", "k", "Api-Key", "k", "Cookie", "c=1", "Proxy-Authorization", "p"}
	for _, profile := range profiles {
		for _, key := range []string{"", "sk-own"} {
			t.Run(profile+"/"+key, func(t *testing.T) {
				cfg := config("vllm", profile)
				if key != "" {
					cfg = config("vllm", profile, "engine.api_key", `"`+key+`"`)
				}
				up := newUpstream(gives(200, "application/json", chatHello))
				h := start(t, cfg, up)
				got := do(t, h, "POST", "/v1/responses?trace=1", strings.NewReader(hello), append(secret,
					"Accept-Encoding", "gzip", "Traceparent", "00-1-2-01", "X-Request-Id", "id-3", "Content-Type", "Application/JSON; charset=utf-8")...)
				require.Equal(t, 200, got.status, got.body)
				require.Equal(t, "id-3", got.header.Get("X-Request-Id"))
				r, body := up.last()
				require.Equal(t, "/v1/chat/completions", r.RequestURI)
				require.Equal(t, "id-3", r.Header.Get("X-Request-Id"))
				require.Equal(t, "00-1-2-01", r.Header.Get("Traceparent"))
				require.Empty(t, r.Header.Get("Accept-Encoding"))
				for i := 2; i < len(secret); i += 2 {
					require.Empty(t, r.Header.Get(secret[i]), secret[i])
				}
				want := ""
				if key != "" {
					want = "Bearer " + key
				}
				require.Equal(t, want, r.Header.Get("Authorization"), "the client's credential is not for the model server")
				if profile == "gated" {
					require.EqualValues(t, len(body), r.ContentLength)
				}
			})
		}
	}
}

// What is not of the Responses API passes untouched; the list of models is
// asked for with our own key, nothing else is.
func TestOtherPathsPass(t *testing.T) {
	for _, provider := range []string{"vllm", "vllm-responses"} {
		up := newUpstream(gives(418, "text/x", "as it is", "X-Some", "thing"))
		h := start(t, config(provider, "gated", "engine.api_key", `"sk-own"`), up)
		for _, path := range []string{"/", "/v1/chat/completions", "/v1/models", "/v1/models/a/b", "/v1/responsesx", "/metrics", "/v1/embeddings?x=1"} {
			t.Run(provider+path, func(t *testing.T) {
				got := do(t, h, "POST", path, strings.NewReader("a body"), "Content-Type", "text/y", "Authorization", "Bearer client", "Content-Encoding", "br", "Accept-Encoding", "br")
				require.Equal(t, 418, got.status)
				require.Equal(t, "as it is", got.body)
				require.Equal(t, "thing", got.header.Get("X-Some"))
				r, body := up.last()
				require.Equal(t, path, r.RequestURI)
				require.Equal(t, "a body", body)
				require.Equal(t, "br", r.Header.Get("Accept-Encoding"))
				auth := "Bearer client"
				if strings.HasPrefix(path, "/v1/models") {
					auth = "Bearer sk-own"
				}
				require.Equal(t, auth, r.Header.Get("Authorization"))
				wait(t, h)
				require.Empty(t, requests(h))
			})
		}
	}
}
