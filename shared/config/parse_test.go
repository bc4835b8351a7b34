package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseAnEmptyFileIsTheDefaults(t *testing.T) {
	want := &Config{
		Server: Server{
			Host: "0.0.0.0", Port: 8080,
			ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 5 * time.Minute,
			DrainTimeout: 30 * time.Second, KeepAliveInterval: 15 * time.Second, MaxHeaderBytes: 64 << 10, TakeOver: true,
			Admin: Admin{Host: "127.0.0.1"},
		},
		Engine: Engine{
			ConnectTimeout: 5 * time.Second, ResponseTimeout: 10 * time.Minute, StreamIdleTimeout: 5 * time.Minute,
			CountTokens: Tokenize, MaxIdleConnections: 1024, Protocol: HTTP1, Transport: AutoTransport,
			Retry: Retry{MaxAttempts: 3, BaseDelay: 200 * time.Millisecond, MaxDelay: 5 * time.Second},
		},
		Translation: Translation{
			FoldSystem: true, ReasoningField: "reasoning", ReasoningEvents: "reasoning_text", ReasoningSummary: "auto",
			UnsupportedTools: Refuse, UnknownFields: Pass,
		},
		Limits: Limits{
			RequestBodyBytes: 32 << 20, DecodedBodyBytes: 64 << 20, ResponseBodyBytes: 16 << 20, EventBytes: 8 << 20,
			JSONDepth: 64, JSONValues: 50_000, JSONEscapes: 1_000_000, InputItems: 10_000, Tools: 512, DefaultOutputTokens: 1024, MaxCounters: 100_000,
			Store: MemoryLimits, OnFailure: Open, Redis: LimitsRedis{Prefix: "antwort-limits", Timeout: 100 * time.Millisecond},
		},
		Auth:      Auth{Type: "none", JWT: JWT{SubjectClaim: "sub", ClockSkew: time.Minute, JWKSRefresh: 5 * time.Minute}},
		Routing:   Routing{EjectAfter: 5, EjectTime: 5 * time.Second, MaxEjectTime: time.Minute, ModelsTime: 5 * time.Second},
		Websocket: Websocket{Enabled: true, MaxConnections: 1000, Lifetime: time.Hour},
		State: State{
			Type: AutoState, DefaultStore: true, Scope: TenantScope, ConversationWait: 5 * time.Second, ConversationLease: 30 * time.Second, OnFailure: FailOnFailure, CommitTimeout: 10 * time.Second, OpenCalls: Refuse,
			MaxDepth: 1000, MaxContextBytes: 32 << 20, MaxInputBytes: 16 << 20,
			Background: StateBackground{Workers: 8, Queue: 1000, Lease: 30 * time.Second, Replay: 10 * time.Minute, MaxTime: time.Hour}, Memory: StateMemory{MaxBytes: 64 << 20},
			SQLite: StateSQLite{Sync: FullSync}, Postgres: StatePostgres{MaxConnections: 10, Migrate: Auto},
		},
		Compaction:    Compaction{Enabled: true, MaxOutputTokens: 2048},
		Filter:        Filter{Profile: Inline, GateWait: 5 * time.Second, RateLimits: "none"},
		Observability: Observability{Metrics: Metrics{Enabled: true, Path: "/metrics"}, OTLP: OTLP{Protocol: OTLPHTTP, ServiceName: "antwort", Timeout: 10 * time.Second, Queue: 4096, Interval: 2 * time.Second}, Tracing: Tracing{SampleRatio: 1_000_000}, Log: Log{Level: "info", Format: "json"}},
	}
	for _, json := range []string{``, `{}`, `null`, ` { "server" : null, "observability" : { "log" : null } } `} {
		c, err := Parse([]byte(json))
		require.NoError(t, err, json)
		assert.Equal(t, want, c, json)
	}
}

func TestParseTakesValues(t *testing.T) {
	for _, test := range []struct{ path, value, text string }{
		{"server.port", `0`, "0"},
		{"server.port", `65535`, "65535"},
		{"server.host", `"::1"`, "::1"},
		{"server.host", `"node-1.example"`, "node-1.example"},
		{"server.keepalive_interval", `"0s"`, "0s"},
		{"server.keepalive_interval", `"1m30s"`, "1m30s"},
		{"server.keepalive_interval", `"500ms"`, "500ms"},
		{"server.keepalive_interval", `"90s"`, "1m30s"},
		{"server.idle_timeout", `"24h"`, "24h"},
		{"server.max_header_bytes", `4096`, "4KiB"},
		{"limits.request_body_bytes", `"1048577"`, "1048577"},
		{"limits.request_body_bytes", `"1048577B"`, "1048577"},
		{"limits.request_body_bytes", `"2048 KiB"`, "2MiB"},
		{"limits.request_body_bytes", `"1GiB"`, "1GiB"},
		{"limits.in_flight_bytes", `4294967296`, "4GiB"},
		{"translation.fold_system", `false`, "false"},
		{"server.trusted_proxies", `["10.0.0.0/8","::1","fd00::/8"]`, `["10.0.0.0/8","::1","fd00::/8"]`},
		{"server.trusted_proxies", `[]`, ""},
		{"auth.jwt.audiences", `["a,b","c"]`, `["a,b","c"]`},
		{"auth.jwt.jwks_url", `"https://issuer.example/keys/v1?format=jwk"`, "https://issuer.example/keys/v1?format=jwk"},
		{"engine.provider", `"vllm-responses"`, "vllm-responses"},
		{"engine.default_model", `"/mnt/models/größe 7b"`, "/mnt/models/größe 7b"},
		{"engine.api_key", `"sk-secret"`, "[redacted]"},
		{"engine.api_key_env", `"LLM_KEY_2"`, "LLM_KEY_2"},
		{"observability.metrics.path", `"/internal/metrics"`, "/internal/metrics"},
	} {
		t.Run(test.path+" "+test.value, func(t *testing.T) {
			c, err := Parse(file(test.path, test.value))
			require.NoError(t, err)
			assert.Equal(t, test.text, c.Text(test.path))
		})
	}
}

// file is a configuration with one key.
func file(path, value string) []byte {
	names := strings.Split(path, ".")
	json := value
	for i := len(names) - 1; i >= 0; i-- {
		json = `{"` + names[i] + `":` + json + `}`
	}
	return []byte(json)
}

func TestParseRefusesValues(t *testing.T) {
	const (
		port  = "want an integer from 0 to 65535"
		bytes = "want a size from 1KiB to 1GiB, in bytes or with a unit B, KiB, MiB or GiB, such as 32MiB"
		time  = "want a duration from 1ms to 1h or 0s (off), with a unit ms, s, m or h, such as 15s"
		url   = "want an absolute http:// or https:// URL, such as http://llm.example:8000; "
	)
	for _, test := range []struct{ path, value, problem string }{
		{"server.port", `65536`, "got the number 65536, " + port},
		{"server.port", `-1`, "got the number -1, " + port},
		{"server.port", `80.0`, "got the number 80.0, " + port},
		{"server.port", `8e1`, "got the number 8e1, " + port},
		{"server.port", `99999999999999999999`, "got the number 99999999999999999999, " + port},
		{"server.port", `"8080"`, `got the text "8080", ` + port + "; write it without quotes"},
		{"server.port", `null`, "got nothing (null), " + port},
		{"server.port", `true`, "got true, " + port},
		{"server.port", `[1]`, "got a list, " + port},
		{"server.port", `{"a":1}`, "got an object, " + port},
		{"server.host", `"localhost:80"`, `got the text "localhost:80", want a text: IP address or host name without port`},
		{"server.host", `""`, `got the text "", want a text: IP address or host name without port`},
		{"server.keepalive_interval", `15`, "got the number 15, " + time},
		{"server.keepalive_interval", `0`, "got the number 0, " + time},
		{"server.keepalive_interval", `"15"`, `got the text "15", ` + time},
		{"server.keepalive_interval", `"0"`, `got the text "0", ` + time},
		{"server.keepalive_interval", `"-1s"`, `got the text "-1s", ` + time},
		{"server.keepalive_interval", `"0.5s"`, `got the text "0.5s", ` + time},
		{"server.keepalive_interval", `"s"`, `got the text "s", ` + time},
		{"server.keepalive_interval", `"1 s"`, `got the text "1 s", ` + time},
		{"server.keepalive_interval", `"4000000000h"`, `got the text "4000000000h", ` + time},
		{"server.keepalive_interval", `"1us"`, `got the text "1us", ` + time},
		{"server.keepalive_interval", `"1h1ms"`, `got the text "1h1ms", ` + time},
		{"server.keepalive_interval", `"1d"`, `got the text "1d", ` + time},
		{"server.read_timeout", `"0s"`, `got the text "0s", want a duration from 1ms to 1h, with a unit ms, s, m or h, such as 15s`},
		{"limits.request_body_bytes", `"32MB"`, `got the text "32MB", ` + bytes},
		{"limits.request_body_bytes", `"2GiB"`, `got the text "2GiB", ` + bytes},
		{"limits.request_body_bytes", `"9223372036854775807GiB"`, `got the text "9223372036854775807GiB", ` + bytes},
		{"limits.request_body_bytes", `1023`, "got the number 1023, " + bytes},
		{"limits.request_body_bytes", `1.5e6`, "got the number 1.5e6, " + bytes},
		{"limits.request_body_bytes", `"-1KiB"`, `got the text "-1KiB", ` + bytes},
		{"limits.request_body_bytes", `""`, `got the text "", ` + bytes},
		{"translation.fold_system", `"true"`, `got the text "true", want true or false; write it without quotes`},
		{"translation.fold_system", `1`, "got the number 1, want true or false"},
		{"translation.unsupported_tools", `"ignore"`, `got the text "ignore", want one of refuse, drop`},
		{"engine.provider", `"openai"`, `got the text "openai", want one of vllm, vllm-responses`},
		{"engine.provider", `""`, `got the text "", want one of vllm, vllm-responses`},
		{"engine.default_model", `7`, "got the number 7, want a text: 1 to 512 bytes without control characters; write it in quotes"},
		{"engine.default_model", `"a\nb"`, `got the text "a\nb", want a text: 1 to 512 bytes without control characters`},
		{"server.trusted_proxies", `"10.0.0.0/8"`, `got the text "10.0.0.0/8", want a list such as ["a","b"] of at most 100 texts: an IP address, or a network such as 10.0.0.0/8`},
		{"server.trusted_proxies", `{}`, `got an object, want a list such as ["a","b"] of at most 100 texts: an IP address, or a network such as 10.0.0.0/8`},
		{"auth.jwt.jwks_url", `"file:///keys"`, `got the text "file:///keys", want an absolute http:// or https:// URL, such as https://issuer.example/jwks.json; it does not begin with http:// or https://`},
		{"auth.jwt.jwks_url", `"https://i/k?x#y"`, `got the text "https://i/k?[redacted]", want an absolute http:// or https:// URL, such as https://issuer.example/jwks.json; the query has a fragment or characters that a URL cannot have`},
		{"auth.jwt.jwks_url", `"https://i/k?a=HUSH b"`, `got the text "https://i/k?[redacted]", want an absolute http:// or https:// URL, such as https://issuer.example/jwks.json; the query has a fragment or characters that a URL cannot have`},
		{"auth.type", `"oidc"`, `got the text "oidc", want one of none, api_key, jwt; for other ways let a proxy in front check who calls`},
		{"observability.metrics.path", `"/v1/metrics"`, `got the text "/v1/metrics", want a text: path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug`},
		{"observability.metrics.path", `"/backends"`, `got the text "/backends", want a text: path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug`},
		{"observability.metrics.path", `"/debug/pprof/heap"`, `got the text "/debug/pprof/heap", want a text: path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug`},
		{"observability.metrics.path", `"/%62ackends"`, `got the text "/%62ackends", want a text: path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug`},
		{"observability.metrics.path", `"metrics"`, `got the text "metrics", want a text: path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug`},
		{"engine.backend_url", `8000`, "got the number 8000, want an absolute http:// or https:// URL, such as http://llm.example:8000"},
		{"engine.backend_url", `"llm:8000"`, `got the text "llm:8000", ` + url + "it does not begin with http:// or https://"},
		{"server", `8080`, "got the number 8080, want an object with keys"},
		{"engine.retry", `[]`, "got a list, want an object with keys"},
		{"engine.provdier", `"vllm"`, "unknown key, did you mean engine.provider?"},
		{"engine.backend-url", `"x"`, "unknown key, did you mean engine.backend_url?"},
		{"port", `80`, "unknown key, did you mean server.port?"},
		{"engine.max_attempts", `80`, "unknown key, did you mean engine.retry.max_attempts?"},
		{"servers", `{}`, "unknown key, did you mean server?"},
		{"tenants", `[]`, "unknown key, allowed at the top: server, engine, translation, limits, auth, routing, routes, state, compaction, websocket, filter, observability"},
		{"auth.scopes", `[]`, "unknown key, allowed in auth: type, api_keys, jwt, forward_credential"},
		{"observability.profiles", `{}`, "unknown key, allowed in observability: metrics, otlp, tracing, capture, log"},
	} {
		t.Run(test.path+" "+test.value, func(t *testing.T) {
			c, err := Parse(file(test.path, test.value))
			assert.Nil(t, c)
			assert.EqualError(t, err, test.path+": "+test.problem)
		})
	}
}

func TestParseRefusesTexts(t *testing.T) {
	for name, test := range map[string]struct{ json, problem string }{
		"a list":              {`[]`, "got a list, want an object with the sections of the configuration"},
		"not JSON":            {`{"server"`, "not a JSON text: "},
		"more than JSON":      {`{} {}`, "not a JSON text: "},
		"YAML":                {"server:\n  port: 80\n", "not a JSON text: "},
		"a repeated key":      {`{"server":{"port":1,"port":1}}`, "server.port: the key occurs twice"},
		"a repeated section":  {`{"server":{},"server":{}}`, "server: the key occurs twice"},
		"an escaped repeat":   {`{"server":{"port":1,"p\u006frt":1}}`, "server.port: the key occurs twice"},
		"a key with a dot":    {`{"server.port":80}`, "server.port: unknown key: a name has no dots, section.name is written as sections"},
		"an odd key":          {`{"a\nb":1}`, `"a\nb": unknown key, allowed at the top: `},
		"an invalid UTF-8":    {"{\"engine\":{\"default_model\":\"\xff\"}}", "not a JSON text: "},
		"nesting without end": {strings.Repeat(`{"server":`, 1000), "not a JSON text: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(test.json))
			assert.ErrorContains(t, err, test.problem)
		})
	}
}

func TestParseReportsEverythingAtOnce(t *testing.T) {
	_, err := Parse([]byte(`{"server":{"port":-1,"prot":2},"limits":{"tools":0}}`))
	var problems Problems
	require.ErrorAs(t, err, &problems)
	var paths []string
	for _, p := range problems {
		paths = append(paths, p.Path)
	}
	assert.Equal(t, []string{"server.port", "server.prot", "limits.tools"}, paths)
}

func TestErrorsShowNoSecret(t *testing.T) {
	for _, json := range []string{
		`{"engine":{"api_key":"HUSH HUSH"}}`,
		`{"engine":{"api_key":"HUSH\n"}}`,
		`{"engine":{"api_key":4711}}`,
		`{"engine":{"api_key_env":"sk-HUSH"}}`,
		`{"engine":{"backend_url":"http://me:HUSH@llm"}}`,
		`{"engine":{"backend_url":"http://me:HU/SH@llm"}}`,
		`{"engine":{"backend_url":"http://llm/?key=HUSH"}}`,
		`{"engine":{"api_key":"HUSH"`,
		`{"routes":"HUSH"}`,
		`{"routes":[{"name":"a","backends":[{"url":"http://me:HUSH@llm","api_key":"HUSH"}]}]}`,
		`{"routes":[{"name":"a","backends":[{"url":"http://llm","api_key_env":"sk-HUSH"}]}]}`,
		`{"auth":{"api_keys":"HUSH"}}`,
		`{"auth":{"api_keys":["HUSH",{"sha256":"HUSH","key":"HUSH"}]}}`,
		`{"auth":{"jwt":{"jwks_url":"http://me:HUSH@issuer?key=HUSH"}}}`,
	} {
		_, err := Parse([]byte(json))
		require.Error(t, err, json)
		for _, hush := range []string{"HUSH", "HU/SH", "4711"} {
			assert.NotContains(t, err.Error(), hush, json)
		}
	}
}

func TestErrorsShowNoVariableThatMayHoldSecrets(t *testing.T) {
	for name, value := range map[string]string{
		"ANTWORT_ROUTES":            `[{"name":"a","backends":[{"url":"http://me:HUSH@llm","api_key":"HUSH"}]}]`,
		"ANTWORT_AUTH_API_KEYS":     `[{"key":"HUSH","subject":"a"}]`,
		"ANTWORT_API_KEY":           "HUSH HUSH",
		"ANTWORT_API_KEY_ENV":       "sk-HUSH",
		"ANTWORT_AUTH_JWT_JWKS_URL": "http://me:HUSH@issuer",
	} {
		err := Default().ApplyEnv(func(asked string) (string, bool) { return map[string]string{name: value}[asked], true })
		require.ErrorContains(t, err, name)
		assert.NotContains(t, err.Error(), "HUSH")
	}
}

func TestEqual(t *testing.T) {
	parse := func(json string) *Config {
		c, err := Parse([]byte(json))
		require.NoError(t, err)
		return c
	}
	base := parse(`{"engine":{"api_key":"a"}}`)
	assert.True(t, base.Equal(base))
	assert.True(t, base.Equal(parse(`{"engine":{"api_key":"a"},"server":{"port":8080}}`)))
	assert.False(t, base.Equal(parse(`{"engine":{"api_key":"b"}}`)))
	assert.False(t, base.Equal(parse(`{}`)))
	assert.False(t, base.Equal(parse(`{"engine":{"api_key":"a"},"server":{"port":8081}}`)))
	assert.True(t, base.Engine.APIKey.IsSet(), "comparing changes nothing")
}
