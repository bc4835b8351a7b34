package config

import (
	"slices"
	"time"
)

// table is the schema: one row per key, sections together, in the order of the
// reference.
var table = slices.Concat(serverKeys, engineKeys, translationKeys, limitKeys, authKeys, routingKeys, stateKeys, compactionKeys, webSocketKeys, filterKeys, observabilityKeys)

// credential ties the three ways to give one secret together.
type credential struct {
	path  string // the keys are path, path_file and path_env
	value func(*Config) *Secret
	file  func(*Config) *string
	env   func(*Config) *string
}

var secrets = []credential{{
	path:  "engine.api_key",
	value: func(c *Config) *Secret { return &c.Engine.APIKey },
	file:  func(c *Config) *string { return &c.Engine.APIKeyFile },
	env:   func(c *Config) *string { return &c.Engine.APIKeyEnv },
}, {
	path:  "server.admin.token",
	value: func(c *Config) *Secret { return &c.Server.Admin.Token },
	file:  func(c *Config) *string { return &c.Server.Admin.TokenFile },
	env:   func(c *Config) *string { return &c.Server.Admin.TokenEnv },
}, {
	path:  "state.postgres.dsn",
	value: func(c *Config) *Secret { return &c.State.Postgres.DSN },
	file:  func(c *Config) *string { return &c.State.Postgres.DSNFile },
	env:   func(c *Config) *string { return &c.State.Postgres.DSNEnv },
}, {
	path:  "limits.redis.url",
	value: func(c *Config) *Secret { return &c.Limits.Redis.URL },
	file:  func(c *Config) *string { return &c.Limits.Redis.URLFile },
	env:   func(c *Config) *string { return &c.Limits.Redis.URLEnv },
}, {
	path:  "observability.otlp.headers",
	value: func(c *Config) *Secret { return &c.Observability.OTLP.Headers },
	file:  func(c *Config) *string { return &c.Observability.OTLP.HeadersFile },
	env:   func(c *Config) *string { return &c.Observability.OTLP.HeadersEnv },
}}

var serverKeys = []key{{
	path:    "server.host",
	value:   &text{at: func(c *Config) *string { return &c.Server.Host }, def: "0.0.0.0", accepts: isListenHost, allowed: "IP address or host name without port"},
	doc:     "Address to listen on. `0.0.0.0` is every IPv4 address, `::` every address.",
	restart: Serve,
}, {
	path:    "server.port",
	value:   &integer{at: func(c *Config) *int { return &c.Server.Port }, def: 8080, min: 0, max: 65535},
	doc:     "Port to listen on. 0 takes any free one and logs it.",
	restart: Serve,
}, {
	path:    "server.read_header_timeout",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Server.ReadHeaderTimeout }, def: 10 * time.Second, min: time.Millisecond, max: time.Hour},
	doc:     "How long a client may take to send the header of a request.",
	restart: Serve,
}, {
	path:  "server.read_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Server.ReadTimeout }, def: time.Minute, min: time.Millisecond, max: time.Hour},
	doc:   "How long a client may take to send the body of a request. The answer, a stream above all, may take longer.",
}, {
	path:    "server.idle_timeout",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Server.IdleTimeout }, def: 5 * time.Minute, min: time.Millisecond, max: 24 * time.Hour},
	doc:     "How long a connection without a request is kept. Longer than that of the proxy in front, or requests get lost.",
	restart: Serve,
}, {
	path:  "server.drain_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Server.DrainTimeout }, def: 30 * time.Second, min: time.Millisecond, max: 24 * time.Hour, zero: "at once"},
	doc:   "How long running requests may go on after SIGTERM before they are ended with a terminal event. In Kubernetes, `terminationGracePeriodSeconds` must be longer.",
}, {
	path:  "server.keepalive_interval",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Server.KeepAliveInterval }, def: 15 * time.Second, min: time.Millisecond, max: time.Hour, zero: "off"},
	doc:   "After this much silence a stream gets a comment line, so that proxies keep it open while the model thinks.",
}, {
	path:    "server.max_header_bytes",
	value:   &size{atInt: func(c *Config) *int { return &c.Server.MaxHeaderBytes }, def: 64 * kib, min: 4 * kib, max: 16 * mib},
	doc:     "Size of a request's header.",
	restart: Serve,
}, {
	path:  "server.take_over",
	value: &boolean{at: func(c *Config) *bool { return &c.Server.TakeOver }, def: true},
	doc:   "Streams over HTTP/1.1 take their connection over from Go's `net/http`, which keeps some 25 KB more for each. `false` leaves it there: clients see no difference.",
}, {
	path:    "server.tls.cert_file",
	value:   &text{at: func(c *Config) *string { return &c.Server.TLS.CertFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with the server's certificate and its chain, in PEM. With it and `key_file` the server speaks HTTPS only, HTTP/1.1 and HTTP/2. Both files are read again when they change. Not for the filter.",
	restart: Serve,
	ifUnset: true,
	example: "/etc/antwort/tls/tls.crt",
}, {
	path:    "server.tls.key_file",
	value:   &text{at: func(c *Config) *string { return &c.Server.TLS.KeyFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with the certificate's private key, in PEM.",
	restart: Serve,
	ifUnset: true,
	example: "/etc/antwort/tls/tls.key",
}, {
	path:    "server.trusted_proxies",
	value:   &texts{at: func(c *Config) *[]string { return &c.Server.TrustedProxies }, accepts: isNetwork, allowed: "an IP address, or a network such as 10.0.0.0/8", max: 100},
	doc:     "Who is believed about `X-Forwarded-…`: the addresses of the proxies in front. From others these fields are replaced by what the connection shows.",
	example: `["10.0.0.0/8"]`,
}, {
	path:    "server.cors.allowed_origins",
	value:   &texts{at: func(c *Config) *[]string { return &c.Server.CORS.AllowedOrigins }, accepts: isOrigin, allowed: "an origin such as https://chat.example or http://localhost:3000, or *", max: 100},
	doc:     "Pages in browsers that may use the server, by their origin; `*` is every page. Preflights are answered without a key, and every answer, errors too, says that the page may read it. Not for the filter alone: the Envoy in front answers preflights, as the rendered one does.",
	example: `["https://chat.example"]`,
}, {
	path:    "server.admin.host",
	value:   &text{at: func(c *Config) *string { return &c.Server.Admin.Host }, def: "127.0.0.1", accepts: isListenHost, allowed: "IP address or host name without port"},
	doc:     "Address of the admin port.",
	restart: Serve,
}, {
	path:    "server.admin.port",
	value:   &integer{at: func(c *Config) *int { return &c.Server.Admin.Port }, min: 0, max: 65535},
	doc:     "Port of its own for metrics, the state of the backends, profiles and the console (`/console`), which are then on no other; `/healthz` (also called `/health`) and `/readyz` are on both. 0 is no such port.",
	restart: Serve,
	example: "9090",
}, {
	path:    "server.admin.token",
	value:   &secret{at: func(c *Config) *Secret { return &c.Server.Admin.Token }},
	doc:     "Token that the console asks for (`openssl rand -base64 32`). Without one there is a console only where the admin port is on a loopback address. Of the three `token` keys at most one is set.",
	example: "…",
}, {
	path:    "server.admin.token_file",
	value:   &text{at: func(c *Config) *string { return &c.Server.Admin.TokenFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File that holds the token; line ends after it are ignored. It is read again when it changes.",
	example: "/etc/antwort/admin-token",
}, {
	path:    "server.admin.token_env",
	value:   &text{at: func(c *Config) *string { return &c.Server.Admin.TokenEnv }, accepts: isVariable, allowed: "name of an environment variable (letters, digits and _)", hidden: true},
	doc:     "Environment variable that holds the token.",
	example: "ADMIN_TOKEN",
}}

var engineKeys = []key{{
	path:    "engine.provider",
	value:   &enum{at: func(c *Config) *string { return (*string)(&c.Engine.Provider) }, words: []string{string(VLLM), string(VLLMResponses)}},
	doc:     "The API of the backend: `vllm` is Chat Completions, requests are translated; `vllm-responses` is the Responses API, requests are forwarded as they came.",
	restart: Serve,
	example: "vllm",
	require: true,
}, {
	path:    "engine.backend_url",
	value:   &baseURL{at: func(c *Config) *string { return &c.Engine.BackendURL }},
	doc:     "The backend's base URL, to which `/v1/…` is appended. `http://host`, `http://host/` and `http://host/v1` mean the same. The filter does not need it: Envoy's route names the upstream.",
	example: "http://llm.example:8000",
	require: true,
}, {
	path:    "engine.default_model",
	value:   &text{at: func(c *Config) *string { return &c.Engine.DefaultModel }, accepts: isLine, allowed: "1 to 512 bytes without control characters"},
	doc:     "Model of requests that name none.",
	example: "/mnt/models",
}, {
	path:    "engine.pass",
	value:   &texts{at: func(c *Config) *[]string { return &c.Engine.Pass }, accepts: isEndpoint, allowed: "the path of an endpoint behind /v1/ such as chat/completions, or all below one such as audio/*", max: 50},
	doc:     "Other endpoints of the OpenAI API that go to the same backends unchanged, under the same `auth`, routes, retries and metrics: `chat/completions`, `completions`, `embeddings`, `rerank`, `tokenize`, `audio/*`. Each is there with `/v1` and without. What is not named is 404. A form (audio) passes where neither `routes` nor the models of the key depend on its model, else it is 415.",
	example: `["chat/completions", "embeddings"]`,
}, {
	path:  "engine.count_tokens",
	value: &enum{at: func(c *Config) *string { return &c.Engine.CountTokens }, def: Tokenize, words: []string{Tokenize, CompletionCount, Off}},
	doc:   "How `POST /v1/responses/input_tokens` is answered with `vllm`: `tokenize` asks vLLM's `/tokenize`, which stands beside `/v1` and generates nothing, but counts text only; `completion` has one token generated, which counts everything at the price of reading the prompt; `off` is 404.",
}, {
	path:    "engine.api_key",
	value:   &secret{at: func(c *Config) *Secret { return &c.Engine.APIKey }},
	doc:     "Key for the backend, sent as `Authorization: Bearer …`. Of the three `api_key` keys at most one is set.",
	example: "…",
}, {
	path:    "engine.api_key_file",
	value:   &text{at: func(c *Config) *string { return &c.Engine.APIKeyFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File that holds the key; line ends after it are ignored. Not in the filter, which sees no files.",
	example: "/etc/antwort/api-key",
}, {
	path:    "engine.api_key_env",
	value:   &text{at: func(c *Config) *string { return &c.Engine.APIKeyEnv }, accepts: isVariable, allowed: "name of an environment variable (letters, digits and _)", hidden: true},
	doc:     "Environment variable that holds the key. In the filter it is one of `vmConfig.env`.",
	example: "LLM_API_KEY",
}, {
	path:  "engine.connect_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Engine.ConnectTimeout }, def: 5 * time.Second, min: time.Millisecond, max: 5 * time.Minute},
	doc:   "How long connecting to the backend may take, TLS included.",
}, {
	path:  "engine.response_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Engine.ResponseTimeout }, def: 10 * time.Minute, min: time.Millisecond, max: 24 * time.Hour},
	doc:   "How long the backend may take until the header of its answer; for answers that are not streamed, that is the whole generation.",
}, {
	path:  "engine.stream_idle_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Engine.StreamIdleTimeout }, def: 5 * time.Minute, min: time.Millisecond, max: 24 * time.Hour},
	doc:   "How long the backend may be silent within a stream. A stream's whole length has no limit.",
}, {
	path:  "engine.max_idle_connections",
	value: &integer{at: func(c *Config) *int { return &c.Engine.MaxIdleConnections }, def: 1024, min: 1, max: 100_000},
	doc:   "Unused connections to the backend that are kept.",
}, {
	path:  "engine.protocol",
	value: &enum{at: func(c *Config) *string { return &c.Engine.Protocol }, words: []string{HTTP1, HTTP2}, def: HTTP1},
	doc:   "HTTP version to the backend. `http2` over `https://` is spoken where the backend offers it (ALPN), else HTTP/1.1 is; over `http://` it is spoken from the first byte.",
}, {
	path:  "engine.transport",
	value: &enum{at: func(c *Config) *string { return &c.Engine.Transport }, words: []string{AutoTransport, OwnTransport, StdTransport}, def: AutoTransport},
	doc:   "The server's HTTP client: `own` is lean, and speaks HTTP/1.1 without a proxy; `std` is that of Go's net/http; `auto` takes `own`, but `std` for `protocol: http2` and for backends behind the proxy of `HTTPS_PROXY` or `HTTP_PROXY`. Not for the filter.",
}, {
	path:    "engine.tls.ca_file",
	value:   &text{at: func(c *Config) *string { return &c.Engine.TLS.CAFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with the authorities that may have signed the certificates of `https://` backends, in PEM, instead of the system's. It is read again when it changes, as the other files of this section. Not for the filter, where Envoy calls the backend.",
	example: "/etc/antwort/backend/ca.crt",
}, {
	path:    "engine.tls.cert_file",
	value:   &text{at: func(c *Config) *string { return &c.Engine.TLS.CertFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with the certificate that is shown to `https://` backends, and its chain, in PEM.",
	example: "/etc/antwort/backend/tls.crt",
}, {
	path:    "engine.tls.key_file",
	value:   &text{at: func(c *Config) *string { return &c.Engine.TLS.KeyFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with that certificate's private key, in PEM.",
	example: "/etc/antwort/backend/tls.key",
}, {
	path:    "engine.tls.server_name",
	value:   &text{at: func(c *Config) *string { return &c.Engine.TLS.ServerName }, accepts: isName, allowed: "host name"},
	doc:     "Name that the certificates of `https://` backends must have, and that is asked for (SNI), instead of the URL's host.",
	example: "llm.example",
}, {
	path:    "engine.max_requests",
	value:   &integer{at: func(c *Config) *int { return &c.Engine.MaxRequests }, min: 0, max: maxRequests},
	doc:     "Requests at one backend at once; 0 is no bound. Where all of a route have as many, requests are answered 503. Of the backends in `routes` each may have its own.",
	example: "256",
}, {
	path:  "engine.retry.max_attempts",
	value: &integer{at: func(c *Config) *int { return &c.Engine.Retry.MaxAttempts }, def: 3, min: 1, max: 10},
	doc:   "How often a request is sent at most, the first time included; 1 is no retry. Sent again before the first byte of an answer: after connect failures, and with `vllm` after 429 and 503; with several backends to another one, which the server does after any failure of the connection.",
}, {
	path:  "engine.retry.base_delay",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Engine.Retry.BaseDelay }, def: 200 * time.Millisecond, min: time.Millisecond, max: time.Minute},
	doc:   "Wait before the second attempt; it doubles with each further one.",
}, {
	path:  "engine.retry.max_delay",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Engine.Retry.MaxDelay }, def: 5 * time.Second, min: time.Millisecond, max: 10 * time.Minute},
	doc:   "Longest wait between two attempts. A backend whose `Retry-After` asks for more gets no further attempt.",
}}

var translationKeys = []key{{
	path:  "translation.fold_system",
	value: &boolean{at: func(c *Config) *bool { return &c.Translation.FoldSystem }, def: true},
	doc:   "Make one system message, at the beginning, of `instructions` and all system and developer messages: many chat templates refuse more than one, and one that comes later. `false` leaves each in its place.",
}, {
	path:  "translation.reasoning_field",
	value: &enum{at: func(c *Config) *string { return &c.Translation.ReasoningField }, def: "reasoning", words: []string{"reasoning", "reasoning_content"}},
	doc:   "Name under which earlier reasoning is sent to the backend. Both are read. vLLM before 2026 wants `reasoning_content`.",
}, {
	path:  "translation.reasoning_events",
	value: &enum{at: func(c *Config) *string { return &c.Translation.ReasoningEvents }, def: "reasoning_text", words: []string{"reasoning_text", "reasoning"}},
	doc:   "Names of the reasoning events: `response.reasoning_text.delta` as the OpenAI clients expect it, or `response.reasoning.delta` as the Open Responses specification has it.",
}, {
	path:  "translation.reasoning_summary",
	value: &enum{at: func(c *Config) *string { return &c.Translation.ReasoningSummary }, def: Auto, words: []string{Auto, Always, Never}},
	doc:   "When a thought is told as a summary (`response.reasoning_summary_text.delta`, `summary` of the item), as LangChain, the AI SDK and opencode read it, instead of as reasoning text: `auto` is when the request asks for `reasoning.summary`.",
}, {
	path:  "translation.unsupported_tools",
	value: &enum{at: func(c *Config) *string { return &c.Translation.UnsupportedTools }, def: Refuse, words: []string{Refuse, Drop}},
	doc:   "Tools that neither the client nor a model server runs (`web_search`, `file_search`, `mcp` and the like): answer 400, or leave them out and say so in the header `x-antwort-dropped-tools`. Codex needs `drop`, or `web_search = \"disabled\"` in its configuration.",
}, {
	path:  "translation.unknown_fields",
	value: &enum{at: func(c *Config) *string { return &c.Translation.UnknownFields }, def: Pass, words: []string{Pass, Refuse}},
	doc:   "Request fields, and members of `reasoning`, `text`, `text.format` and `stream_options`, that neither API has: pass them to the backend (or echo them, where a backend has no place for them), or answer 400.",
}}

var limitKeys = []key{{
	path:  "limits.request_body_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.Limits.RequestBodyBytes }, def: 32 * mib, min: kib, max: gib},
	doc:   "Body of a request as it arrives; more is answered 413.",
}, {
	path:  "limits.decoded_body_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.Limits.DecodedBodyBytes }, def: 64 * mib, min: kib, max: 4 * gib},
	doc:   "Body of a gzip or zstd request after decompression; more is answered 413.",
}, {
	path:  "limits.response_body_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.Limits.ResponseBodyBytes }, def: 16 * mib, min: kib, max: 4 * gib},
	doc:   "The backend's answer: a whole one as it arrives, a stream by all that it says when it is translated, by its finished items when it is forwarded. A stream over it ends as failed.",
}, {
	path:  "limits.event_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.Limits.EventBytes }, def: 8 * mib, min: kib, max: gib},
	doc:   "One event of the backend's stream.",
}, {
	path:  "limits.json_depth",
	value: &integer{at: func(c *Config) *int { return &c.Limits.JSONDepth }, def: 64, min: 8, max: 300},
	doc:   "Nesting of objects and arrays in a request.",
}, {
	path:  "limits.json_values",
	value: &integer{at: func(c *Config) *int { return &c.Limits.JSONValues }, def: 50_000, min: 100, max: 100_000_000},
	doc:   "JSON values in a request; in an answer that is translated too, but for logprobs and what nobody reads. Of a name or a number each 64 bytes count as one more, and of white space in one place each 32.",
}, {
	path:  "limits.json_escapes",
	value: &integer{at: func(c *Config) *int { return &c.Limits.JSONEscapes }, def: 1_000_000, min: 100, max: 1_000_000_000},
	doc:   "Escapes, such as `\\n`, in the JSON strings of a request. Those of a conversation are some ten thousand; each takes 20 to 60 ns where a text is read. As many are read of its text files and thoughts, and half as many of the arguments of all calls, of a request or of an answer.",
}, {
	path:    "limits.text_bytes",
	value:   &size{at: func(c *Config) *int64 { return &c.Limits.TextBytes }, min: kib, max: 4 * gib, zero: "6MiB in the filter; in the server what the whole body may have"},
	example: "8MiB",
	doc:     "Text that is translated at once: an answer in JSON where a stream was asked; half as much of one event, but for its logprobs; arguments that come as an object, and all those of a request's calls or of a whole answer's; what text files become. A million tokens are some 4 MiB.",
}, {
	path:  "limits.input_items",
	value: &integer{at: func(c *Config) *int { return &c.Limits.InputItems }, def: 10_000, min: 1, max: 1_000_000},
	doc:   "Items in `input`.",
}, {
	path:  "limits.tools",
	value: &integer{at: func(c *Config) *int { return &c.Limits.Tools }, def: 512, min: 1, max: 100_000},
	doc:   "Tools in `tools`.",
}, {
	path:    "limits.in_flight_bytes",
	value:   &size{at: func(c *Config) *int64 { return &c.Limits.InFlightBytes }, min: kib, max: 4 * gib, zero: "96MiB in the filter, 256MiB in the server, or more for larger bodies"},
	example: "256MiB",
	doc:     "All that the requests and answers of a server's process, or of one VM of the filter (each worker has one), hold at a time, what is parsed of them included. New requests beyond three quarters of it, in the filter also beyond half of it for one caller, are answered 503.",
}, {
	path:    "limits.max_requests",
	value:   &integer{at: func(c *Config) *int { return &c.Limits.MaxRequests }, min: 0, max: maxRequests},
	doc:     "Requests of the process at once, streams included; more are answered 503 before anything else is looked at, but for the probes and metrics. 0 is no bound.",
	example: "10000",
}, {
	path:    "limits.rules",
	value:   limitRules{},
	doc:     "How much callers may use, see limits.md: requests at once, requests and tokens a minute, budgets of tokens a day and a month, counted apart for each key, subject, tenant or model (`per`), for those that `match`. Of the rules with the same `per` the first that matches holds. At most 100. Not for the filter.",
	example: `[{"name":"tenants","per":["tenant"],"requests_per_minute":600,"tokens_per_minute":200000,"tokens_per_month":500000000}]`,
}, {
	path:  "limits.default_output_tokens",
	value: &integer{at: func(c *Config) *int { return &c.Limits.DefaultOutputTokens }, def: 1024, min: 1, max: 1 << 20},
	doc:   "Tokens that are reserved for the answer of a request without `max_output_tokens`, until it has ended and those that it has are counted.",
}, {
	path:    "limits.max_counters",
	value:   &integer{at: func(c *Config) *int { return &c.Limits.MaxCounters }, def: 100_000, min: 1000, max: 10_000_000},
	doc:     "Counters that the process keeps with `limits.store: memory`, some 300 bytes each: one for each rule and whom it counts apart, while there is something to count. Who finds no room shares one counter for each rule.",
	restart: Serve,
}, {
	path:    "limits.store",
	value:   &enum{at: func(c *Config) *string { return &c.Limits.Store }, def: MemoryLimits, words: []string{MemoryLimits, RedisLimits}},
	doc:     "Where `limits.rules` are counted: in the process, each by itself, or in a Redis or Valkey that several replicas share, where budgets outlive them.",
	restart: Serve,
}, {
	path:  "limits.on_failure",
	value: &enum{at: func(c *Config) *string { return &c.Limits.OnFailure }, def: Open, words: []string{Open, Closed}},
	doc:   "While Redis, or `limits.service`, cannot be reached: let requests pass uncounted, or answer 503.",
}, {
	path:    "limits.service",
	value:   &baseURL{at: func(c *Config) *string { return &c.Limits.Service }},
	doc:     "For Envoy, with `limits.store: redis`: where an `envoyproxy/ratelimit` counts for several Envoys, by gRPC; `antwort render ratelimit` prints its configuration. `limits.redis.timeout` is how long it may take.",
	example: "http://ratelimit.example:8081",
}, {
	path:    "limits.redis.url",
	value:   &secret{at: func(c *Config) *Secret { return &c.Limits.Redis.URL }},
	doc:     "The server as a URL: `redis://host:6379/0`, with a name and a password in front of the host if it asks for them, `rediss://…` with TLS, or `unix:///path`. Of the three `url` keys exactly one is set with `redis`.",
	restart: Serve,
	example: "…",
}, {
	path:    "limits.redis.url_file",
	value:   &text{at: func(c *Config) *string { return &c.Limits.Redis.URLFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File that holds the URL; line ends after it are ignored.",
	restart: Serve,
	example: "/etc/antwort/redis-url",
}, {
	path:    "limits.redis.url_env",
	value:   &text{at: func(c *Config) *string { return &c.Limits.Redis.URLEnv }, accepts: isVariable, allowed: "name of an environment variable (letters, digits and _)", hidden: true},
	doc:     "Environment variable that holds the URL.",
	restart: Serve,
	example: "REDIS_URL",
}, {
	path:    "limits.redis.prefix",
	value:   &text{at: func(c *Config) *string { return &c.Limits.Redis.Prefix }, def: "antwort-limits", accepts: isRouteName, allowed: "1 to 64 lower-case letters, digits and -"},
	doc:     "What all keys in Redis begin with, in braces. Servers with the same one count together.",
	restart: Serve,
}, {
	path:    "limits.redis.timeout",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Limits.Redis.Timeout }, def: 100 * time.Millisecond, min: time.Millisecond, max: 10 * time.Second},
	doc:     "How long Redis may take to answer. After that it cannot be reached, and is asked again in a second.",
	restart: Serve,
}}

var authKeys = []key{{
	path:  "auth.type",
	value: &enum{at: func(c *Config) *string { return &c.Auth.Type }, def: NoAuth, words: []string{NoAuth, APIKeyAuth, JWTAuth}, note: "for other ways let a proxy in front check who calls"},
	doc:   "Who may call: with `none` everybody who can connect, with `api_key` who has one of `auth.api_keys`, with `jwt` who has a token as `auth.jwt` describes it.",
}, {
	path:    "auth.api_keys",
	value:   &apiKeys{at: func(c *Config) *[]APIKey { return &c.Auth.APIKeys }},
	doc:     "Keys that clients may use, each by its SHA-256, a file or an environment variable, with the caller's `subject` and `tenant` and, perhaps, the `models` that it may use (`*` stands for any text). With `delegate: true` it is a gateway's, which tells with each request who calls. At most 1000.",
	example: `[{"sha256":"` + exampleDigest + `","subject":"alice","tenant":"team-a","models":["llama-*"]}]`,
}, {
	path:    "auth.jwt.issuer",
	value:   &text{at: func(c *Config) *string { return &c.Auth.JWT.Issuer }, accepts: isClaimText, allowed: "1 to 512 printable ASCII characters without spaces"},
	doc:     "What the claim `iss` of a token must be, to the letter. Needed with `auth.type: jwt`.",
	example: "https://issuer.example",
}, {
	path:    "auth.jwt.audiences",
	value:   &texts{at: func(c *Config) *[]string { return &c.Auth.JWT.Audiences }, accepts: isClaimText, allowed: "1 to 512 printable ASCII characters without spaces", max: 20},
	doc:     "One of these must be in the claim `aud` of a token. Needed with `auth.type: jwt`.",
	example: `["antwort"]`,
}, {
	path:    "auth.jwt.jwks_url",
	value:   &baseURL{at: func(c *Config) *string { return &c.Auth.JWT.JWKSURL }, whole: true},
	doc:     "Where the issuer's public keys are (a JSON Web Key Set). Exactly one of `jwks_url` and `jwks_file` is set; the filter alone needs neither, Envoy or Istio checks the tokens.",
	example: "https://issuer.example/jwks.json",
}, {
	path:    "auth.jwt.jwks_file",
	value:   &text{at: func(c *Config) *string { return &c.Auth.JWT.JWKSFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with those keys. It is read again when it changes.",
	example: "/etc/antwort/jwks.json",
}, {
	path:  "auth.jwt.subject_claim",
	value: &text{at: func(c *Config) *string { return &c.Auth.JWT.SubjectClaim }, def: "sub", accepts: isIdentity, allowed: "name of a claim"},
	doc:   "Claim that says who the caller is. A token without it is refused.",
}, {
	path:    "auth.jwt.tenant_claim",
	value:   &text{at: func(c *Config) *string { return &c.Auth.JWT.TenantClaim }, accepts: isIdentity, allowed: "name of a claim"},
	doc:     "Claim that says for whom the caller works. A token without it has no tenant.",
	example: "tenant",
}, {
	path:  "auth.jwt.clock_skew",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Auth.JWT.ClockSkew }, def: time.Minute, min: time.Second, max: 10 * time.Minute, zero: "none"},
	doc:   "How far the issuer's clock may be from ours, for `exp`, `nbf` and `iat`.",
}, {
	path:  "auth.jwt.jwks_refresh",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Auth.JWT.JWKSRefresh }, def: 5 * time.Minute, min: 10 * time.Second, max: 24 * time.Hour},
	doc:   "How long the keys of `jwks_url` are believed before they are asked for again.",
}, {
	path:  "auth.forward_credential",
	value: &boolean{at: func(c *Config) *bool { return &c.Auth.ForwardCredential }},
	doc:   "Pass the client's key or token on to the backend, which then checks it too. Only with `vllm-responses` and without `engine.api_key`.",
}}

// exampleDigest is the SHA-256 of "example".
const exampleDigest = "50d858e0985ecc7f60418aaf0cc5ab587f42c2570a884095a9e8ccacd0f6545c"

var routingKeys = []key{{
	path:  "routing.eject_after",
	value: &integer{at: func(c *Config) *int { return &c.Routing.EjectAfter }, def: 5, min: 1, max: 1000},
	doc:   "A backend that has failed this often in a row gets no requests for a while, if the route has another. Failures are those of its host: no connection, none kept, no header in time; what the model answers is none.",
}, {
	path:  "routing.eject_time",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Routing.EjectTime }, def: 5 * time.Second, min: time.Millisecond, max: time.Hour},
	doc:   "That while. Then one request tries the backend: a success brings it back, a failure ejects it for twice as long.",
}, {
	path:  "routing.max_eject_time",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Routing.MaxEjectTime }, def: time.Minute, min: time.Millisecond, max: 24 * time.Hour},
	doc:   "The longest while.",
}, {
	path:  "routing.models_time",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Routing.ModelsTime }, def: 5 * time.Second, min: time.Millisecond, max: time.Hour, zero: "not at all"},
	doc:   "How long the server keeps what a backend has listed as its models, for callers of whom the backend is told the same. Many who ask at once are one request to it, whatever this says.",
}, {
	path:    "routes",
	value:   routeList{},
	doc:     "Where requests go by model, tenant or header, see routing.md: the first route that matches, and `engine.backend_url` when none does. At most 200.",
	example: `[{"name": "llama", "match": {"models": ["llama-*"]}, "backends": [{"url": "http://llama.example:8000"}]}]`,
}}

var compactionKeys = []key{{
	path:  "compaction.enabled",
	value: &boolean{at: func(c *Config) *bool { return &c.Compaction.Enabled }, def: true},
	doc:   "Whether the server sums up conversations that get too long, with `vllm`: `POST /v1/responses/compact`, items `compaction` and `compaction_trigger`, `context_management`. Compactions are sealed with `state.keys`, else with a key that the store keeps; without either (`state.type` `none` or `memory`) the key ends with the process. The filter sums up with `state.keys` only, and with one request: no `context_management`, and what is too long for the model is refused.",
}, {
	path:  "compaction.max_output_tokens",
	value: &integer{at: func(c *Config) *int { return &c.Compaction.MaxOutputTokens }, def: 2048, min: 16, max: 1 << 20},
	doc:   "How long a summary of a conversation may be, in tokens, reasoning included.",
}, {
	path:    "compaction.prompt_file",
	value:   &text{at: func(c *Config) *string { return &c.Compaction.PromptFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with what the model is told when it sums a conversation up, as the user's last message: a text of at most 64 KiB. It is read at the start, and again when the configuration changes. Without it a text of antwort's own is used. The filter, which sees no files, refuses it where it sums up.",
	example: "/etc/antwort/compaction.txt",
}}

var stateKeys = []key{{
	path:    "state.type",
	value:   &enum{at: func(c *Config) *string { return &c.State.Type }, def: AutoState, words: []string{AutoState, NoState, MemoryState, SQLiteState, PostgresState}},
	doc:     "Where responses are kept, so that they can be read again and continued, see state.md: `memory` is the process, which forgets them when it ends; `sqlite` one file, for one process; `postgres` a database that several processes share; `none` is nowhere. `auto` is `memory` where requests are translated (`vllm`), else `none`. With `vllm-responses` only what is set here is kept, in front of backends that keep nothing; by default they do. The filter keeps nothing.",
	restart: Serve,
}, {
	path:    "state.keys",
	value:   sealingKeys{},
	doc:     "Keys that what clients keep for us is sealed with, each 32 bytes (`openssl rand -base64 32`) in a file or an environment variable, in Base64 or as 64 hexadecimal digits, with an `id` for people: the thoughts in `encrypted_content`. The first seals, all open; every tier with `vllm`, server or filter, has the same. Without keys thoughts are coded, not sealed. At most 16; see state.md for how keys are changed.",
	example: `[{"id":"2026-11","key_env":"STATE_KEY"}]`,
}, {
	path:  "state.encrypt",
	value: &boolean{at: func(c *Config) *bool { return &c.State.Encrypt }},
	doc:   "Whether a database (`sqlite`, `postgres`) has what requests and answers say sealed with `state.keys` (XChaCha20-Poly1305), each text bound to its owner and its place. Ids, digests of owners, times, statuses and sizes stay readable. It may be turned on and off at any time: what was written before is read as it is. A response whose key is gone is 500 `state_unreadable`.",
}, {
	path:  "state.default_store",
	value: &boolean{at: func(c *Config) *bool { return &c.State.DefaultStore }, def: true},
	doc:   "What a request means that does not say `store`. OpenAI stores.",
}, {
	path:  "state.scope",
	value: &enum{at: func(c *Config) *string { return &c.State.Scope }, def: TenantScope, words: []string{TenantScope, SubjectScope}},
	doc:   "Who sees a response: all callers of its `tenant` (the subject, where a caller has no tenant), or its `subject` alone. After a change nobody sees what was kept before.",
}, {
	path:    "state.ttl",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.State.TTL }, min: time.Second, max: 876_000 * time.Hour, zero: "24h in memory, else 720h"},
	doc:     "How long a conversation is kept after its last turn. It goes as a whole: none loses its beginning.",
	example: "720h",
}, {
	path:    "state.conversation_ttl",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.State.ConversationTTL }, min: time.Second, max: 876_000 * time.Hour, zero: "for ever"},
	doc:     "How long a conversation of `/v1/conversations` is kept after its last items, with the responses of it. OpenAI keeps conversations for ever.",
	example: "8760h",
}, {
	path:  "state.conversation_wait",
	value: &duration{at: func(c *Config) *time.Duration { return &c.State.ConversationWait }, def: 5 * time.Second, min: time.Millisecond, max: 5 * time.Minute},
	doc:   "How long a response waits for another one of the same conversation to end; then it is 400 `conversation_locked`.",
}, {
	path:  "state.conversation_lease",
	value: &duration{at: func(c *Config) *time.Duration { return &c.State.ConversationLease }, def: 30 * time.Second, min: 100 * time.Millisecond, max: time.Hour},
	doc:   "After how long without a sign of life of the process that makes a response a conversation is free again. The clock is the store's.",
}, {
	path:  "state.on_failure",
	value: &enum{at: func(c *Config) *string { return &c.State.OnFailure }, def: FailOnFailure, words: []string{FailOnFailure, AnswerOnFailure}},
	doc:   "When the store fails while the model answers: `fail` the request, or give the `answer` and say `store: false` in it.",
}, {
	path:  "state.commit_timeout",
	value: &duration{at: func(c *Config) *time.Duration { return &c.State.CommitTimeout }, def: 10 * time.Second, min: 10 * time.Millisecond, max: 5 * time.Minute},
	doc:   "How long keeping a response is tried. It comes before the end of the answer is told.",
}, {
	path:  "state.open_calls",
	value: &enum{at: func(c *Config) *string { return &c.State.OpenCalls }, def: Refuse, words: []string{Refuse, Fill}},
	doc:   "When a continued conversation has a call of a tool without an output: `refuse` the request with 400, as OpenAI does, or `fill` in the output `(no output)`.",
}, {
	path:  "state.max_depth",
	value: &integer{at: func(c *Config) *int { return &c.State.MaxDepth }, def: 1000, min: 1, max: 100_000},
	doc:   "Turns of a conversation that can be continued; more is 400 `context_too_long`.",
}, {
	path:  "state.max_context_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.State.MaxContextBytes }, def: 32 * mib, min: kib, max: gib},
	doc:   "Input and output of all turns before a request, as text; more is 400 `context_too_long`.",
}, {
	path:  "state.max_input_bytes",
	value: &size{at: func(c *Config) *int64 { return &c.State.MaxInputBytes }, def: 16 * mib, min: kib, max: gib},
	doc:   "Input of one turn that is kept. A larger one is 413 when the request says `store: true`, else the response is not kept.",
}, {
	path:    "state.max_owner_bytes",
	value:   &size{at: func(c *Config) *int64 { return &c.State.MaxOwnerBytes }, min: kib, max: 1 << 50, zero: "no bound"},
	doc:     "What one owner (`state.scope`) may have, looked at once a minute. Beyond it a request that says `store: true` is 429 `state_quota_exceeded`, and others are not kept.",
	example: "10GiB",
}, {
	path:    "state.background.workers",
	value:   &integer{at: func(c *Config) *int { return &c.State.Background.Workers }, def: 8, min: 1, max: 10_000},
	doc:     "Responses with `background: true` that one process works on at a time; others wait.",
	restart: Serve,
}, {
	path:  "state.background.queue",
	value: &integer{at: func(c *Config) *int { return &c.State.Background.Queue }, def: 1000, min: 1, max: 1_000_000},
	doc:   "Responses in the background of one owner (`state.scope`) that have not ended; one more is 429 `background_queue_full`.",
}, {
	path:    "state.background.lease",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.State.Background.Lease }, def: 30 * time.Second, min: 100 * time.Millisecond, max: time.Hour},
	doc:     "After how long without a sign of life of the process that works on a response another takes it over. The clock is the store's.",
	restart: Serve,
}, {
	path:  "state.background.replay",
	value: &duration{at: func(c *Config) *time.Duration { return &c.State.Background.Replay }, def: 10 * time.Minute, min: time.Second, max: 720 * time.Hour},
	doc:   "How long after its end the events of a response in the background can be read again; later is 400 `stream_expired`, and the response itself can still be read.",
}, {
	path:  "state.background.max_time",
	value: &duration{at: func(c *Config) *time.Duration { return &c.State.Background.MaxTime }, def: time.Hour, min: time.Second, max: 168 * time.Hour},
	doc:   "How long one response in the background is worked on before it fails.",
}, {
	path:    "state.memory.max_bytes",
	value:   &size{at: func(c *Config) *int64 { return &c.State.Memory.MaxBytes }, def: 64 * mib, min: mib, max: 1 << 40},
	doc:     "What `memory` may hold. When it is full, the conversations used longest ago go, each as a whole.",
	restart: Serve,
}, {
	path:    "state.sqlite.path",
	value:   &text{at: func(c *Config) *string { return &c.State.SQLite.Path }, accepts: isLine, allowed: "path of a file"},
	doc:     "File of `sqlite`, made when it is not there, on a disk of this machine: with `-wal`, `-shm` and `.lock` beside it. Not on NFS and the like.",
	restart: Serve,
	example: "/var/lib/antwort/state.db",
}, {
	path:    "state.sqlite.sync",
	value:   &enum{at: func(c *Config) *string { return &c.State.SQLite.Sync }, def: FullSync, words: []string{FullSync, NormalSync}},
	doc:     "Whether a response is on the disk before it is told (`full`), or only safe from the end of the process, not of the machine (`normal`).",
	restart: Serve,
}, {
	path:    "state.postgres.dsn",
	value:   &secret{at: func(c *Config) *Secret { return &c.State.Postgres.DSN }},
	doc:     "The database as a URL, `postgres://user:password@host/database?sslmode=verify-full`. Of the three `dsn` keys exactly one is set with `postgres`.",
	restart: Serve,
	example: "…",
}, {
	path:    "state.postgres.dsn_file",
	value:   &text{at: func(c *Config) *string { return &c.State.Postgres.DSNFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File that holds the URL; line ends after it are ignored.",
	restart: Serve,
	example: "/etc/antwort/dsn",
}, {
	path:    "state.postgres.dsn_env",
	value:   &text{at: func(c *Config) *string { return &c.State.Postgres.DSNEnv }, accepts: isVariable, allowed: "name of an environment variable (letters, digits and _)", hidden: true},
	doc:     "Environment variable that holds the URL.",
	restart: Serve,
	example: "DATABASE_URL",
}, {
	path:    "state.postgres.max_connections",
	value:   &integer{at: func(c *Config) *int { return &c.State.Postgres.MaxConnections }, def: 10, min: 1, max: 1000},
	doc:     "Connections of this process to the database.",
	restart: Serve,
}, {
	path:    "state.postgres.migrate",
	value:   &enum{at: func(c *Config) *string { return &c.State.Postgres.Migrate }, def: Auto, words: []string{Auto, CheckOnly}},
	doc:     "Whether the start makes the tables and brings them up to date (`auto`), or only refuses those of another version (`check`), for a user that may not make tables: then `antwort state migrate` makes them.",
	restart: Serve,
}}

var webSocketKeys = []key{{
	path:  "websocket.enabled",
	value: &boolean{at: func(c *Config) *bool { return &c.Websocket.Enabled }, def: true},
	doc:   "Clients may send several requests over one WebSocket, `GET /v1/responses`. `false` answers 426, after which they use HTTP. In the filter and its Envoy, with `vllm-responses`, they pass on to the backend.",
}, {
	path:  "websocket.max_connections",
	value: &integer{at: func(c *Config) *int { return &c.Websocket.MaxConnections }, def: 1000, min: 1, max: 1_000_000},
	doc:   "WebSocket connections at a time; one more is 503.",
}, {
	path:  "websocket.lifetime",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Websocket.Lifetime }, def: time.Hour, min: 10 * time.Millisecond, max: 24 * time.Hour},
	doc:   "How long one WebSocket connection may last. Then it is closed, after the answer that is running, with the error `websocket_connection_limit_reached`.",
}}

var filterKeys = []key{{
	path:  "filter.profile",
	value: &enum{at: func(c *Config) *string { return &c.Filter.Profile }, def: Inline, words: []string{Inline, Gated}},
	doc:   "Filter only: `inline` never holds headers back and works everywhere; `gated` validates the body first, so that errors keep their status, and needs `allow_on_headers_stop_iteration: true` in Envoy's plugin configuration.",
}, {
	path:  "filter.gate_wait",
	value: &duration{at: func(c *Config) *time.Duration { return &c.Filter.GateWait }, def: 5 * time.Second, min: time.Millisecond, max: time.Hour},
	doc:   "Filter only: how long the first gated request waits for its body before it is answered 500, because that setting is missing.",
}, {
	path:  "filter.rate_limits",
	value: &enum{at: func(c *Config) *string { return &c.Filter.RateLimits }, def: NoRateLimits, words: []string{NoRateLimits, CallerRateLimits, ModelRateLimits}},
	doc:   "Filter only: what a rate limit of Envoy's that stands behind the filter counts by. With `callers` the filter marks the requests that it is for with `x-antwort-key`, with `models` (profile `gated`) also with `x-antwort-model`, and gives its answers the shape of the API. What is rendered has what `limits.rules` need, see limits.md.",
}, {
	path:  "filter.tell_tokens",
	value: &boolean{at: func(c *Config) *bool { return &c.Filter.TellTokens }},
	doc:   "Filter only: tell Envoy's rate limit how many tokens each request has used that it counts, as `wasm.antwort_tokens` in the filter state, and ask the backend of translated streams for a count with every piece.",
}}

var observabilityKeys = []key{{
	path:  "observability.metrics.enabled",
	value: &boolean{at: func(c *Config) *bool { return &c.Observability.Metrics.Enabled }, def: true},
	doc:   "Serve Prometheus metrics.",
}, {
	path:  "observability.metrics.path",
	value: &text{at: func(c *Config) *string { return &c.Observability.Metrics.Path }, def: "/metrics", accepts: isMetricsPath, allowed: "path without %, that begins with / and is not under /v1, /health, /healthz, /readyz, /backends, /console or /debug"},
	doc:   "Where the metrics are.",
}, {
	path:    "observability.otlp.endpoint",
	value:   &baseURL{at: func(c *Config) *string { return &c.Observability.OTLP.Endpoint }},
	doc:     "Where traces and metrics go: the base URL of an OpenTelemetry Collector, or of whoever else takes OTLP, see observability.md. Without it nothing is sent. `antwort envoy` tells its Envoy the same.",
	restart: Serve,
	example: "http://collector.example:4318",
}, {
	path:    "observability.otlp.protocol",
	value:   &enum{at: func(c *Config) *string { return &c.Observability.OTLP.Protocol }, def: OTLPHTTP, words: []string{OTLPHTTP, OTLPGRPC}},
	doc:     "How: `http` is Protobuf over HTTP, usually at port 4318, `/v1/traces` and `/v1/metrics` are appended to the URL; `grpc` is gRPC, usually at port 4317.",
	restart: Serve,
}, {
	path:    "observability.otlp.headers",
	value:   &secret{at: func(c *Config) *Secret { return &c.Observability.OTLP.Headers }},
	doc:     "Header fields for whoever takes it, such as a key: `name=value`, several with commas between them, other characters than printable ASCII in `%` and two digits. Of the three `headers` keys at most one is set.",
	restart: Serve,
	example: "…",
}, {
	path:    "observability.otlp.headers_file",
	value:   &text{at: func(c *Config) *string { return &c.Observability.OTLP.HeadersFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File that holds them; line ends after them are ignored.",
	restart: Serve,
	example: "/etc/antwort/otlp-headers",
}, {
	path:    "observability.otlp.headers_env",
	value:   &text{at: func(c *Config) *string { return &c.Observability.OTLP.HeadersEnv }, accepts: isVariable, allowed: "name of an environment variable (letters, digits and _)", hidden: true},
	doc:     "Environment variable that holds them.",
	restart: Serve,
	example: "OTLP_HEADERS",
}, {
	path:    "observability.otlp.ca_file",
	value:   &text{at: func(c *Config) *string { return &c.Observability.OTLP.CAFile }, accepts: isLine, allowed: "path of a file"},
	doc:     "File with the authorities that may have signed the certificate of an `https://` endpoint, in PEM, instead of the system's.",
	restart: Serve,
	example: "/etc/antwort/collector-ca.crt",
}, {
	path:    "observability.otlp.service_name",
	value:   &text{at: func(c *Config) *string { return &c.Observability.OTLP.ServiceName }, def: "antwort", accepts: isIdentity, allowed: anIdentity},
	doc:     "What traces and metrics call this tier (`service.name`). More about the process comes from the variable `OTEL_RESOURCE_ATTRIBUTES`.",
	restart: Serve,
}, {
	path:    "observability.otlp.timeout",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Observability.OTLP.Timeout }, def: 10 * time.Second, min: 10 * time.Millisecond, max: 5 * time.Minute},
	doc:     "How long sending may take, further attempts included. What was not taken by then is dropped, and counted.",
	restart: Serve,
}, {
	path:    "observability.otlp.queue",
	value:   &integer{at: func(c *Config) *int { return &c.Observability.OTLP.Queue }, def: 4096, min: 64, max: 1_000_000},
	doc:     "Spans that wait to be sent, some 2 KB each. Those that find no room are dropped, and counted: no request waits for them.",
	restart: Serve,
}, {
	path:    "observability.otlp.interval",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Observability.OTLP.Interval }, def: 2 * time.Second, min: 10 * time.Millisecond, max: 5 * time.Minute},
	doc:     "How long a span waits at most for others to be sent with.",
	restart: Serve,
}, {
	path:    "observability.otlp.metrics_interval",
	value:   &duration{at: func(c *Config) *time.Duration { return &c.Observability.OTLP.MetricsInterval }, min: time.Second, max: time.Hour, zero: "never"},
	doc:     "How often the metrics are sent too, for whoever does not scrape them.",
	restart: Serve,
	example: "30s",
}, {
	path:  "observability.tracing.sample_ratio",
	value: &share{at: func(c *Config) *int { return &c.Observability.Tracing.SampleRatio }, def: 1_000_000},
	doc:   "Of the requests without a trace of their own (`traceparent`) so many are traced: 1 is all, 0.01 one in a hundred. A request with one is traced if its sender does.",
}, {
	path:    "observability.capture",
	value:   &size{at: func(c *Config) *int64 { return &c.Observability.Capture }, min: 1, max: 64 * kib, zero: "nothing of them"},
	example: "4KiB",
	doc:     "How much of what a request and its answer say goes into its trace (`gen_ai.input.messages`, `gen_ai.output.messages`), each, and how much of each stored text the console shows. Whoever may read those then reads what people write.",
}, {
	path:    "observability.log.level",
	value:   &enum{at: func(c *Config) *string { return &c.Observability.Log.Level }, def: "info", words: []string{"debug", "info", "warn", "error"}},
	doc:     "Least severity that is logged.",
	restart: Serve | Envoy,
}, {
	path:    "observability.log.format",
	value:   &enum{at: func(c *Config) *string { return &c.Observability.Log.Format }, def: "json", words: []string{"json", "text"}},
	doc:     "Form of a log line.",
	restart: Serve | Envoy,
}}
