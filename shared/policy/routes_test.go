package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/corpus"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// The cases that the server, the filter and Envoy run too.
func TestRoutingCorpus(t *testing.T) {
	all, err := corpus.LoadRouting()
	require.NoError(t, err)
	for _, engine := range []string{`"provider":"vllm-responses"`, `"provider":"vllm-responses","backend_url":"http://default.example"`} {
		cfg, err := config.Load(config.Sources{JSON: fmt.Appendf(nil, `{"engine":{%s},"auth":%s,"routes":%s}`, engine, all.Auth, all.Routes),
			LookupEnv: func(name string) (string, bool) {
				return map[string]string{"KEYED_ROUTE_KEY": "keyed-route-key"}[name], name == "KEYED_ROUTE_KEY"
			}})
		require.NoError(t, err)
		routes := cfg.AllRoutes()
		router, access := policy.NewRouter(routes), policy.NewAccess(cfg)
		for _, c := range all.Cases {
			if c.Only == "vllm" || c.Method != "POST" && c.Status != 401 {
				continue
			}
			t.Run(c.Name, func(t *testing.T) {
				route := ""
				caller, e := access.Identify(trimmed(c.Values("authorization")), trimmed(c.Values("x-api-key")),
					policy.Told{Subject: trimmed(c.Values("x-antwort-subject")), Tenant: trimmed(c.Values("x-antwort-tenant"))})
				var reading *policy.Reading
				if e == nil {
					e = contentType(&c.AccessCase)
				}
				if e == nil {
					reading, e = policy.Read([]byte(c.Body), responses.Limits{})
				}
				if e == nil {
					e = caller.AllowsReading(reading)
				}
				if e == nil {
					i := router.Choose(policy.Ask{Model: reading.Model, Tenant: caller.Tenant, Values: c.Values})
					if i < 0 {
						e = policy.NoRoute(reading.Model)
					} else {
						route = routes[i].Name
					}
				}
				if c.Unrouted && strings.Contains(engine, "default") {
					require.Nil(t, e)
					require.Equal(t, "default", route)
					return
				}
				require.Equal(t, c.Route, route)
				if c.Route == "" {
					require.NotNil(t, e)
					require.Equal(t, c.Status, e.Status)
					if c.Code != "" {
						require.Equal(t, [2]string{c.Code, c.Param}, [2]string{e.Code, e.Param}, e.Message)
					}
				}
			})
		}
	}
}
