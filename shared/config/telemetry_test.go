package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShares(t *testing.T) {
	k := &share{at: func(c *Config) *int { return &c.Observability.Tracing.SampleRatio }}
	for text, want := range map[string]int{"0": 0, "1": 1_000_000, "0.5": 500_000, "0.000001": 1, "1.0": 1_000_000, "0.10": 100_000} {
		c := &Config{}
		require.True(t, k.set(c, input{number, text}), text)
		require.Equal(t, want, *k.at(c), text)
		again := &Config{}
		require.True(t, k.set(again, input{variable, k.text(c)}), k.text(c))
		require.Equal(t, want, *k.at(again), text)
	}
	for _, text := range []string{"", "2", "1.1", "-0", "0.", ".5", "0.1234567", "1e-3", "01", "0.x"} {
		require.False(t, k.set(&Config{}, input{number, text}), text)
	}
	require.False(t, k.set(&Config{}, input{quoted, "0.5"}))
}

func TestHeaderFields(t *testing.T) {
	for text, want := range map[string][]Field{
		"": nil, "authorization=Bearer%20x": {{"authorization", "Bearer x"}}, "a=1,b-c=2=3": {{"a", "1"}, {"b-c", "2=3"}},
	} {
		got, ok := parseFields(text)
		require.True(t, ok, text)
		require.Equal(t, want, got)
	}
	for _, text := range []string{"a", "=1", "a=", "a=1,", "a b=1", "a=%0a", "a=%4", "a=%zz"} {
		_, ok := parseFields(text)
		require.False(t, ok, text)
	}
}

// The console shows stored texts, which nobody has to send.
func TestCaptureIsForTheConsoleToo(t *testing.T) {
	c, err := Load(Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"server":{"admin":{"port":9090}},"observability":{"capture":"1KiB"}}`)})
	require.NoError(t, err)
	require.EqualValues(t, 1024, c.Observability.Capture)
}

func TestTelemetryNeedsAnEndpoint(t *testing.T) {
	const engine = `"engine":{"provider":"vllm","backend_url":"http://llm"}`
	for observability, problem := range map[string]string{
		`"otlp":{"endpoint":"http://c:4318","headers_env":"H"},"tracing":{"sample_ratio":0.5},"capture":"1KiB"`: "",
		`"otlp":{"queue":100}`:                                "observability.otlp.queue: nothing is sent without observability.otlp.endpoint",
		`"tracing":{"sample_ratio":0}`:                        "observability.tracing.sample_ratio: nothing is sent",
		`"capture":"1KiB"`:                                    "observability.capture: nothing is sent without observability.otlp.endpoint, nor shown without server.admin.port",
		`"otlp":{"endpoint":"http://c","ca_file":"/ca"}`:      "observability.otlp.ca_file: the endpoint is http://",
		`"otlp":{"endpoint":"http://c","headers":"nonsense"}`: "observability.otlp.headers: want name=value",
	} {
		c, err := Load(Sources{JSON: []byte(`{` + engine + `,"observability":{` + observability + `}}`), LookupEnv: func(name string) (string, bool) { return map[string]string{"H": "a=1"}[name], name == "H" }})
		if problem != "" {
			require.ErrorContains(t, err, problem)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, []Field{{"a", "1"}}, c.Observability.OTLP.Fields())
		f, vars := c.ForFilter()
		require.Equal(t, Default().Observability, f.Observability)
		require.Empty(t, vars)
	}
}
