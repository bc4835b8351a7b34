package server

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/testkit"
	"antwort/shared/config"
)

// lists is a backend that has these models.
func lists(t *testing.T, models ...string) string {
	return upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var entries []string
		for _, m := range models {
			entries = append(entries, fmt.Sprintf(`{"id":%q,"object":"model","owned_by":"vllm"}`, m))
		}
		_, _ = io.WriteString(w, `{"object":"list","data":[`+strings.Join(entries, ",")+`]}`)
	}))
}

// names are those of a list of models.
func (a answer) names(t *testing.T) []string {
	t.Helper()
	require.Equal(t, 200, a.status, a.body)
	var list struct {
		Object string
		Data   []struct{ ID, Object string }
	}
	require.NoError(t, json.Unmarshal([]byte(a.body), &list))
	require.Equal(t, "list", list.Object)
	names := []string{}
	for _, m := range list.Data {
		require.Equal(t, "model", m.Object)
		names = append(names, m.ID)
	}
	return names
}

// keyEntry is an entry of auth.api_keys.
func keyEntry(name, more string) string {
	return fmt.Sprintf(`{"sha256":"%x","subject":%q%s}`, sha256.Sum256([]byte(name)), name, more)
}

func TestModelsOfAllRoutes(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		r := start(t, provider, "", withRoutes(t, fmt.Sprintf(`[
			{"name":"beta","match":{"models":["llama-*"],"headers":{"x-stage":"beta"}},"backends":[{"url":%q}]},
			{"name":"team","match":{"models":["llama-7"],"tenants":["team-a"]},"backends":[{"url":%q,"model":"/mnt/7"}]},
			{"name":"llama","match":{"models":["llama-*","small"]},"backends":[{"url":%q},{"url":%q,"priority":1}]},
			{"name":"rest","backends":[{"url":%q}]}]`,
			lists(t, "llama-beta", "other"), lists(t, "/mnt/7"), "http://"+testkit.Refused(t).String(), lists(t, "llama-7", "llama-8", "small", "hidden"), lists(t, "llama-8", "more", "small"))),
			withKeys(t, `{"type":"api_key","api_keys":[`+keyEntry("alice", `,"tenant":"team-a"`)+`,`+keyEntry("bob", ``)+`,`+keyEntry("carol", `,"models":["small","more"]`)+`]}`))
		for _, c := range []struct {
			caller, stage string
			want          []string
		}{
			{"alice", "", []string{"llama-7", "llama-8", "small", "more"}},
			{"bob", "", []string{"llama-7", "llama-8", "small", "more"}},
			{"bob", "beta", []string{"llama-beta", "small", "more"}},
			{"carol", "", []string{"small", "more"}},
		} {
			for range 2 {
				require.Equal(t, c.want, r.call("GET", "/v1/models", "", "Authorization", "Bearer "+c.caller, "X-Stage", c.stage).names(t), "%s %s", c.caller, c.stage)
			}
		}
		for _, c := range []struct {
			caller, model string
			status        int
		}{
			{"alice", "llama-7", 200}, {"bob", "llama-8", 200}, {"bob", "small", 200}, {"carol", "small", 200}, {"carol", "llama-7", 404},
		} {
			got := r.call("GET", "/v1/models/"+c.model, "", "Authorization", "Bearer "+c.caller)
			require.Equal(t, c.status, got.status, "%s %s: %s", c.caller, c.model, got.body)
			if provider == config.VLLM && c.status == 200 {
				require.Contains(t, got.body, `{"id":"`+c.model+`"`)
			}
		}
		require.NotContains(t, r.call("GET", "/v1/models", "", "Authorization", "Bearer alice").body, "/mnt/7")
	}
}

// A key with models gets a shorter list without any routes too.
func TestModelsOfACallerOfCertainModels(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		r := start(t, provider, lists(t, "a-1", "b", "a-2"), withKeys(t, `{"type":"api_key","api_keys":[`+keyEntry("all", ``)+`,`+keyEntry("some", `,"models":["a-*","z"]`)+`]}`))
		require.Equal(t, []string{"a-1", "b", "a-2"}, r.call("GET", "/v1/models", "", "Authorization", "Bearer all").names(t))
		require.Equal(t, []string{"a-1", "a-2"}, r.call("GET", "/v1/models", "", "Authorization", "Bearer some").names(t))
	}
}

// A route that does not answer is missing; that nobody answers is an error.
func TestModelsWhileRoutesAreDown(t *testing.T) {
	down, broken, refusing := "http://"+testkit.Refused(t).String(), upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "{}") })), upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }))
	routes := func(last string) func(*config.Config) {
		return withRoutes(t, fmt.Sprintf(`[{"name":"down","match":{"models":["d*"]},"backends":[{"url":%q}]},{"name":"broken","match":{"models":["b*"]},"backends":[{"url":%q}]},
			{"name":"refusing","match":{"models":["r*"]},"backends":[{"url":%q}]},{"name":"rest","match":{"models":["m*"]},"backends":[{"url":%q}]}]`, down, broken, refusing, last))
	}
	r := start(t, config.VLLM, "", routes(lists(t, "m", "n")))
	require.Equal(t, []string{"m"}, r.call("GET", "/v1/models", "").names(t))
	for _, route := range []string{"down", "broken", "refusing"} {
		r.log.waitFor(t, "the models of a route are missing in the list", `"route":"`+route+`"`)
	}
	r = start(t, config.VLLM, "", routes("http://"+testkit.Refused(t).String()))
	got := r.call("GET", "/v1/models", "")
	require.Equal(t, 502, got.status)
	got.errorCode(t)

	silent := upstreamOf(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	r = start(t, config.VLLM, "", withRoutes(t, fmt.Sprintf(`[{"name":"r","match":{"models":["m*"]},"backends":[{"url":%q,"response_timeout":"100ms"},{"url":%q,"priority":1}]}]`, silent, lists(t, "m"))),
		func(c *config.Config) { c.Engine.Retry.BaseDelay, c.Engine.Retry.MaxDelay = time.Hour, time.Hour })
	require.Equal(t, []string{"m"}, r.call("GET", "/v1/models", "").names(t), "another one of the route is asked")
}

func TestModelsOfNobody(t *testing.T) {
	r := start(t, config.VLLM, "", withRoutes(t, `[{"name":"r","match":{"tenants":["a"]},"backends":[{"url":"`+lists(t, "m")+`"}]}]`))
	require.Empty(t, r.call("GET", "/v1/models", "").names(t))
	got := r.call("GET", "/v1/models/m", "")
	_, _, code := got.errorCode(t)
	require.Equal(t, "model_not_found", code)
}
