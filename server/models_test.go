package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
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

// listings is a backend of the provider that counts who asks for its models, and
// how many at once.
type listings struct {
	mu             sync.Mutex
	running, most  int
	asked          map[string]int // by the subject that it is told
	authorizations map[string]int
}

func (l *listings) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("X-Request-Id") == "" {
		return // the greeting
	}
	l.mu.Lock()
	l.running++
	l.most = max(l.most, l.running)
	l.asked[r.Header.Get("X-Antwort-Subject")]++
	l.authorizations[r.Header.Get("Authorization")]++
	l.mu.Unlock()
	_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m-`+strings.TrimPrefix(r.Host, "127.0.0.1:")+`","object":"model"}]}`)
	l.mu.Lock()
	l.running--
	l.mu.Unlock()
}

// total is how often it was asked.
func (l *listings) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, times := range l.asked {
		n += times
	}
	return n
}

// listsKept keeps lists for longer than a busy machine takes for a test.
func listsKept(c *config.Config) { c.Routing.ModelsTime = time.Hour }

// A request for the list of models is not one to each of 200 backends, whoever
// sends how many.
func TestModelsDoNotMultiply(t *testing.T) {
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		l := &listings{asked: map[string]int{}, authorizations: map[string]int{}}
		up := upstreamOf(t, l)
		var routes []string
		for i := range 200 {
			routes = append(routes, fmt.Sprintf(`{"name":"r%d","match":{"models":["m-*"],"headers":{"x-stage":"s%d"}},"backends":[{"url":%q}]}`, i, i, up))
			if i > 0 {
				routes[i] = fmt.Sprintf(`{"name":"r%d","match":{"models":["n%d-*"]},"backends":[{"url":%q}]}`, i, i, up)
			}
		}
		r := start(t, provider, "", withRoutes(t, "["+strings.Join(routes, ",")+"]"), withKeys(t, `{"type":"api_key","api_keys":[`+keyEntry("alice", ``)+`,`+keyEntry("bob", ``)+`]}`), listsKept)
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				got := r.call("GET", "/v1/models", "", "Authorization", "Bearer alice", "X-Stage", fmt.Sprint("none", i), "X-Other", fmt.Sprint(i))
				if got.status != 200 {
					t.Errorf("status %d: %s", got.status, got.body)
				}
			})
		}
		all.Wait()
		require.Equal(t, 199, l.total(), "one for each route that alice can reach")
		require.LessOrEqual(t, l.most, 16)
		require.Equal(t, 200, r.call("GET", "/v1/models", "", "Authorization", "Bearer bob").status)
		require.Equal(t, map[string]int{"alice": 199, "bob": 199}, l.asked, "what one is shown is not kept for another")
		require.Equal(t, 200, r.call("GET", "/v1/models", "", "Authorization", "Bearer bob", "X-Stage", "s0").status)
		more := 199 + 199 + 200 // a backend is told of a field that leads to a route
		if provider == config.VLLM {
			more = 199 + 199 + 1
		}
		require.Equal(t, more, l.total())
	}
}

// The credential of a client that its backend checks is part of what it may see.
func TestModelsOfBackendsThatCheckTheCaller(t *testing.T) {
	l := &listings{asked: map[string]int{}, authorizations: map[string]int{}}
	up := upstreamOf(t, l)
	r := start(t, config.VLLMResponses, "", withRoutes(t, fmt.Sprintf(`[{"name":"a","match":{"models":["a*"]},"backends":[{"url":%q}]}]`, up)), listsKept)
	for _, key := range []string{"one", "two", "one", ""} {
		require.Equal(t, 200, r.call("GET", "/v1/models", "", "Authorization", key).status)
	}
	require.Equal(t, map[string]int{"one": 1, "two": 1, "": 1}, l.authorizations)
}

// A list is no older than routing.models_time.
func TestModelsThatAreNotKept(t *testing.T) {
	l := &listings{asked: map[string]int{}, authorizations: map[string]int{}}
	r := start(t, config.VLLM, upstreamOf(t, l), func(c *config.Config) { c.Routing.ModelsTime = 0 })
	for range 3 {
		require.Equal(t, 200, r.call("GET", "/v1/models", "").status)
	}
	require.Equal(t, 3, l.total())
}

// A client that leaves ends its own wait alone.
func TestModelsOfAClientThatLeaves(t *testing.T) {
	asked, goOn := make(chan struct{}, 10), make(chan struct{})
	r := start(t, config.VLLM, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Request-Id") == "" {
			return
		}
		asked <- struct{}{}
		<-goOn
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
	})), listsKept)
	ctx, leave := context.WithCancel(t.Context())
	go r.do(ctx, "GET", "/v1/models", nil)
	wait(t, asked, "the list's request")
	leave()
	r.log.waitFor(t, `"msg":"request"`, `"status":499`)
	done := make(chan answer, 1)
	go func() { done <- r.call("GET", "/v1/models", "") }()
	close(goOn)
	require.Equal(t, []string{"m"}, wait(t, done, "the answer").names(t))
	require.Empty(t, asked, "it was asked once")
}

// What a key may see is what is shown, however its name is written.
func TestModelOfAnotherName(t *testing.T) {
	var mu sync.Mutex
	var paths []string
	r := start(t, config.VLLMResponses, upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		paths = append(paths, r.URL.EscapedPath())
	})),
		withKeys(t, `{"type":"api_key","api_keys":[`+keyEntry("some", `,"models":["a*"]`)+`]}`))
	ready(t, r)
	mu.Lock()
	paths = nil
	mu.Unlock()
	for path, want := range map[string]int{"a": 200, "a/b": 200, "a%2Fb": 200, "a..b": 200, "b": 404, "a/../b": 404, "a%2F..%2Fb": 404, "a%2f%2e%2e%2fb": 404, "a/%2e%2e/b": 404, "a/./b": 404, "a/..": 404} {
		require.Equal(t, want, r.raw([]byte("GET /v1/models/"+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer some\r\nConnection: close\r\n\r\n")).status, path)
	}
	mu.Lock()
	defer mu.Unlock()
	require.ElementsMatch(t, []string{"/v1/models/a", "/v1/models/a/b", "/v1/models/a%2Fb", "/v1/models/a..b"}, paths)
}
