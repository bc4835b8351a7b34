package limits

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"antwort/server/observe"
	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// BenchmarkLimits is what limits in memory cost a request: a tenant's and a model's, every
// kind of them.
func BenchmarkLimits(b *testing.B) {
	c, err := config.Load(config.Sources{Unresolved: true, JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":{"type":"api_key","api_keys":[{"key_env":"K","subject":"a"}]},"limits":{"rules":[
		{"name":"tenants","per":["tenant"],"requests_at_once":1000,"requests_per_minute":1000000000,"tokens_per_minute":100000000000,"tokens_per_day":100000000000,"tokens_per_month":100000000000},
		{"name":"models","per":["model"],"requests_at_once":1000,"tokens_per_minute":100000000000}]}}`)})
	require.NoError(b, err)
	l, err := New(c, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Registerer: prometheus.NewRegistry()})
	require.NoError(b, err)
	rules, caller := l.Rules(c), policy.NewIdentity("alice", "a", "k", nil)
	rec := &observe.Record{Status: 200, Outcome: responses.Outcome{HasUsage: true, Usage: responses.Usage{Input: 20, Output: 10}}}
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		var p Pass
		if rules.Enter(context.Background(), &p, caller) != nil || p.Reserve(context.Background(), Need{Model: "m", Input: 20, Output: 100}) != nil {
			b.Fatal("refused")
		}
		p.Dress(h)
		p.Settle(rec, true)
	}
}
