// Package config is the one schema of the configuration, for the native server
// and for the filter alike.
//
// The table in table.go is its single source: the parser, the environment
// overlay, the JSON Schema and the reference are read from it. A configuration
// is made in this order, later ones winning:
//
//	defaults < file < ANTWORT_… environment variables < *_file and *_env references
//
// [Load] does all of it and reports every problem at once. The file is JSON
// here; who has YAML turns it into JSON first.
//
// The package runs inside the filter too and so keeps to fastjson and a few
// packages of the standard library.
package config

import "time"

// Config is one valid configuration. It must not be changed after [Load]: it is
// shared by all requests, and a changed file makes a new one.
type Config struct {
	_ [0]func() // no ==, which would compare the addresses of secrets: see Equal

	Server        Server
	Engine        Engine
	Translation   Translation
	Limits        Limits
	Auth          Auth
	Routing       Routing
	Routes        []Route // see AllRoutes
	State         State
	Compaction    Compaction
	Websocket     Websocket
	Filter        Filter
	Observability Observability
}

// Server is how the native server listens.
type Server struct {
	Host              string
	Port              int // 0: any free port
	ReadHeaderTimeout time.Duration
	ReadTimeout       time.Duration // of the request's body
	IdleTimeout       time.Duration
	DrainTimeout      time.Duration // 0: streams end at once
	KeepAliveInterval time.Duration // 0: no keep-alives
	MaxHeaderBytes    int
	TakeOver          bool // streams have their connection to themselves
	TLS               TLS
	TrustedProxies    []string // IP addresses and networks
	CORS              CORS
	Admin             Admin
}

// Websocket is how clients may send their requests over one connection.
type Websocket struct {
	Enabled        bool
	MaxConnections int
	Lifetime       time.Duration // of one
}

// CORS is which pages in browsers may use the server.
type CORS struct {
	AllowedOrigins []string // of pages, or "*"; none: no page
}

// TLS is the server's certificate; without one it speaks HTTP in clear.
type TLS struct {
	CertFile string // PEM, the chain, the server's own certificate first
	KeyFile  string // PEM
}

// On reports whether the server speaks HTTPS.
func (t TLS) On() bool { return t.CertFile != "" }

// Admin is the port for those who run the server.
type Admin struct {
	Host      string
	Port      int    // 0: there is none
	Token     Secret // that the console asks for, whichever way it was given, after ResolveSecrets
	TokenFile string
	TokenEnv  string
}

// Provider is the API that the backend speaks.
type Provider string

// The providers that there are.
const (
	VLLM          Provider = "vllm"           // Chat Completions: requests are translated
	VLLMResponses Provider = "vllm-responses" // Responses: requests are forwarded
)

// Engine is the backend and how it is called.
type Engine struct {
	Provider Provider
	// BackendURL is the base to which "/v1/…" is appended: absolute, without
	// trailing slash and without a trailing /v1.
	BackendURL         string
	DefaultModel       string
	Pass               []string // other endpoints, as in /v1/…; one may end in /*
	CountTokens        string   // Tokenize, CompletionCount or Off
	APIKey             Secret   // whichever way it was given, after ResolveSecrets
	APIKeyFile         string
	APIKeyEnv          string
	ConnectTimeout     time.Duration
	ResponseTimeout    time.Duration // whole answers: until the header
	StreamIdleTimeout  time.Duration
	MaxIdleConnections int
	Protocol           string // HTTP1 or HTTP2
	Transport          string // AutoTransport, OwnTransport or StdTransport
	TLS                BackendTLS
	MaxRequests        int // at one backend at once; 0: no bound
	Retry              Retry
}

// Compaction is how conversations are summed up that get too long.
type Compaction struct {
	Enabled         bool
	MaxOutputTokens int    // of a summary
	PromptFile      string // what the model is told; "": the text that comes along
}

// Values of engine.count_tokens.
const (
	Tokenize        = "tokenize"
	CompletionCount = "completion"
	Off             = "off"
)

// Values of engine.protocol.
const (
	HTTP1 = "http1"
	HTTP2 = "http2"
)

// Values of engine.transport.
const (
	AutoTransport = "auto"
	OwnTransport  = "own"
	StdTransport  = "std"
)

// BackendTLS is how backends with an https:// URL are called.
type BackendTLS struct {
	CAFile     string // PEM, the authorities that are trusted; "": the system's
	CertFile   string // PEM, the certificate to show, with its chain; "": none
	KeyFile    string // PEM
	ServerName string // that the backend's certificate must have; "": the URL's host
}

// Retry is how often and how fast a request is sent again before its first byte
// was answered.
type Retry struct {
	MaxAttempts int // the first one included: 1 is no retry
	BaseDelay   time.Duration
	MaxDelay    time.Duration
}

// Values of translation.reasoning_summary.
const (
	Auto   = "auto"
	Always = "always"
	Never  = "never"
)

// Values of translation.unsupported_tools and translation.unknown_fields.
const (
	Refuse = "refuse"
	Drop   = "drop"
	Pass   = "pass"
)

// Translation is how provider vllm fills the gaps between the two APIs.
type Translation struct {
	FoldSystem       bool
	ReasoningField   string // ReasoningField or ReasoningContentField
	ReasoningEvents  string // reasoning_text or reasoning
	ReasoningSummary string // Auto, Always or Never
	UnsupportedTools string // Refuse or Drop
	UnknownFields    string // Pass or Refuse
}

// Limits bound what one request may cost.
type Limits struct {
	RequestBodyBytes  int64
	DecodedBodyBytes  int64
	ResponseBodyBytes int64
	EventBytes        int64
	JSONDepth         int
	JSONValues        int
	JSONEscapes       int
	TextBytes         int64 // 0: see FilterText; elsewhere the bounds of whole bodies and events hold
	InputItems        int
	Tools             int
	InFlightBytes     int64 // 0: see InFlight

	MaxRequests         int         // of the process at once; 0: no bound
	Rules               *LimitRules // nil: there are none
	DefaultOutputTokens int         // that an answer is taken to have, where its request does not bound it
	MaxCounters         int         // of the process
	Store               string      // of counts: MemoryLimits or RedisLimits
	OnFailure           string      // of the store: Open or Closed
	Service             string      // base URL of who counts for several Envoys; empty: nobody does
	Redis               LimitsRedis
}

// LimitsRedis is the store of counts that several processes share.
type LimitsRedis struct {
	URL     Secret // whichever way it was given, after ResolveSecrets
	URLFile string
	URLEnv  string
	Prefix  string // of all keys
	Timeout time.Duration
}

// Values of limits.store.
const (
	MemoryLimits = "memory"
	RedisLimits  = "redis"
)

// Values of limits.on_failure.
const (
	Open   = "open"
	Closed = "closed"
)

// InFlight returns how many bytes all exchanges of a server's process, or of a
// filter's VM, may hold.
func (l *Limits) InFlight(filter bool) int64 {
	switch {
	case l.InFlightBytes > 0:
		return l.InFlightBytes
	case filter:
		return max(96*mib, l.RequestBodyBytes)
	default:
		return max(256*mib, 4*l.DecodedBodyBytes)
	}
}

// FilterText returns how many bytes of text the filter translates at once.
func (l *Limits) FilterText() int64 {
	if l.TextBytes == 0 {
		return 6 * mib
	}
	return l.TextBytes
}

// Auth is who may call.
type Auth struct {
	Type              string // NoAuth, APIKeyAuth or JWTAuth
	APIKeys           []APIKey
	JWT               JWT
	ForwardCredential bool // the client's credential is for the backend too
}

// Values of auth.type.
const (
	NoAuth     = "none"
	APIKeyAuth = "api_key"
	JWTAuth    = "jwt"
)

// JWT is which tokens are believed, and who their bearers are.
type JWT struct {
	Issuer       string
	Audiences    []string // one of them must be among the token's
	JWKSURL      string   // where the issuer's keys are; or JWKSFile
	JWKSFile     string
	SubjectClaim string
	TenantClaim  string // "": callers have no tenant
	ClockSkew    time.Duration
	JWKSRefresh  time.Duration
}

// State is what is kept of responses, so that they can be read again and continued.
type State struct {
	Type              string        // AutoState, NoState, MemoryState, SQLiteState or PostgresState: see StateType
	DefaultStore      bool          // requests that do not say store are stored
	Scope             string        // TenantScope or SubjectScope
	Keys              []SealingKey  // the first seals
	Encrypt           bool          // what a database holds of requests and answers is sealed
	TTL               time.Duration // 0: see StateTTL
	ConversationTTL   time.Duration // 0: for ever
	ConversationWait  time.Duration
	ConversationLease time.Duration
	OnFailure         string // FailOnFailure or AnswerOnFailure
	CommitTimeout     time.Duration
	OpenCalls         string // Refuse or Fill
	MaxDepth          int
	MaxContextBytes   int64
	MaxInputBytes     int64
	MaxOwnerBytes     int64 // 0: no bound
	Background        StateBackground
	Memory            StateMemory
	SQLite            StateSQLite
	Postgres          StatePostgres
}

// EncryptsState reports whether what is kept is sealed where it is kept.
func (c *Config) EncryptsState() bool {
	kind := c.StateType()
	return c.State.Encrypt && (kind == SQLiteState || kind == PostgresState)
}

// SealsState reports whether there are keys to seal with.
func (c *Config) SealsState() bool { return len(c.State.Keys) > 0 }

// StateBackground is how responses are worked on while nobody waits for them.
type StateBackground struct {
	Workers int           // responses at a time
	Queue   int           // of one owner, that have not ended
	Lease   time.Duration // without a sign of life of a process, before another goes on
	Replay  time.Duration // of events, after the end
	MaxTime time.Duration // of one response
}

// StateMemory is the store in the process.
type StateMemory struct {
	MaxBytes int64
}

// StateSQLite is the store in a file.
type StateSQLite struct {
	Path string
	Sync string // FullSync or NormalSync
}

// StatePostgres is the store in a database.
type StatePostgres struct {
	DSN            Secret // whichever way it was given, after ResolveSecrets
	DSNFile        string
	DSNEnv         string
	MaxConnections int
	Migrate        string // Auto or CheckOnly
}

// Values of state.type.
const (
	AutoState     = "auto"
	NoState       = "none"
	MemoryState   = "memory"
	SQLiteState   = "sqlite"
	PostgresState = "postgres"
)

// Values of state.scope.
const (
	TenantScope  = "tenant"
	SubjectScope = "subject"
)

// Values of state.on_failure.
const (
	FailOnFailure   = "fail"
	AnswerOnFailure = "answer"
)

// Fill is a value of state.open_calls, beside Refuse.
const Fill = "fill"

// Values of state.sqlite.sync.
const (
	FullSync   = "full"
	NormalSync = "normal"
)

// CheckOnly is a value of state.postgres.migrate, beside Auto.
const CheckOnly = "check"

// Values of filter.profile.
const (
	Inline = "inline"
	Gated  = "gated"
)

// Filter is how the filter works inside Envoy.
type Filter struct {
	Profile  string // Inline or Gated
	GateWait time.Duration

	// RateLimits is what Envoy's rate limit behind the filter counts by: NoRateLimits,
	// CallerRateLimits or ModelRateLimits.
	RateLimits string
	// TellTokens says that Envoy's rate limit counts tokens: it is told how many a request
	// has used, also of a stream that breaks off.
	TellTokens bool
}

// Values of filter.rate_limits.
const (
	NoRateLimits     = "none"
	CallerRateLimits = "callers"
	ModelRateLimits  = "models"
)

// Observability is what can be seen from outside.
type Observability struct {
	Metrics Metrics
	OTLP    OTLP
	Tracing Tracing
	Capture int64 // bytes of what a request and its answer say, each, in its trace
	Log     Log
}

// OTLP is where traces and metrics are sent.
type OTLP struct {
	Endpoint        string // base URL; "": nowhere
	Protocol        string // OTLPHTTP or OTLPGRPC
	Headers         Secret // whichever way they were given, after ResolveSecrets
	HeadersFile     string
	HeadersEnv      string
	CAFile          string // PEM, the authorities that are trusted; "": the system's
	ServiceName     string
	Timeout         time.Duration // of sending
	Queue           int           // spans that wait
	Interval        time.Duration // between two times of sending
	MetricsInterval time.Duration // 0: metrics are not sent
}

// Values of observability.otlp.protocol.
const (
	OTLPHTTP = "http"
	OTLPGRPC = "grpc"
)

// Tracing is which requests are traced, where there is an endpoint for OTLP.
type Tracing struct {
	SampleRatio int // in millionths
}

// Metrics is the Prometheus endpoint.
type Metrics struct {
	Enabled bool
	Path    string
}

// Log is the log on standard error.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // json or text
}
