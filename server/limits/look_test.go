package limits

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"antwort/server/limits/redistest"
	"antwort/shared/config"
	"antwort/shared/policy"
)

const lookedAt = `[
	{"name":"each","per":["key","tenant","subject","model"],"requests_at_once":4,"tokens_per_day":1000},
	{"name":"team","per":["tenant"],"requests_per_minute":10,"match":{"models":["*"]}},
	{"name":"model","per":["model"],"tokens_per_minute":100},
	{"name":"free","per":["key"],"match":{"tenants":["free"]}},
	{"name":"all","tokens_per_month":10000}
]`

// rulesOf makes rules, and what they count with.
func rulesOf(t testing.TB, more, rules string) *Rules {
	t.Helper()
	text := `{"engine":{"provider":"vllm","backend_url":"http://b.example:1"},"auth":{"type":"api_key","api_keys":[{"sha256":"` + strings.Repeat("0", 64) + `","subject":"s"}]},"limits":{` + more + `"rules":` + rules + `}}`
	cfg, err := config.Load(config.Sources{JSON: []byte(text)})
	require.NoError(t, err)
	l, err := New(cfg, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Registerer: prometheus.NewRegistry()})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close(context.Background()) })
	return l.Rules(cfg)
}

func enter(t *testing.T, r *Rules, caller *policy.Identity, model string) *Pass {
	t.Helper()
	p := new(Pass)
	require.Nil(t, r.Enter(t.Context(), p, caller))
	require.Nil(t, p.Reserve(t.Context(), Need{Model: model, Input: 10, Output: 20}))
	return p
}

func TestUseCanBeLookedAt(t *testing.T) {
	for name, more := range map[string]func(*testing.T) string{
		"memory": func(*testing.T) string { return "" },
		"redis": func(t *testing.T) string {
			return fmt.Sprintf(`"store":"redis","redis":{"url":%q,"timeout":"5s"},`, redistest.Start(t).URL())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := rulesOf(t, more(t), lookedAt)
			none, all, err := r.Look(t.Context(), 10)
			require.NoError(t, err)
			require.Empty(t, none)
			require.Zero(t, all)
			const hostile = "<img src=x> 3:abc"
			enter(t, r, policy.NewIdentity("ann", hostile, "k1", nil), "m 1:x")
			enter(t, r, policy.NewIdentity("ann", hostile, "k1", nil), "m 1:x")
			enter(t, r, policy.NewIdentity("bob", "", "k2", nil), "m 1:x")
			uses, all, err := r.Look(t.Context(), 10)
			require.NoError(t, err)
			require.Equal(t, 6, all)
			for i := range uses {
				uses[i].Limits, uses[i].Used[1], uses[i].Used[2] = [5]int64{}, 0, 0 // what is used of a minute comes back
			}
			require.ElementsMatch(t, []Use{
				{Rule: "model", Model: "m 1:x"},
				{Rule: "each", Key: "k1", Tenant: hostile, Subject: "ann", Model: "m 1:x", Used: [5]int64{2, 0, 0, 60, 0}},
				{Rule: "each", Key: "k2", Subject: "bob", Model: "m 1:x", Used: [5]int64{1, 0, 0, 30, 0}},
				{Rule: "team", Tenant: hostile},
				{Rule: "team", Subject: "bob"},
				{Rule: "all", Used: [5]int64{0, 0, 0, 0, 90}},
			}, uses)
			few, all, err := r.Look(t.Context(), 2)
			require.NoError(t, err)
			require.Equal(t, 6, all)
			require.Len(t, few, 2)
			require.NotZero(t, few[0].Limits)
		})
	}
}

// What is in a counter's name is read as it was written, whatever it is.
func TestNamesOfCountersAreRead(t *testing.T) {
	r := rulesOf(t, "", lookedAt)
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		rule, key, tenant, subject, model string
		anybody                           bool
		want                              Use
	}{
		{rule: "each", key: "k", tenant: "t", subject: "s", model: "m", want: Use{Rule: "each", Key: "k", Tenant: "t", Subject: "s", Model: "m"}},
		{rule: "each", key: "", tenant: "", subject: "", model: "", want: Use{Rule: "each"}},
		{rule: "each", anybody: true, model: "m", want: Use{Rule: "each", Others: true, Model: "m"}},
		{rule: "each", key: "k", tenant: "1: 2:", subject: " ", model: ":", want: Use{Rule: "each", Key: "k", Tenant: "1: 2:", Subject: " ", Model: ":"}},
		{rule: "each", key: "k", subject: long, want: Use{Rule: "each", Unnamed: true}},
		{rule: "team", tenant: "t", subject: "s", want: Use{Rule: "team", Tenant: "t"}},
		{rule: "team", anybody: true, want: Use{Rule: "team", Others: true}},
		{rule: "model", model: "m", want: Use{Rule: "model", Model: "m"}},
		{rule: "all", subject: "s", want: Use{Rule: "all"}},
	} {
		l, p := r.called(c.rule)
		require.NotNil(t, l)
		caller := policy.NewIdentity(c.subject, c.tenant, c.key, nil)
		if c.anybody {
			caller = nil
		}
		found, use := r.read(name(l, *p, caller, c.model))
		require.Same(t, l, found, "%+v", c)
		require.Equal(t, c.want, use)
	}
	for _, text := range []string{"", "none", "none 1:x", "free 1:k", "team 1:x 1:y 1:z", "team 2:x", "team x", "team 1:xy", "each 1:k 1:t", strings.Repeat("y", 32)} {
		l, _ := r.read(text)
		require.Nil(t, l, text)
	}
}
