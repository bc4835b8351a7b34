package server

import (
	"testing"

	"antwort/shared/config"
)

// BenchmarkRefused is what a request costs that a limit refuses, beside one that is let
// through, to an upstream that answers at once.
func BenchmarkRefused(b *testing.B) {
	up := fixedUpstream(b, wholeAnswerOf(chatWhole))
	for _, kind := range []struct {
		name, limit string
		status      int
	}{
		{"let through", `"requests_per_minute":1000000000`, 200},
		{"refused", `"requests_per_minute":1`, 429},
		{"refused for its tokens", `"tokens_per_day":1`, 429},
	} {
		b.Run(kind.name, func(b *testing.B) {
			addr := serveForBench(b, config.VLLM, up, limitsOf(b, `{"rules":[{"name":"all",`+kind.limit+`}]}`))
			statusLoop(b, addr, request(ask), kind.status, 1)
		})
	}
}
