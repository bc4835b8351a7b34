package server

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
	"antwort/shared/corpus"
)

// withRoutes is the list routes of a configuration, without a backend of engine.
func withRoutes(t *testing.T, routes string) func(*config.Config) {
	t.Helper()
	c, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm"},"routes":` + routes + `}`), LookupEnv: os.LookupEnv})
	require.NoError(t, err)
	return func(to *config.Config) { to.Routes, to.Engine.BackendURL = c.Routes, "" }
}

// arrived is what reached a route's backend.
type arrived struct {
	route, model, key string
	header            http.Header
}

// TestRoutingCorpus sends the cases that the filter and Envoy get too.
func TestRoutingCorpus(t *testing.T) {
	t.Setenv("KEYED_ROUTE_KEY", "keyed-route-key")
	all, err := corpus.LoadRouting()
	require.NoError(t, err)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		came := make(chan arrived, 10)
		address := func(route string) string {
			return upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/v1/models" {
					return // the greeting
				}
				var body struct{ Model string }
				text, _ := io.ReadAll(r.Body)
				_ = json.Unmarshal(text, &body)
				came <- arrived{route, body.Model, r.Header.Get("Authorization"), r.Header}
				answering(w)
			}))
		}
		for _, fallback := range []bool{false, true} {
			engine := func(*config.Config) {}
			if fallback {
				url := address(config.DefaultRoute)
				engine = func(c *config.Config) { c.Engine.BackendURL = url }
			}
			r := start(t, provider, "", withRoutes(t, all.At(address)), withKeys(t, string(all.Auth)), engine)
			ready(t, r)
			for _, c := range all.Cases {
				if c.Only != "" && c.Only != string(provider) || c.Unrouted != fallback && fallback {
					continue
				}
				t.Run(string(provider)+"/"+c.Name, func(t *testing.T) {
					got := (&running{t: t, addr: r.addr}).raw(c.Wire(r.addr))
					want := c.Route
					if fallback {
						want = config.DefaultRoute
					}
					if want == "" {
						require.Equal(t, c.Status, got.status, got.body)
						_, param, code := got.errorCode(t)
						if c.Code != "" {
							require.Equal(t, [2]string{c.Code, c.Param}, [2]string{code, param}, got.body)
						}
						require.Empty(t, came, "it reached a backend")
						return
					}
					require.Equal(t, 200, got.status, got.body)
					a := wait(t, came, "the request did not arrive")
					require.Equal(t, want, a.route)
					require.Equal(t, c.Key, a.key)
					if c.Sent != "" {
						require.Equal(t, c.Sent, a.model)
					} else if c.Method == "POST" {
						require.Contains(t, c.Body, a.model)
					}
					for name := range a.header {
						if strings.HasPrefix(strings.ReplaceAll(name, "_", "-"), "X-Antwort-") {
							require.Contains(t, []string{"X-Antwort-Subject", "X-Antwort-Tenant"}, name, "forged")
						}
					}
				})
			}
		}
	}
}

// The model decides between translating and forwarding.
func TestRoutesOfBothProviders(t *testing.T) {
	chat := upstreamOf(t, chats(answering200))
	came := make(chan string, 10)
	forwards := upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // else the greeting
			body, _ := io.ReadAll(r.Body)
			came <- r.RequestURI + " " + string(body)
		}
		_, _ = io.WriteString(w, `{"forwarded":true}`)
	}))
	r := start(t, config.VLLM, "", withRoutes(t, `[
		{"name":"chat","match":{"models":["chat-*"]},"backends":[{"url":"`+chat+`"}]},
		{"name":"whole","match":{"models":["whole"]},"backends":[{"url":"`+forwards+`","provider":"vllm-responses","model":"inner"}]},
		{"name":"rest","match":{"headers":{"x-rest":"yes"}},"backends":[{"url":"`+forwards+`","provider":"vllm-responses"}]}]`))
	ready(t, r)
	got := r.post(`{"model":"chat-1","input":"hi"}`)
	require.Equal(t, 200, got.status, got.body)
	require.Contains(t, got.body, `"object":"response"`)
	got = r.call("POST", "/v1/responses?trace=1", `{ "model" : "whole", "input":[ ] }`, "Content-Type", "application/json")
	require.Equal(t, `{"forwarded":true}`, got.body)
	require.Equal(t, `/v1/responses?trace=1 { "model" : "inner", "input":[ ] }`, wait(t, came, "the request"))
	got = r.call("POST", "/v1/responses/compact", `{"model":"whole"}`)
	require.Equal(t, `{"forwarded":true}`, got.body)
	require.Equal(t, `/v1/responses/compact {"model":"inner"}`, wait(t, came, "the request"))

	for path, body := range map[string]string{"/v1/responses/compact": `{"model":"other","input":"x"}`, "/v1/responses": `{"model":"other","input":"x"}`} {
		got = r.call("POST", path, body)
		require.Equal(t, 404, got.status)
		_, _, code := got.errorCode(t)
		require.Contains(t, []string{"unsupported_endpoint", "model_not_found"}, code)
	}
	got = r.call("GET", "/v1/responses/resp_1", "")
	_, _, code := got.errorCode(t)
	require.Equal(t, "no_route", code)
	require.Empty(t, came)
}

// A body that must be understood may not be coded; one that is only passed on
// may.
func TestBodiesThatCannotBeRead(t *testing.T) {
	came := make(chan string, 10)
	backend := func() string {
		return upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if body, _ := io.ReadAll(r.Body); r.Method == http.MethodPost {
				came <- string(body)
			}
			answering(w)
		}))
	}
	a, b := backend(), backend()
	r := start(t, config.VLLMResponses, "", withRoutes(t, `[
		{"name":"named","match":{"headers":{"x-named":"yes"}},"backends":[{"url":"`+a+`","model":"inner"}]},
		{"name":"two","match":{"headers":{"x-two":"yes"}},"balance":"affinity","backends":[{"url":"`+a+`"},{"url":"`+b+`"}]},
		{"name":"model","match":{"models":["m"]},"backends":[{"url":"`+a+`"}]}]`))
	for name, test := range map[string]struct{ kind, coding, body, code, accepted string }{
		"coded":             {"application/json", "gzip", "\x1f\x8b coded", "unsupported_content_encoding", "identity"},
		"a form":            {"application/x-www-form-urlencoded", "", "model=m", "unsupported_content_type", ""},
		"JSON as something": {"text/plain", "", `{"model":"m","input":"hi"}`, "unsupported_content_type", ""},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(header string) answer {
				req, err := http.NewRequest("POST", r.url+"/v1/responses", strings.NewReader(test.body))
				require.NoError(t, err)
				req.Header.Set("Content-Type", test.kind)
				if test.coding != "" {
					req.Header.Set("Content-Encoding", test.coding)
				}
				if header != "" {
					req.Header.Set(header, "yes")
				}
				resp, err := http.DefaultClient.Do(req)
				require.NoError(t, err)
				return finish(t, resp)
			}
			passed := send("X-Two")
			require.Equal(t, 200, passed.status)
			require.Empty(t, passed.header.Get("Accept-Encoding"))
			require.Equal(t, test.body, wait(t, came, "the body"))
			for _, header := range []string{"X-Named", ""} {
				got := send(header)
				require.Equal(t, 415, got.status)
				_, _, code := got.errorCode(t)
				require.Equal(t, test.code, code)
				require.Equal(t, test.accepted, got.header.Get("Accept-Encoding"))
			}
			require.Empty(t, came)
		})
	}
}

func TestRouteInLogAndMetrics(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, "", withRoutes(t, `[{"name":"all","backends":[{"url":"`+llm+`","model":"/mnt/models"}]}]`))
	ready(t, r)
	require.Equal(t, 200, r.post(`{"model":"any","input":"hi"}`).status)
	line := r.log.waitFor(t, `"msg":"request"`, "/v1/responses")
	require.Equal(t, []any{"all", llm, "any"}, []any{line["route"], line["backend"], line["model"]})
	labels := []string{`route="all"`, `backend="` + llm + `"`}
	require.EqualValues(t, 1, metric(t, r, "antwort_backend_requests_total", labels...))
}
