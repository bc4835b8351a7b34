package filter_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"antwort/filter/filtertest"
	"antwort/shared/corpus"

	"github.com/stretchr/testify/require"
)

// routed is a configuration with routes.
func routed(provider, profile, engine, routes, auth string) []byte {
	if auth == "" {
		auth = "{}"
	}
	return fmt.Appendf(nil, `{"engine":{"provider":%q%s},"filter":{"profile":%q},"routes":%s,"auth":%s}`, provider, engine, profile, routes, auth)
}

// The cases that package policy, the native server and Envoy run too.
func TestRoutingCorpus(t *testing.T) {
	all, err := corpus.LoadRouting()
	require.NoError(t, err)
	for _, provider := range []string{"vllm", "vllm-responses"} {
		for _, engine := range []string{"", `,"backend_url":"http://default.example"`} {
			up := newUpstream(nil)
			h := start(t, routed(provider, "gated", engine, string(all.Routes), string(all.Auth)), up, func(o *filtertest.Options) {
				o.Env = map[string]string{"KEYED_ROUTE_KEY": "keyed-route-key"}
			})
			for _, c := range all.Cases {
				if c.Only != "" && c.Only != provider {
					continue
				}
				t.Run(provider+engine+"/"+c.Name, func(t *testing.T) {
					up.set(gives(200, "application/json", chatHello))
					got := raw(t, h, c.Wire("gateway.example"))
					wait(t, h)
					if c.Unrouted && engine != "" {
						c.Route = "default"
					}
					if c.Route == "" {
						require.Equal(t, c.Status, got.status, got.body)
						if c.Code != "" {
							e := errorOf(t, got.body)
							require.Equal(t, [2]string{c.Code, c.Param}, [2]string{e.Code, e.Param}, got.body)
						}
						require.Zero(t, up.count(), "the upstream saw it begin")
						return
					}
					require.Equal(t, 200, got.status, got.body)
					r, body := up.last()
					require.Equal(t, []string{c.Route}, r.Header["X-Antwort-Route"])
					require.Equal(t, c.Key, r.Header.Get("Authorization"))
					require.NotContains(t, r.Header, "X-Antwort-Affinity", "a forged field passed")
					require.NotContains(t, r.Header, "X_antwort_route", "a forged field passed")
					if c.Method == http.MethodPost {
						arrives(t, provider, &c, r, body)
					}
				})
			}
			require.Zero(t, h.Counter("antwort.panics_total"))
			nothingIsHeld(t, h)
		}
	}
}

// arrives checks what the upstream got.
func arrives(t *testing.T, provider string, c *corpus.RouteCase, r *http.Request, body string) {
	t.Helper()
	if length := r.Header.Get("Content-Length"); length != "" {
		require.Equal(t, length, strconv.Itoa(len(body)))
	}
	var got, asked map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &got), body)
	require.NoError(t, json.Unmarshal([]byte(c.Body), &asked))
	sent := asked["model"]
	if c.Sent != "" {
		sent = c.Sent
	}
	require.Equal(t, sent, got["model"])
	if provider == "vllm" {
		return
	}
	if model, is := asked["model"].(string); !is || model == sent {
		require.Equal(t, c.Body, body, "the body is forwarded as it came")
		return
	}
	quoted, err := json.Marshal(c.Sent)
	require.NoError(t, err)
	asks, err := json.Marshal(asked["model"])
	require.NoError(t, err)
	require.Equal(t, strings.Replace(c.Body, string(asks), string(quoted), 1), body, "nothing but the model's name is changed")
}

// In the profile inline the route is chosen while the body is still to come.
func TestRoutesInInline(t *testing.T) {
	const routes = `[{"name":"lab","match":{"headers":{"x-team":"lab"}},"backends":[{"url":"http://lab","api_key_env":"LAB_KEY"MODEL}]},
		{"name":"a","match":{"tenants":["team-a"]},"backends":[{"url":"http://a"},{"url":"http://b"}]}]`
	for _, provider := range []string{"vllm", "vllm-responses"} {
		model := ""
		if provider == "vllm" {
			model = `,"model":"/mnt/lab"`
		}
		up := newUpstream(nil)
		h := start(t, routed(provider, "inline", "", strings.Replace(routes, "MODEL", model, 1), `{"type":"api_key","api_keys":[{`+aliceDigest+`,"tenant":"team-a"},`+
			`{"sha256":"f6487756d211f51fd59c3365cef7e83e549e72ebda0b9abff1f4fcbc4e701460","subject":"bob"}]}`), up, func(o *filtertest.Options) {
			o.Env = map[string]string{"LAB_KEY": "lab-key"}
		})
		send := func(key string, header ...string) got {
			up.set(gives(200, "application/json", chatHello))
			return post(t, h, `{"model":"m","input":"hi"}`, append(header, "X-Api-Key", key)...)
		}
		require.Equal(t, 200, send(aliceKey).status)
		r, _ := up.last()
		require.Equal(t, "a", r.Header.Get("X-Antwort-Route"))
		require.Empty(t, r.Header.Get("Authorization"))
		require.Empty(t, r.Header.Get("X-Envoy-Retry-On"), "nobody has read it")

		require.Equal(t, 200, send("bob-key-77c0e1d3", "X-Team", "lab").status)
		r, body := up.last()
		require.Equal(t, "lab", r.Header.Get("X-Antwort-Route"))
		require.Equal(t, "Bearer lab-key", r.Header.Get("Authorization"))
		require.Equal(t, provider == "vllm", strings.Contains(body, `"/mnt/lab"`), body)

		got := send("bob-key-77c0e1d3")
		require.Equal(t, 404, got.status)
		require.Equal(t, "no_route", errorOf(t, got.body).Code)
		require.Zero(t, up.count())
		require.NotZero(t, h.Counter("antwort.failures_total.no_route"))
	}
}

// All turns of a conversation say the same to Envoy's hash policy.
func TestAffinity(t *testing.T) {
	const routes = `[{"name":"a","match":{"models":["a"]},"balance":"affinity","backends":[{"url":"http://a"},{"url":"http://b"}]},
		{"name":"b","match":{"models":["b"]},"backends":[{"url":"http://a"}]}]`
	var all []string
	for _, c := range []struct {
		provider string
		split    filtertest.Split
	}{{"vllm", nil}, {"vllm-responses", nil}, {"vllm", filtertest.Every(7)}} { // the last is read where it was gathered
		up := newUpstream(nil)
		h := start(t, routed(c.provider, "gated", "", routes, ""), up, func(o *filtertest.Options) { o.RequestSplit = c.split })
		key := func(body string) string {
			up.set(gives(200, "application/json", chatHello))
			got := post(t, h, body, "X-Antwort-Affinity", "forged")
			require.Equal(t, 200, got.status, got.body)
			r, _ := up.last()
			require.NotContains(t, r.Header["X-Antwort-Affinity"], "forged")
			return r.Header.Get("X-Antwort-Affinity")
		}
		first := key(`{"model":"a","input":"one"}`)
		require.NotEmpty(t, first)
		require.Equal(t, first, key(`{"model":"a","input":[{"role":"user","content":"one"},{"role":"assistant","content":"1"},{"role":"user","content":"two"}]}`))
		all = append(all, key(`{"model":"a","input":[{"r\u006fle":"\u0075ser","content":"\u006f\u006e\u0065"},{"role":"\u0075ser","content":"two"}]}`))
		require.NotEqual(t, first, key(`{"model":"a","input":"two"}`))
		require.Equal(t, key(`{"model":"a","prompt_cache_key":"k","input":"one"}`), key(`{"model":"a","prompt_cache_key":"k","input":"two"}`))
		require.Empty(t, key(`{"model":"b","input":"one"}`))
	}
	require.Equal(t, []string{all[0], all[0], all[0]}, all)
}

// A forwarded request is sent again after a break only when somebody has read
// that it may be.
func TestRepeatableRequests(t *testing.T) {
	const routes = `[{"name":"a","match":{"models":["a"]},"backends":[{"url":"http://a"},{"url":"http://b"}]},{"name":"b","backends":[{"url":"http://a"}]}]`
	up := newUpstream(nil)
	h := start(t, routed("vllm-responses", "gated", "", routes, ""), up)
	for body, want := range map[string]string{
		`{"model":"a","input":"x"}`:                      "reset,retriable-status-codes",
		`{"model":"a","input":"x","background":true}`:    "",
		`{"model":"a","input":"x","conversation":"c_1"}`: "",
		`{"model":"b","input":"x"}`:                      "",
	} {
		up.set(gives(200, "application/json", chatHello))
		require.Equal(t, 200, post(t, h, body).status)
		r, _ := up.last()
		require.Equal(t, want, r.Header.Get("X-Envoy-Retry-On"), body)
	}
}

// The list of models is the filter's own where the routes name all of them.
func TestModelsOfRoutes(t *testing.T) {
	const (
		exact  = `[{"name":"a","match":{"models":["a","org/a"],"tenants":["team-a"]},"backends":[{"url":"http://a"}]},{"name":"b","match":{"models":["b"]},"backends":[{"url":"http://b"}]}]`
		others = `[{"name":"b","match":{"models":["b"]},"backends":[{"url":"http://b"}]},{"name":"c","match":{"models":["c-*"]},"backends":[{"url":"http://c","api_key_env":"C_KEY"}]}]`
		auth   = `{"type":"api_key","api_keys":[{` + aliceDigest + `,"tenant":"team-a"},` +
			`{"sha256":"f6487756d211f51fd59c3365cef7e83e549e72ebda0b9abff1f4fcbc4e701460","subject":"bob","models":["b*"]}]}`
		bobKey = "bob-key-77c0e1d3"
	)
	env := func(o *filtertest.Options) { o.Env = map[string]string{"C_KEY": "c-key"} }
	for _, provider := range []string{"vllm", "vllm-responses"} {
		up := newUpstream(gives(200, "application/json", `{"object":"list","data":[{"id":"upstream"}]}`))
		names := func(g got) []string {
			require.Equal(t, 200, g.status, g.body)
			require.Equal(t, "application/json", g.header.Get("Content-Type"))
			var list struct{ Data []struct{ ID string } }
			require.NoError(t, json.Unmarshal([]byte(g.body), &list))
			var ids []string
			for _, m := range list.Data {
				ids = append(ids, m.ID)
			}
			slices.Sort(ids)
			return ids
		}
		h := start(t, routed(provider, "gated", "", exact, auth), up)
		require.Equal(t, []string{"a", "b", "org/a"}, names(do(t, h, "GET", "/v1/models", nil, "X-Api-Key", aliceKey)))
		require.Equal(t, []string{"b"}, names(do(t, h, "GET", "/v1/models?x=y", nil, "X-Api-Key", bobKey)))
		for path, want := range map[string]int{"b": 200, "a": 404, "c": 404, "upstream": 404} {
			require.Equal(t, want, do(t, h, "GET", "/v1/models/"+path, nil, "X-Api-Key", bobKey).status, path)
		}
		for path, want := range map[string]int{"a": 200, "org/a": 200, "org%2Fa": 200, "%62": 200, "org": 404} {
			require.Equal(t, want, do(t, h, "GET", "/v1/models/"+path, nil, "X-Api-Key", aliceKey).status, path)
		}
		require.Equal(t, 405, do(t, h, "DELETE", "/v1/models/a", nil, "X-Api-Key", aliceKey).status)
		require.Zero(t, up.count(), "the upstream was asked")

		h = start(t, routed(provider, "gated", "", others, auth), up, env)
		require.Equal(t, []string{"upstream"}, names(do(t, h, "GET", "/v1/models", nil, "X-Api-Key", aliceKey)))
		r, _ := up.last()
		require.Equal(t, "b", r.Header.Get("X-Antwort-Route"))
		require.Equal(t, 200, do(t, h, "GET", "/v1/models/c-1", nil, "X-Api-Key", aliceKey).status)
		r, _ = up.last()
		require.Equal(t, []string{"c", "Bearer c-key"}, []string{r.Header.Get("X-Antwort-Route"), r.Header.Get("Authorization")})
		require.Equal(t, 404, do(t, h, "GET", "/v1/models/d", nil, "X-Api-Key", aliceKey).status)
		require.Equal(t, 404, do(t, h, "GET", "/v1/models/c-1", nil, "X-Api-Key", bobKey).status)
		require.Zero(t, h.Counter("antwort.panics_total"))
	}
}

// A body that is no plain JSON passes unread where nothing but the choice among
// backends could depend on it.
func TestBodiesThatCannotBeRead(t *testing.T) {
	const routes = `[{"name":"named","match":{"headers":{"x-named":"yes"}},"backends":[{"url":"http://a","model":"inner"}]},
		{"name":"two","match":{"headers":{"x-two":"yes"}},"balance":"affinity","backends":[{"url":"http://a"},{"url":"http://b"}]},
		{"name":"model","match":{"models":["m"]},"backends":[{"url":"http://a"}]}]`
	up := newUpstream(nil)
	h := start(t, routed("vllm-responses", "gated", "", routes, ""), up)
	for name, test := range map[string]struct{ field, value, body, code string }{
		"coded":             {"Content-Encoding", "gzip", "\x1f\x8b coded", "unsupported_content_encoding"},
		"a form":            {"Content-Type", "application/x-www-form-urlencoded", "model=m", "unsupported_content_type"},
		"JSON as something": {"Content-Type", "text/plain", `{"model":"m","input":"hi"}`, "unsupported_content_type"},
	} {
		t.Run(name, func(t *testing.T) {
			up.set(gives(200, "application/json", "{}"))
			require.Equal(t, 200, post(t, h, test.body, "X-Two", "yes", test.field, test.value).status)
			r, body := up.last()
			require.Equal(t, test.body, body)
			require.Equal(t, []string{"two"}, r.Header["X-Antwort-Route"])
			require.NotContains(t, r.Header, "X-Antwort-Affinity")
			require.NotContains(t, r.Header, "X-Envoy-Retry-On")
			up.set(nil)
			for _, header := range []string{"X-Named", "X-Nothing"} {
				got := post(t, h, test.body, header, "yes", test.field, test.value)
				require.Equal(t, 415, got.status)
				require.Equal(t, test.code, errorOf(t, got.body).Code)
			}
			require.Zero(t, up.count(), "the upstream saw it begin")
		})
	}
}
