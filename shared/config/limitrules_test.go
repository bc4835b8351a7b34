package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const withKey = `{"type":"api_key","api_keys":[{"sha256":"` + exampleDigest + `","subject":"alice","tenant":"a"}]}`

// limited is a complete file with these rules and this auth.
func limited(auth, rules string) []byte {
	return []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":` + auth + `,"limits":{"rules":` + rules + `}}`)
}

const fullRules = `[{"name":"research","per":["tenant"],"match":{"tenants":["research"],"subjects":["bob"],"models":["llama-*"]},"requests_at_once":10,"requests_per_minute":600,` +
	`"tokens_per_minute":100000,"tokens_per_day":5000000,"tokens_per_month":100000000000},{"name":"tenants","per":["tenant"],"requests_per_minute":60},` +
	`{"name":"free","per":["model","key"],"match":{"models":["small"]}},{"name":"all","requests_at_once":100}]`

func TestLimitRulesAreRead(t *testing.T) {
	c, err := Load(Sources{JSON: limited(withKey, fullRules)})
	require.NoError(t, err)
	assert.Equal(t, []LimitRule{
		{Name: "research", Per: []string{"tenant"}, Match: LimitMatch{Subjects: []string{"bob"}, Tenants: []string{"research"}, Models: []string{"llama-*"}},
			RequestsAtOnce: 10, RequestsPerMinute: 600, TokensPerMinute: 100_000, TokensPerDay: 5_000_000, TokensPerMonth: 100_000_000_000},
		{Name: "tenants", Per: []string{"tenant"}, RequestsPerMinute: 60},
		{Name: "free", Per: []string{"key", "model"}, Match: LimitMatch{Models: []string{"small"}}},
		{Name: "all", RequestsAtOnce: 100},
	}, c.Limits.Rules.All())
	assert.JSONEq(t, fullRules, c.Text("limits.rules"), "it is written as it is read")
	again, err := Load(Sources{JSON: c.AppendJSON(nil)})
	require.NoError(t, err)
	assert.True(t, c.Equal(again))
	fromEnv, err := Load(Sources{JSON: limited(withKey, `[]`), LookupEnv: func(name string) (string, bool) {
		return map[string]string{"ANTWORT_LIMITS_RULES": fullRules}[name], true
	}})
	require.NoError(t, err)
	assert.True(t, c.Equal(fromEnv))
}

func TestLimitRulesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ auth, rules, path, says string }{
		"no name":              {withKey, `[{"requests_at_once":1}]`, "limits.rules[0]", "name must be set"},
		"unknown member":       {withKey, `[{"name":"a","tokens_per_hour":1}]`, "limits.rules[0].tokens_per_hour", "unknown key"},
		"unknown per":          {withKey, `[{"name":"a","per":["ip"],"requests_at_once":1}]`, "limits.rules[0].per[0]", "key, subject, tenant or model"},
		"per twice":            {withKey, `[{"name":"a","per":["key","key"],"requests_at_once":1}]`, "limits.rules[0].per", "twice"},
		"limit of 0":           {withKey, `[{"name":"a","requests_at_once":0}]`, "limits.rules[0].requests_at_once", "leave it out"},
		"limit as text":        {withKey, `[{"name":"a","requests_at_once":"5"}]`, "limits.rules[0].requests_at_once", "integer"},
		"limit too great":      {withKey, `[{"name":"a","tokens_per_month":100000000001}]`, "limits.rules[0].tokens_per_month", "100000000000"},
		"nothing":              {withKey, `[{"name":"a"}]`, "limits.rules[0]", "limits nothing"},
		"a day above a month":  {withKey, `[{"name":"a","tokens_per_day":2,"tokens_per_month":1}]`, "limits.rules[0].tokens_per_day", "greater"},
		"the same name":        {withKey, `[{"name":"a","per":["key"],"requests_at_once":1},{"name":"a","requests_at_once":1}]`, "limits.rules[1].name", "limits.rules[0]"},
		"never used":           {withKey, `[{"name":"a","per":["key"],"requests_at_once":1},{"name":"b","per":["key"],"requests_at_once":1}]`, "limits.rules[1]", "never used"},
		"nobody is asked":      {`{"type":"none"}`, `[{"name":"a","per":["tenant"],"requests_at_once":1}]`, "limits.rules[0]", "nobody is asked"},
		"nobody is asked, too": {`{"type":"none"}`, `[{"name":"a","match":{"subjects":["bob"]},"requests_at_once":1}]`, "limits.rules[0]", "nobody is asked"},
		"no object":            {withKey, `["a"]`, "limits.rules[0]", "an object"},
		"too many":             {withKey, `[` + strings.Repeat(`{"name":"a"},`, 100) + `{"name":"a"}]`, "limits.rules", "at most 100"},
		"no keys":              {`{"type":"jwt","jwt":{"issuer":"https://i","audiences":["a"],"jwks_file":"/k"}}`, `[{"name":"a","per":["key"],"requests_at_once":1}]`, "limits.rules[0].per", "take subject"},
		"no tenants":           {`{"type":"jwt","jwt":{"issuer":"https://i","audiences":["a"],"jwks_file":"/k"}}`, `[{"name":"a","per":["tenant"],"requests_at_once":1}]`, "limits.rules[0]", "tenant_claim"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(Sources{JSON: limited(c.auth, c.rules)})
			require.Error(t, err)
			problems := err.(Problems)
			require.Equal(t, c.path, problems[0].Path, err)
			require.Contains(t, problems[0].Text, c.says)
		})
	}
}

func TestTheFilterRefusesLimits(t *testing.T) {
	_, err := LoadFilter(Sources{JSON: []byte(`{"engine":{"provider":"vllm"},"limits":{"max_requests":5,"rules":[{"name":"a","requests_at_once":1}]}}`)})
	require.Error(t, err)
	require.True(t, err.(Problems).about("limits.rules"))
	require.True(t, err.(Problems).about("limits.max_requests"))
	for where, section := range map[string]string{
		"engine.max_requests":                `"engine":{"provider":"vllm","max_requests":5}`,
		"routes[0].backends[1].max_requests": `"engine":{"provider":"vllm"},"routes":[{"name":"a","backends":[{"url":"http://a","provider":"vllm"},{"url":"http://b","provider":"vllm","max_requests":5}]}]`,
	} {
		_, err := LoadFilter(Sources{JSON: []byte("{" + section + "}")})
		require.Error(t, err)
		require.True(t, err.(Problems).about(where), "%v", err)
	}
}

// Envoy keeps to what the filter is not told.
func TestTheFilterIsNotToldOfRequestsAtOnce(t *testing.T) {
	c, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm","max_requests":5},"limits":{"max_requests":5},"routes":[{"name":"a","backends":[{"url":"http://a","max_requests":6}]}]}`)})
	require.NoError(t, err)
	f, _ := c.ForFilter()
	require.NoError(t, f.ValidateFilter())
	require.NotContains(t, string(f.AppendJSON(nil)), "max_requests")
	require.Equal(t, 6, c.AllRoutes()[0].Backends[0].MaxRequests)
}
