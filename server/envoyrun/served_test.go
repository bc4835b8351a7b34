package envoyrun

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMetricsAreAsServed(t *testing.T) {
	assert.Equal(t, `# HELP antwort_config_reloads_total Changed configurations.
# TYPE antwort_config_reloads_total counter
antwort_config_reloads_total{provider="vllm",result="applied"} 1
# TYPE antwort_requests_total counter
antwort_requests_total{provider="vllm",code="200",endpoint="/v1/responses/{id}"} 2
# TYPE antwort_panics_total counter
antwort_panics_total{provider="vllm"} 0
antwort_in_flight_bytes{provider="vllm"} 7

# TYPE gen_ai_server_time_to_first_token_seconds histogram
gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_provider_name="vllm",le="0.001"} 0
gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_provider_name="vllm",le="2.5"} 3
gen_ai_server_time_to_first_token_seconds_bucket{gen_ai_provider_name="vllm",le="+Inf"} 4
gen_ai_server_time_to_first_token_seconds_sum{gen_ai_provider_name="vllm"} 12.05
gen_ai_server_time_to_first_token_seconds_count{gen_ai_provider_name="vllm"} 4
# TYPE envoy_server_live gauge
envoy_server_live{} 1
`, string(asServed([]byte(`# HELP antwort_config_reloads_total Changed configurations.
# TYPE antwort_config_reloads_total counter
antwort_config_reloads_total{result="applied"} 1
# TYPE antwort_requests_total counter
antwort_requests_total{code="200",endpoint="/v1/responses/{id}"} 2
# TYPE antwort_panics_total counter
antwort_panics_total{} 0
antwort_in_flight_bytes 7

# TYPE antwort_time_to_first_token_ms histogram
antwort_time_to_first_token_ms_bucket{le="1"} 0
antwort_time_to_first_token_ms_bucket{le="2500"} 3
antwort_time_to_first_token_ms_bucket{le="+Inf"} 4
antwort_time_to_first_token_ms_sum{} 12050
antwort_time_to_first_token_ms_count{} 4
# TYPE envoy_server_live gauge
envoy_server_live{} 1
`), "vllm")))
}
