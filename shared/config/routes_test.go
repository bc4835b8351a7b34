package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// withRoutes is a complete file with these routes.
func withRoutes(routes string) []byte {
	return []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"routes":` + routes + `}`)
}

const fullRoute = `[{"name":"big","match":{"models":["llama-*","qwen"],"tenants":["team-a"],"headers":{"x-team":"research","x-b":"2"}},` +
	`"balance":"affinity","max_load_percent":150,"backends":[` +
	`{"url":"http://a:8000","provider":"vllm-responses","weight":3,"priority":1,"model":"/mnt/models","api_key_env":"KEY_A",` +
	`"connect_timeout":"2s","response_timeout":"1m","stream_idle_timeout":"1m30s"},{"url":"https://b/x","provider":"vllm-responses","api_key_file":"/run/b"}]}]`

func TestRoutesAreRead(t *testing.T) {
	c, err := Load(Sources{JSON: withRoutes(fullRoute),
		LookupEnv: func(name string) (string, bool) { return map[string]string{"KEY_A": "secret-a\n"}[name], true },
		ReadFile:  func(string) ([]byte, error) { return []byte("secret-b\r\n"), nil }})
	require.NoError(t, err)
	want := Route{
		Name:    "big",
		Match:   Match{Models: []string{"llama-*", "qwen"}, Tenants: []string{"team-a"}, Headers: []HeaderMatch{{"x-team", "research"}, {"x-b", "2"}}},
		Balance: Affinity, MaxLoad: 150,
		Backends: []Backend{{URL: "http://a:8000", Provider: VLLMResponses, Weight: 3, Priority: 1, Model: "/mnt/models", APIKeyEnv: "KEY_A",
			ConnectTimeout: 2 * time.Second, ResponseTimeout: time.Minute, StreamIdleTimeout: 90 * time.Second},
			{URL: "https://b/x", Provider: VLLMResponses, Weight: 1, APIKeyFile: "/run/b"}},
	}
	got := c.Routes[0]
	assert.Equal(t, "secret-a", got.Backends[0].APIKey.Reveal())
	assert.Equal(t, "secret-b", got.Backends[1].APIKey.Reveal())
	got.Backends[0].APIKey, got.Backends[1].APIKey = Secret{}, Secret{}
	assert.Equal(t, want, got)

	assert.JSONEq(t, fullRoute, c.Text("routes"), "it is written as it is read")
	assert.NotContains(t, c.Text("routes"), "secret")
	again, err := Load(Sources{JSON: c.AppendJSON(nil), Unresolved: true})
	require.NoError(t, err)
	assert.Equal(t, c.Text("routes"), again.Text("routes"))
	assert.False(t, c.Equal(&Config{Routes: []Route{want}}))
}

func TestChangedKeysOfBackendsAreAChange(t *testing.T) {
	load := func(key string) *Config {
		c, err := Load(Sources{JSON: withRoutes(`[{"name":"a","backends":[{"url":"http://a","api_key_file":"/run/a"}],"match":{"models":["m"]}}]`),
			ReadFile: func(string) ([]byte, error) { return []byte(key), nil }})
		require.NoError(t, err)
		return c
	}
	assert.True(t, load("one").Equal(load("one")))
	assert.False(t, load("one").Equal(load("two")))
}

func TestAllRoutesTakeFromEngine(t *testing.T) {
	c, err := Load(Sources{JSON: withRoutes(`[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a","response_timeout":"3s"}]}]`)})
	require.NoError(t, err)
	all := c.AllRoutes()
	require.Len(t, all, 2)
	assert.Equal(t, Backend{URL: "http://a", Provider: VLLM, Weight: 1, ConnectTimeout: 5 * time.Second, ResponseTimeout: 3 * time.Second, StreamIdleTimeout: 5 * time.Minute,
		Protocol: HTTP1, Transport: AutoTransport}, all[0].Backends[0])
	assert.Equal(t, DefaultRoute, all[1].Name)
	assert.True(t, all[1].Match.all())
	assert.Equal(t, "http://llm", all[1].Backends[0].URL)
	assert.Empty(t, c.Routes[0].Backends[0].Provider, "the configuration itself is left as it is")
}

func TestRoutesFromTheEnvironment(t *testing.T) {
	load := func(value string) (*Config, error) {
		return Load(Sources{JSON: withRoutes(`[]`), LookupEnv: func(name string) (string, bool) {
			return map[string]string{"ANTWORT_ROUTES": value}[name], true
		}})
	}
	c, err := load(`[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a"}]}]`)
	require.NoError(t, err)
	assert.Equal(t, "a", c.Routes[0].Name)
	for value, problem := range map[string]string{
		`x`:              "it is not a JSON text",
		`{}`:             "it is no JSON list",
		`[{"name":"a"}]`: "routes[0]: backends must be set: where the requests go",
	} {
		_, err := load(value)
		require.ErrorContains(t, err, "ANTWORT_ROUTES (routes): ")
		require.ErrorContains(t, err, problem)
	}
}

// A key of engine is for engine.backend_url alone.
func TestBackendsOfRoutesDoNotGetTheEnginesKey(t *testing.T) {
	json := strings.Replace(string(withRoutes(`[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a"}]}]`)), `"provider"`, `"api_key":"k","provider"`, 1)
	c, err := Load(Sources{JSON: []byte(json)})
	require.NoError(t, err)
	all := c.AllRoutes()
	assert.False(t, all[0].Backends[0].APIKey.IsSet())
	assert.Equal(t, "k", all[1].Backends[0].APIKey.Reveal())
}

func TestRoutesAreRefused(t *testing.T) {
	route := func(name, more string) string {
		return `{"name":"` + name + `","match":{"models":["` + name + `"]}` + more + `,"backends":[{"url":"http://a"}]}`
	}
	backends := func(list string) string { return `[{"name":"a","match":{"models":["m"]},"backends":` + list + `}]` }
	for name, test := range map[string]struct{ routes, problem string }{
		"no list":                 {`{"a":1}`, "routes: got an object, want a list of objects with name"},
		"no object":               {`["a"]`, "routes[0]: got [redacted], want an object with name, match, balance, max_load_percent, backends"},
		"an unknown key":          {`[` + route("a", `,"url":"x"`) + `]`, "routes[0].url: unknown key, allowed here: name, match, balance, max_load_percent, backends"},
		"a key twice":             {`[` + route("a", `,"balance":"affinity","balance":"affinity"`) + `]`, "routes[0].balance: the key occurs twice"},
		"no name":                 {`[{"backends":[{"url":"http://a"}]}]`, "routes[0]: name must be set"},
		"a bad name":              {`[` + route("A", ``) + `]`, `routes[0].name: got the text "A", want a text: 1 to 64 lower-case letters`},
		"the engine's name":       {`[` + route("default", ``) + `]`, "routes[0].name: default is the route of engine.backend_url"},
		"one name twice":          {`[` + route("a", ``) + `,` + route("a", ``) + `]`, "routes[1].name: the same name as routes[0]"},
		"no backends":             {`[{"name":"a","match":{"models":["m"]}}]`, "routes[0]: backends must be set"},
		"an empty list":           {backends(`[]`), "routes[0].backends: want a list of 1 to 64 objects with url"},
		"a backend without url":   {backends(`[{"weight":2}]`), "routes[0].backends[0]: url must be set, to an absolute http:// or https:// URL"},
		"a bad url":               {backends(`[{"url":"ftp://a"}]`), `routes[0].backends[0].url: got the text "ftp://a", want an absolute http:// or https:// URL, such as http://llm.example:8000; it does not begin with`},
		"a password in a url":     {backends(`[{"url":"http://u:HUSH@a"}]`), `routes[0].backends[0].url: got the text "[redacted]@a"`},
		"a key in clear":          {backends(`[{"url":"http://a","api_key":"HUSH"}]`), "routes[0].backends[0].api_key: keys are not written in a list: give api_key_file or api_key_env"},
		"two keys":                {backends(`[{"url":"http://a","api_key_file":"/f","api_key_env":"E"}]`), "routes[0].backends[0]: set only one of api_key_file and api_key_env"},
		"a weight of nothing":     {backends(`[{"url":"http://a","weight":0}]`), "routes[0].backends[0].weight: got the number 0, want an integer from 1 to 1000"},
		"one url twice":           {backends(`[{"url":"http://a"},{"url":"http://a/v1"}]`), "routes[0].backends[1].url: the same as routes[0].backends[0].url"},
		"two providers":           {backends(`[{"url":"http://a"},{"url":"http://b","provider":"vllm-responses"}]`), "routes[0].backends[1].provider: the backends of a route must have one provider"},
		"a time without unit":     {backends(`[{"url":"http://a","connect_timeout":"5"}]`), `routes[0].backends[0].connect_timeout: got the text "5", want a duration from 1ms to 5m`},
		"no models":               {`[{"name":"a","match":{"models":[]},"backends":[{"url":"http://a"}]}]`, "routes[0].match.models: want a list of 1 to 100 texts"},
		"a credential as a match": {`[{"name":"a","match":{"headers":{"authorization":"x"}},"backends":[{"url":"http://a"}]}]`, "routes[0].match.headers.authorization: want the name of a header field in lower case, but not one of a credential"},
		"an own field as a match": {`[{"name":"a","match":{"headers":{"x-antwort-tenant":"x"}},"backends":[{"url":"http://a"}]}]`, "routes[0].match.headers.x-antwort-tenant: want"},
		"a capital field name":    {`[{"name":"a","match":{"headers":{"X-Team":"x"}},"backends":[{"url":"http://a"}]}]`, "routes[0].match.headers.X-Team: want"},
		"a share below the load":  {`[` + route("a", `,"max_load_percent":100`) + `]`, "routes[0].max_load_percent: got the number 100, want an integer from 101 to 1000"},
		"nothing left to match":   {`[{"name":"all","backends":[{"url":"http://a"}]},` + route("b", ``) + `]`, "routes[1]: is never used: routes[0] in front of it matches every request"},
		"an idle default":         {`[{"name":"all","backends":[{"url":"http://a"}]}]`, "engine.backend_url: is never used: routes[0] matches every request"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{JSON: withRoutes(test.routes)})
			require.ErrorContains(t, err, test.problem)
			require.NotContains(t, err.Error(), "HUSH")
		})
	}
}

func TestWithRoutesTheEngineNeedsNoBackend(t *testing.T) {
	_, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm"},"routes":[{"name":"a","backends":[{"url":"http://a"}]}]}`)})
	require.NoError(t, err)
}

func TestRoutesThatTheFilterCannotDo(t *testing.T) {
	load := func(engine, profile, routes string) error {
		_, err := LoadFilter(Sources{Unresolved: true, JSON: []byte(`{"engine":{"provider":"` + engine + `"},"filter":{"profile":"` + profile + `"},"routes":` + routes + `}`)})
		return err
	}
	byModel := `[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a"}]}]`
	byTenant := `[{"name":"a","match":{"tenants":["t"]},"backends":[{"url":"http://a","model":"x"}]}]`
	require.NoError(t, load("vllm", "gated", byModel))
	require.NoError(t, load("vllm", "inline", byTenant))
	require.NoError(t, load("vllm-responses", "gated", byTenant))
	for _, test := range []struct{ engine, profile, routes, problem string }{
		{"vllm", "inline", byModel, "routes[0].match.models: to choose by model needs filter.profile gated"},
		{"vllm", "inline", strings.Replace(byTenant, `"match"`, `"balance":"affinity","match"`, 1), "routes[0].balance: affinity needs filter.profile gated"},
		{"vllm-responses", "inline", byTenant, "routes[0].backends[0].model: to send another name in a forwarded request needs filter.profile gated"},
		{"vllm", "gated", strings.Replace(byModel, `}]}]`, `,"provider":"vllm-responses"}]}]`, 1), "routes[0].backends[0].provider: the filter has one provider, vllm"},
		{"vllm", "gated", strings.Replace(byModel, `}]}]`, `,"api_key_file":"/f"}]}]`, 1), "routes[0].backends[0].api_key_file: the filter sees no files"},
		{"vllm", "gated", strings.Replace(byModel, `}]}]`, `},{"url":"http://b","model":"x"}]}]`, 1), "routes[0].backends[1]: in Envoy the backends of a route must have the same model and api_key"},
	} {
		require.ErrorContains(t, load(test.engine, test.profile, test.routes), test.problem)
	}
}

func TestKeysOfBackendsReachTheFilterAsVariables(t *testing.T) {
	c, err := Load(Sources{JSON: withRoutes(`[{"name":"in-file","match":{"models":["m"]},"backends":[{"url":"http://a","api_key_file":"/f"}]},` +
		`{"name":"b","match":{"models":["n"]},"backends":[{"url":"http://b","api_key_env":"KEY"},{"url":"http://c","api_key_env":"KEY"}]}]`),
		LookupEnv: func(name string) (string, bool) { return map[string]string{"KEY": "b-key"}[name], true },
		ReadFile:  func(string) ([]byte, error) { return []byte("a-key"), nil }})
	require.NoError(t, err)
	f, vars := c.ForFilter()
	assert.Equal(t, map[string]string{"ROUTE_IN_FILE_API_KEY": "a-key", "KEY": "b-key"}, reveal(vars))
	json := string(f.AppendJSON(nil))
	assert.NotContains(t, json, "-key")
	assert.Contains(t, json, `"api_key_env":"ROUTE_IN_FILE_API_KEY"`)
	assert.Equal(t, "a-key", c.Routes[0].Backends[0].APIKey.Reveal(), "the configuration itself is left as it is")
}

// The names of the variables that are made up may be those of other keys.
func TestVariablesOfTheFilterHoldOneKeyEach(t *testing.T) {
	for name, test := range map[string]struct {
		routes string
		want   map[string]string
	}{
		"the engine's": {`[{"name":"a","match":{"models":["m"]},"backends":[{"url":"http://a","api_key_env":"ENGINE_API_KEY"}]}]`,
			map[string]string{"ENGINE_API_KEY": "file-engine", "ENGINE_API_KEY_": "user's"}},
		"a route's before": {`[{"name":"b","match":{"models":["m"]},"backends":[{"url":"http://b","api_key_file":"b"}]},` +
			`{"name":"c","match":{"models":["n"]},"backends":[{"url":"http://c","api_key_env":"ROUTE_B_API_KEY"}]}]`,
			map[string]string{"ENGINE_API_KEY": "file-engine", "ROUTE_B_API_KEY": "file-b", "ROUTE_B_API_KEY_": "user's"}},
		"a route's behind": {`[{"name":"c","match":{"models":["n"]},"backends":[{"url":"http://c","api_key_env":"ROUTE_B_API_KEY"}]},` +
			`{"name":"b","match":{"models":["m"]},"backends":[{"url":"http://b","api_key_file":"b"}]}]`,
			map[string]string{"ENGINE_API_KEY": "file-engine", "ROUTE_B_API_KEY": "user's", "ROUTE_B_API_KEY_": "file-b"}},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm-responses","backend_url":"http://e","api_key_file":"engine"},"routes":` + test.routes + `}`),
				LookupEnv: func(name string) (string, bool) {
					key := map[string]string{"ENGINE_API_KEY": "user's", "ROUTE_B_API_KEY": "user's"}[name]
					return key, key != ""
				},
				ReadFile: func(name string) ([]byte, error) { return []byte("file-" + name), nil }})
			require.NoError(t, err)
			f, vars := c.ForFilter()
			found := reveal(vars)
			assert.Equal(t, test.want, found)
			for i, route := range f.Routes {
				assert.Equal(t, c.Routes[i].Backends[0].APIKey.Reveal(), found[route.Backends[0].APIKeyEnv], route.Name)
			}
		})
	}
}

func reveal(vars []Variable) map[string]string {
	found := make(map[string]string)
	for _, v := range vars {
		found[v.Name] = v.Value.Reveal()
	}
	return found
}
