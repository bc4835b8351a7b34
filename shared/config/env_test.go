package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// environment is a lookup like os.LookupEnv.
func environment(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := vars[name]
		return value, ok
	}
}

func TestApplyEnv(t *testing.T) {
	c := Default()
	require.NoError(t, c.ApplyEnv(environment(map[string]string{
		"ANTWORT_HOST":                          "127.0.0.1",
		"ANTWORT_PORT":                          "9000",
		"ANTWORT_PROVIDER":                      "vllm-responses",
		"ANTWORT_BACKEND_URL":                   "http://antwort-backend:8080/",
		"ANTWORT_MODEL":                         "llama",
		"ANTWORT_API_KEY":                       "sk-1\n",
		"ANTWORT_KEEPALIVE_INTERVAL":            "0s",
		"ANTWORT_RETRY_MAX_ATTEMPTS":            "1",
		"ANTWORT_LIMITS_REQUEST_BODY_BYTES":     "1MiB",
		"ANTWORT_TRANSLATION_FOLD_SYSTEM":       "false",
		"ANTWORT_OBSERVABILITY_METRICS_ENABLED": "false",
		"ANTWORT_OBSERVABILITY_LOG_LEVEL":       "",
	})))
	assert.Equal(t, "127.0.0.1", c.Server.Host)
	assert.Equal(t, 9000, c.Server.Port)
	assert.Equal(t, VLLMResponses, c.Engine.Provider)
	assert.Equal(t, "http://antwort-backend:8080", c.Engine.BackendURL)
	assert.Equal(t, "llama", c.Engine.DefaultModel)
	assert.Equal(t, "sk-1", c.Engine.APIKey.Reveal(), "the line end is not part of it")
	assert.Zero(t, c.Server.KeepAliveInterval)
	assert.Equal(t, 1, c.Engine.Retry.MaxAttempts)
	assert.EqualValues(t, 1<<20, c.Limits.RequestBodyBytes)
	assert.False(t, c.Translation.FoldSystem)
	assert.False(t, c.Observability.Metrics.Enabled)
	assert.Equal(t, "info", c.Observability.Log.Level, "an empty variable is as none")
}

func TestApplyEnvRefuses(t *testing.T) {
	for name, problem := range map[string][2]string{
		"ANTWORT_PORT":                      {"http", `ANTWORT_PORT (server.port): got "http", want an integer from 0 to 65535`},
		"ANTWORT_PROVIDER":                  {"VLLM", `ANTWORT_PROVIDER (engine.provider): got "VLLM", want one of vllm, vllm-responses`},
		"ANTWORT_API_KEY":                   {"HUSH HUSH", `ANTWORT_API_KEY (engine.api_key): got [redacted], want 1 to 8192 printable ASCII characters without spaces`},
		"ANTWORT_RETRY_BASE_DELAY":          {"1", `ANTWORT_RETRY_BASE_DELAY (engine.retry.base_delay): got "1", want a duration from 1ms to 1m, with a unit ms, s, m or h, such as 15s`},
		"ANTWORT_TRANSLATION_FOLD_SYSTEM":   {"1", `ANTWORT_TRANSLATION_FOLD_SYSTEM (translation.fold_system): got "1", want true or false`},
		"ANTWORT_LIMITS_REQUEST_BODY_BYTES": {"32Mi", `ANTWORT_LIMITS_REQUEST_BODY_BYTES (limits.request_body_bytes): got "32Mi", want a size from 1KiB to 1GiB, in bytes or with a unit B, KiB, MiB or GiB, such as 32MiB`},
	} {
		c := Default()
		err := c.ApplyEnv(environment(map[string]string{name: problem[0]}))
		assert.EqualError(t, err, problem[1])
		assert.Equal(t, Default(), c, "a wrong value changes nothing")
	}
}

// A Service named antwort gives its pods ANTWORT_PORT=tcp://….
func TestApplyEnvIgnoresKubernetesServiceLinks(t *testing.T) {
	c := Default()
	require.NoError(t, c.ApplyEnv(environment(map[string]string{"ANTWORT_PORT": "tcp://10.96.0.7:8080"})))
	assert.Equal(t, 8080, c.Server.Port)
}

func TestUnknownVariables(t *testing.T) {
	assert.Equal(t, []string{
		"ANTWORT_BACKENDURL: no such variable, did you mean ANTWORT_BACKEND_URL?",
		"ANTWORT_LOG_LEVEL: no such variable, did you mean ANTWORT_OBSERVABILITY_LOG_LEVEL?",
		"ANTWORT_TELEMETRY: no such variable",
	}, UnknownVariables([]string{
		"PATH", "ANTWORT_TELEMETRY", "ANTWORT_BACKENDURL", "ANTWORT_LOG_LEVEL", "ANTWORT_PORT", "ANTWORT_CONFIG", "ANTWORT_API_KEY_FILE",
		"ANTWORT_SERVICE_HOST", "ANTWORT_SERVICE_PORT_HTTP", "ANTWORT_PORT_8080_TCP", "ANTWORT_BACKEND_PORT", "ANTWORT_BACKEND_PORT_8080_TCP_ADDR",
	}))
}
