package server

import (
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

const (
	page  = "https://chat.example"
	other = "https://evil.example"
)

// fromPage sends a request as a browser does for a page of the origin.
func fromPage(t *testing.T, method, url, origin, body string, fields ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Origin", origin)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}

func withKeyFor(origins ...string) func(*config.Config) {
	return func(c *config.Config) {
		c.Server.CORS.AllowedOrigins = origins
		c.Auth.Type = config.APIKeyAuth
		c.Auth.APIKeys = []config.APIKey{{Digest: sha256.Sum256([]byte("the-key")), Subject: "alice"}}
	}
}

func TestCORS(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(provider), func(t *testing.T) {
			_, upstream := mock(t, mockllm.Options{})
			if provider == config.VLLMResponses {
				// A backend that has its own word for pages.
				upstream = start(t, config.VLLM, upstream, func(c *config.Config) { c.Server.CORS.AllowedOrigins = []string{"*"} }).url
			}
			r := start(t, provider, upstream, withKeyFor(page))
			readable := func(resp *http.Response) {
				t.Helper()
				assert.Equal(t, []string{page}, resp.Header.Values("Access-Control-Allow-Origin"))
				assert.Contains(t, resp.Header.Get("Access-Control-Expose-Headers"), "x-request-id, retry-after")
				assert.Contains(t, resp.Header.Values("Vary"), "Origin")
			}
			t.Run("a preflight needs no key", func(t *testing.T) {
				resp, body := fromPage(t, http.MethodOptions, r.url+"/v1/responses", page, "", "Access-Control-Request-Method", "POST",
					"Access-Control-Request-Headers", "authorization,content-type,x-stainless-lang")
				assert.Equal(t, http.StatusNoContent, resp.StatusCode)
				assert.Empty(t, body)
				readable(resp)
				assert.Contains(t, resp.Header.Get("Access-Control-Allow-Methods"), "POST")
				assert.Contains(t, resp.Header.Get("Access-Control-Allow-Headers"), "authorization")
				assert.Contains(t, resp.Header.Get("Access-Control-Allow-Headers"), "x-stainless-lang")
				assert.NotEmpty(t, resp.Header.Get("Access-Control-Max-Age"))
			})
			t.Run("answers and streams", func(t *testing.T) {
				for _, stream := range []string{"false", "true"} {
					resp, body := fromPage(t, http.MethodPost, r.url+"/v1/responses", page, `{"model":"/mnt/models","input":"hi","stream":`+stream+`}`, "Authorization", "Bearer the-key")
					assert.Equal(t, http.StatusOK, resp.StatusCode, body)
					readable(resp)
				}
			})
			t.Run("errors", func(t *testing.T) {
				for status, send := range map[int]func() (*http.Response, string){
					http.StatusUnauthorized: func() (*http.Response, string) {
						return fromPage(t, http.MethodPost, r.url+"/v1/responses", page, "{}")
					},
					http.StatusNotFound: func() (*http.Response, string) {
						return fromPage(t, http.MethodGet, r.url+"/v1/none", page, "", "Authorization", "Bearer the-key")
					},
					http.StatusBadRequest: func() (*http.Response, string) {
						return fromPage(t, http.MethodPost, r.url+"/v1/responses", page, `{"model":"/mnt/models","input":"hi","stream":true,"temperature":9}`, "Authorization", "Bearer the-key")
					},
				} {
					resp, body := send()
					assert.Equal(t, status, resp.StatusCode, body)
					readable(resp)
				}
			})
			t.Run("another page", func(t *testing.T) {
				resp, _ := fromPage(t, http.MethodOptions, r.url+"/v1/responses", other, "", "Access-Control-Request-Method", "POST")
				assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
				assert.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
				assert.Equal(t, []string{"Origin"}, resp.Header.Values("Vary"), "a cache must not give the allowed page this answer")
			})
		})
	}
}

func TestCORSOfEveryPageAndNone(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	every, none := start(t, config.VLLM, llm, withKeyFor("*")), start(t, config.VLLM, llm, withKeyFor())
	resp, _ := fromPage(t, http.MethodOptions, every.url+"/v1/models", other, "", "Access-Control-Request-Method", "GET")
	assert.Equal(t, http.StatusNoContent, resp.StatusCode)
	assert.Equal(t, other, resp.Header.Get("Access-Control-Allow-Origin"))
	resp, _ = fromPage(t, http.MethodOptions, none.url+"/v1/models", other, "", "Access-Control-Request-Method", "GET")
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	assert.Empty(t, resp.Header.Get("Access-Control-Allow-Origin"))
	assert.Empty(t, resp.Header.Get("Vary"))
}
