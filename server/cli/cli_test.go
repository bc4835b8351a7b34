package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// run is one run of the command line, to its end.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = Main(t.Context(), args, strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

func TestWrongCommandLines(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		text string
	}{
		"no command":      {nil, "expected one of "},
		"unknown command": {[]string{"bogus"}, "unexpected argument bogus"},
		"unknown flag":    {[]string{"version", "--bogus"}, "unknown flag --bogus"},
		"flag without":    {[]string{"check", "--config"}, "--config: expected string value"},
		"extra word":      {[]string{"version", "x"}, "unexpected argument x"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, err := run(t, test.args...)
			assert.Equal(t, exitUsage, code)
			assert.Empty(t, out)
			assert.Contains(t, err, "antwort: "+test.text)
			assert.Contains(t, err, `Run "antwort --help"`)
		})
	}
}

func TestHelp(t *testing.T) {
	code, out, err := run(t, "--help")
	assert.Equal(t, exitOK, code)
	assert.Empty(t, err)
	assert.Contains(t, out, "Usage: antwort <command>")
}

func TestEveryCommandHasHelpWithAnExample(t *testing.T) {
	parser, err := kong.New(new(commands))
	require.NoError(t, err)
	assert.Len(t, parser.Model.Children, reflect.TypeFor[commands]().NumField())
	for _, command := range parser.Model.Children {
		code, out, err := run(t, command.Name, "--help")
		assert.Equal(t, exitOK, code, command.Name)
		assert.Empty(t, err, command.Name)
		assert.Contains(t, out, command.Help, command.Name)
		assert.Regexpf(t, `\n    .*antwort `+command.Name, out, "the help of %s has no example", command.Name)
	}
}

func TestVersion(t *testing.T) {
	Version = "v1.2.3"
	defer func() { Version = "" }()
	code, out, _ := run(t, "version")
	assert.Equal(t, exitOK, code)
	assert.Regexp(t, `^antwort v1\.2\.3 go1\S+ \w+/\w+\n$`, out)
}

func TestConfigSchema(t *testing.T) {
	code, out, _ := run(t, "config-schema")
	assert.Equal(t, exitOK, code)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, `"backend_url"`)
}

// configuration writes a file and returns its name.
func configuration(t *testing.T, yaml string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "antwort.yaml")
	require.NoError(t, os.WriteFile(name, []byte(yaml), 0o600))
	return name
}

func TestCheckSaysWhatTheConfigurationMeans(t *testing.T) {
	t.Setenv("LLM_KEY", "sk-HUSH")
	const vllm, forward = "provider: vllm", "provider: vllm-responses"
	for name, test := range map[string]struct {
		yaml string
		has  []string
		not  []string
	}{
		"translation": {
			"engine: {" + vllm + ", backend_url: 'http://llm:8000/v1'}",
			[]string{
				"listens on  0.0.0.0:8080\n",
				"admin port  none\n",
				"proxies     nobody is believed about X-Forwarded-…\n",
				"backend     http://llm:8000, without a key of its own\n",
				"vllm: requests are translated to http://llm:8000/v1/chat/completions; unsupported tools are refused, unknown fields passed on\n",
				"every request must name one\n",
				"32MiB at most, 64MiB decompressed, 10000 input items, 512 tools\n",
				"16MiB at most, within 10m; connecting within 5s\n",
				"ended after 5m of silence, events of at most 8MiB; a comment line after every 15s of silence\n",
				"3 attempts in all after connect failures, 429 and 503, 200ms to 5s apart\n",
				"there is no authentication\n",
				"at /metrics\n",
				"warning     state: auth.type is none, so whoever has the id of a response can read, continue and delete it; all callers are one owner\n" +
					"warning     state.type: memory is for a single replica; of several none can continue or read what another one answered: for those use postgres, or none\n",
			},
			nil,
		},
		"forwarding": {
			"engine: {" + forward + ", backend_url: 'http://backend:8080', api_key_env: LLM_KEY, retry: {max_attempts: 2}}",
			[]string{
				"backend     http://backend:8080, with the key in the variable LLM_KEY\n",
				"vllm-responses: requests, answers and events are forwarded as they came to http://backend:8080/v1/responses\n",
				"as the request says\n",
				"2 attempts in all after connect failures, 200ms to 5s apart\n",
			},
			[]string{"HUSH", "warning"},
		},
		"transports": {
			"engine: {" + vllm + ", backend_url: 'https://llm', protocol: http2, tls: {server_name: llm.internal}}\n" +
				"routes: [{name: r, match: {models: [m]}, backends: [{url: 'http://a'}, {url: 'http://b', protocol: http1, transport: std}, {url: 'https://c', protocol: http1, transport: own}]}]",
			[]string{
				"https://llm, without a key of its own, in HTTP/2 where it offers that, its name there llm.internal\n",
				"to http://a, without a key of its own, in HTTP/2\n",
				"to http://b, without a key of its own, by net/http's client\n",
				"to https://c, without a key of its own, its name there llm.internal\n",
			},
			nil,
		},
		"everything else": {
			"server: {host: '::1', port: 0, keepalive_interval: 0s, drain_timeout: 1m}\n" +
				"engine: {" + vllm + ", backend_url: 'http://llm', default_model: llama, api_key: sk-HUSH, retry: {max_attempts: 1}}\n" +
				"translation: {unsupported_tools: drop, unknown_fields: refuse}\n" +
				"observability: {metrics: {enabled: false}, log: {level: warn, format: text}}\n",
			[]string{
				"::1, on any free port\n", "with the configured key\n", "llama, when a request names none\n",
				"unsupported tools are left out, unknown fields refused\n", "no keep-alives\n", "retries     none\n",
				"running requests have 1m to finish\n", "metrics     off\n", "warn and worse, as text, on standard error\n",
			},
			[]string{"HUSH", "warning"},
		},
		"ports": {
			"server: {admin: {port: 9090}, trusted_proxies: [10.0.0.0/8, '::/0']}\nengine: {" + vllm + ", backend_url: 'http://llm'}\n",
			[]string{
				"admin port  127.0.0.1:9090, for all who can connect: probes, metrics, backends, profiles, the console at /console\n",
				"proxies     believed about X-Forwarded-…: 10.0.0.0/8, ::/0\n",
				"metrics     at /metrics of the admin port\n",
				"warning     server.trusted_proxies: with ::/0 every client is believed",
			},
			nil,
		},
		"texts in the console": {
			"server: {admin: {port: 9090}}\nengine: {" + vllm + ", backend_url: 'http://llm'}\nobservability: {capture: 2KiB}\n",
			[]string{"backends, profiles, the console at /console, with up to 2KiB of each stored text\n"},
			nil,
		},
		"nothing stored for the console": {
			"server: {admin: {port: 9090}}\nengine: {" + vllm + ", backend_url: 'http://llm'}\nstate: {type: none}\nobservability: {capture: 2KiB}\n",
			[]string{"backends, profiles, the console at /console\n"},
			nil,
		},
		"tokens": {
			"engine: {" + forward + ", backend_url: 'http://llm'}\n" +
				"auth: {type: jwt, forward_credential: true, jwt: {issuer: 'https://issuer', audiences: [a, b], jwks_url: 'http://issuer/jwks?key=secret', tenant_claim: org}}\n",
			[]string{
				"who has a token of https://issuer for a or b, checked with the keys of http://issuer/jwks, asked for every 5m; " +
					"the caller is its claim sub, the tenant its claim org; the token is passed on to the backend\n",
				"warning     auth.jwt.jwks_url: the keys come in clear",
			},
			nil,
		},
		"routes": {
			"server: {host: 127.0.0.1}\nengine: {" + vllm + "}\nrouting: {eject_after: 2}\nfilter: {profile: gated}\nroutes:\n" +
				"- name: big\n  match: {models: ['llama-*', x], tenants: [team-a], headers: {x-team: research}}\n  balance: affinity\n" +
				"  backends: [{url: 'http://a', weight: 3, model: /mnt/m, api_key_env: LLM_KEY}, {url: 'http://b', priority: 1}]\n" +
				"- name: rest\n  backends: [{url: 'http://c', provider: vllm-responses}]\n",
			[]string{
				"route       big: requests for llama-* or x of tenant team-a with x-team: research, each conversation to one backend while that has at most 200 % of its share of the load\n",
				"            to http://a, weight 3, as model /mnt/m, with the key in the variable LLM_KEY, provider vllm\n",
				"            to http://b, while those before cannot be reached, without a key of its own, provider vllm\n",
				"route       rest: all requests\n",
				"provider    vllm: requests are translated to /v1/chat/completions;",
				"provider    vllm-responses: requests, answers and events are forwarded as they came to /v1/responses\n",
				"one that fails 2 times in a row is left out for 5s, longer each time, up to 1m\n",
			},
			[]string{"HUSH", "warning", "other requests"},
		},
		"routes of some requests": {
			"engine: {" + forward + "}\nroutes: [{name: r, match: {models: [m]}, backends: [{url: 'http://a', model: n}, {url: 'http://b'}]}]",
			[]string{
				"other requests  are answered 404, model_not_found\n", "each to the backend with the least load for its weight\n",
				"warning         routes[0].match.models, routes[0].backends[0].model: the filter can do this only in filter.profile gated; antwort serve can\n",
			},
			[]string{"provider        vllm:"},
		},
		"routes that name their models": {
			"engine: {" + vllm + "}\nfilter: {profile: gated}\nroutes: [{name: a, match: {models: [a]}, backends: [{url: 'http://a'}]}]",
			[]string{"model list      those that the routes name\n"},
			nil,
		},
		"routes that do not": {
			"engine: {" + vllm + "}\nfilter: {profile: gated}\nroutes: [{name: a, match: {models: ['a*']}, backends: [{url: 'http://a'}]}]",
			[]string{"model list      merged from the routes by antwort serve; the filter passes the first one's on"},
			nil,
		},
		"routes before another backend": {
			"server: {host: 127.0.0.1}\nengine: {" + vllm + ", backend_url: 'http://llm'}\nroutes: [{name: r, match: {headers: {x-a: b}}, backends: [{url: 'http://a'}]}]",
			[]string{"other requests  to http://llm, without a key of its own\n", "requests with x-a: b\n"},
			[]string{"warning"},
		},
		"settings without effect": {
			"server: {keepalive_interval: 1m}\n" +
				"engine: {" + forward + ", backend_url: 'http://backend', default_model: llama, stream_idle_timeout: 1m}\n" +
				"translation: {fold_system: false}\n",
			[]string{
				"warning     engine.default_model: no effect",
				"warning     translation: no effect",
				"warning     server.keepalive_interval: no effect",
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, err := run(t, "check", "--config", configuration(t, test.yaml))
			assert.Equal(t, exitOK, code)
			assert.Empty(t, err)
			for _, text := range test.has {
				assert.Contains(t, out, text)
			}
			for _, text := range test.not {
				assert.NotContains(t, out, text)
			}
		})
	}
}

func TestCheckTakesTheFileFromTheEnvironment(t *testing.T) {
	t.Setenv("ANTWORT_CONFIG", configuration(t, "engine: {provider: vllm, backend_url: 'http://llm'}"))
	t.Setenv("ANTWORT_PORT", "9000")
	t.Setenv("ANTWORT_BAKEND_URL", "http://other")
	code, out, _ := run(t, "check")
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "0.0.0.0:9000\n")
	assert.Contains(t, out, "warning     ANTWORT_BAKEND_URL: no such variable, did you mean ANTWORT_BACKEND_URL?\n")
}

func TestCheckRefuses(t *testing.T) {
	file := configuration(t, "engine:\n  provider: openai\n  backend_url: http://llm\nauth: {type: oidc}\n")
	code, out, err := run(t, "check", "--config", file)
	assert.Equal(t, exitUsage, code)
	assert.Empty(t, out)
	assert.Equal(t, "antwort: 2 problems in the configuration:\n"+
		"  "+file+`:2:3: engine.provider: got the text "openai", want one of vllm, vllm-responses`+"\n"+
		"  "+file+`:4:8: auth.type: got the text "oidc", want one of none, api_key, jwt; for other ways let a proxy in front check who calls`+"\n", err)

	code, _, err = run(t, "check", "--config", filepath.Join(t.TempDir(), "gone.yaml"))
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, err, "no such file or directory")

	code, _, err = run(t, "check")
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, err, "engine.provider: must be set, here or by ANTWORT_PROVIDER, to one of vllm, vllm-responses")
}

// What serve could not start with, check refuses.
func TestCheckReadsCertificatesAndKeys(t *testing.T) {
	for yaml, problem := range map[string]string{
		"server: {tls: {cert_file: /gone/crt, key_file: /gone/key}}\n":                                          "server.tls.cert_file: open /gone/crt: no such file",
		"auth: {type: jwt, jwt: {issuer: 'https://issuer', audiences: [a], jwks_file: /gone/jwks.json}}\n":      "auth.jwt.jwks_file: open /gone/jwks.json: no such file",
		"routes: [{name: r, match: {models: [m]}, backends: [{url: 'https://a', tls: {ca_file: /gone/ca}}]}]\n": "route r: backend https://a: tls.ca_file: cannot read the file: open /gone/ca: no such file",
		"routes: [{name: r, match: {models: [m]}, backends: [{url: 'http://localhost:8080'}]}]\n":               "routes[0].backends[0].url: http://localhost:8080 is where this server itself listens (0.0.0.0:8080)",
	} {
		code, out, err := run(t, "check", "--config", configuration(t, "engine: {provider: vllm, backend_url: 'http://llm'}\n"+yaml))
		assert.Equal(t, exitUsage, code)
		assert.Empty(t, out)
		assert.Contains(t, err, problem)
	}
}

func TestCheckSaysWhoMayCall(t *testing.T) {
	const digest = "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"
	file := configuration(t, "engine: {provider: vllm-responses, backend_url: http://llm}\n"+
		"auth:\n  type: api_key\n  api_keys:\n  - {sha256: "+digest+", subject: alice}\n  - {key_env: BOBS_KEY, subject: bob, models: [m]}\n")
	t.Setenv("BOBS_KEY", "HUSH")
	code, out, _ := run(t, "check", "--config", file)
	assert.Equal(t, exitOK, code)
	assert.Contains(t, out, "who has one of 2 API keys, 1 of them for certain models only; the backend is told the caller, not the key\n")
	assert.Contains(t, out, "warning     auth.api_keys: the filter takes keys with models only in filter.profile gated")
	assert.NotContains(t, out, "HUSH")

	file = configuration(t, "engine: {provider: vllm, backend_url: http://llm}\nauth:\n  type: api_key\n  api_keys:\n  - {sha256: "+digest+", subject: alice}\n  - key: HUSH\n    subject: bob\n")
	code, _, err := run(t, "check", "--config", file)
	assert.Equal(t, exitUsage, code)
	assert.Contains(t, err, file+":6:5: auth.api_keys[1].key: keys are not written in the configuration")
	assert.NotContains(t, err, "HUSH")
}
