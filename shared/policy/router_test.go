package policy_test

import (
	"testing"

	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func router(t *testing.T, json string) (*policy.Router, []config.Route) {
	t.Helper()
	c, err := config.Load(config.Sources{JSON: []byte(json)})
	require.NoError(t, err)
	routes := c.AllRoutes()
	return policy.NewRouter(routes), routes
}

const someRoutes = `{"engine":{"provider":"vllm","backend_url":"http://rest"},"routes":[
	{"name":"beta","match":{"models":["llama-3"],"headers":{"x-stage":"beta"}},"backends":[{"url":"http://beta"}]},
	{"name":"team","match":{"tenants":["a","b"]},"backends":[{"url":"http://team"}]},
	{"name":"llama","match":{"models":["llama-*","other"]},"backends":[{"url":"http://llama"}]},
	{"name":"alias","match":{"models":["fast","faster"]},"backends":[{"url":"http://alias","model":"/mnt/models"}]}]}`

func ask(model, tenant string, fields ...string) policy.Ask {
	return policy.Ask{Model: model, Tenant: tenant, Values: func(name string) (values []string) {
		for i := 0; i < len(fields); i += 2 {
			if fields[i] == name {
				values = append(values, fields[i+1])
			}
		}
		return values
	}}
}

func TestTheFirstRouteThatMatchesIsChosen(t *testing.T) {
	r, routes := router(t, someRoutes)
	for _, test := range []struct {
		ask    policy.Ask
		want   string
		unread string // what is known without the model: "" when it decides
	}{
		{ask("llama-3", ""), "llama", ""},
		{ask("llama-", ""), "llama", ""},
		{ask("llama", ""), "default", ""},
		{ask("other", ""), "llama", ""},
		{ask("Other", ""), "default", ""},
		{ask("", ""), "default", ""},
		{ask("llama-3", "a"), "team", "team"},
		{ask("", "b"), "team", "team"},
		{ask("llama-3", "c"), "llama", ""},
		{ask("llama-3", "a", "x-stage", "beta"), "beta", ""},
		{ask("llama-2", "a", "x-stage", "beta"), "team", ""},
		{ask("llama-3", "", "x-stage", "Beta"), "llama", ""},
		{ask("llama-3", "", "x-stage", "beta", "x-stage", "beta"), "llama", ""},
		{ask("*", ""), "default", ""},
	} {
		assert.Equal(t, test.want, routes[r.Choose(test.ask)].Name, "%q of %q", test.ask.Model, test.ask.Tenant)
		route, decided := r.ChooseUnread(test.ask)
		assert.Equal(t, test.unread != "", decided)
		if decided {
			assert.Equal(t, test.unread, routes[route].Name)
		}
	}
}

func TestNoRouteIsA404(t *testing.T) {
	r, _ := router(t, `{"engine":{"provider":"vllm"},"routes":[{"name":"a","match":{"models":["m"],"tenants":["t"]},"backends":[{"url":"http://a"}]}]}`)
	require.Equal(t, -1, r.Choose(ask("m", "")))
	require.Equal(t, -1, r.Choose(ask("", "t")))
	route, decided := r.ChooseUnread(ask("", ""))
	require.True(t, decided)
	require.Equal(t, -1, route)
	for model, code := range map[string]string{"m": "model_not_found", "": "no_route"} {
		err := policy.NoRoute(model)
		require.Equal(t, []any{404, code}, []any{err.Status, err.Code})
	}
	a := ask("m", "")
	require.Zero(t, testing.AllocsPerRun(10, func() { r.Choose(a) }))
}

func BenchmarkChoose(b *testing.B) {
	c, err := config.Load(config.Sources{JSON: []byte(someRoutes)})
	require.NoError(b, err)
	r := policy.NewRouter(c.AllRoutes())
	a := ask("fast", "c")
	b.ReportAllocs()
	for b.Loop() {
		r.Choose(a)
	}
}
