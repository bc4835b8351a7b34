package cli

import (
	"net"
	"strconv"
	"strings"

	"antwort/server/console"
	"antwort/shared/config"
)

// statement is one line of what a configuration means.
type statement struct{ about, text string }

// meaning says in plain words what a configuration makes the server do.
func meaning(c *config.Config) []statement {
	say := func(about string, parts ...string) statement { return statement{about, strings.Join(parts, "")} }
	text := c.Text
	all := append([]statement{
		say("listens on", listens(c)),
		say("endpoints", endpoints(c)),
		say("admin port", admin(c)),
		say("proxies", proxies(c)),
	}, destinations(c)...)
	return append(append(all,
		say("model", model(c)),
		say("requests", text("limits.request_body_bytes"), " at most, ", text("limits.decoded_body_bytes"), " decompressed, ",
			text("limits.input_items"), " input items, ", text("limits.tools"), " tools"),
		say("answers", text("limits.response_body_bytes"), " at most, within ", text("engine.response_timeout"),
			"; connecting within ", text("engine.connect_timeout")),
		say("streams", "as long as they like, ended after ", text("engine.stream_idle_timeout"), " of silence, events of at most ",
			text("limits.event_bytes"), "; ", keepAlive(c)),
		say("retries", retries(c)),
		say("shutdown", "running requests have ", text("server.drain_timeout"), " to finish"),
		say("callers", callers(c)),
		say("overload", overload(c)),
	), append(limits(c),
		say("state", kept(c)),
		say("sealed", sealed(c)),
		say("compaction", compacted(c)),
		say("metrics", metrics(c)),
		say("traces", traces(c)),
		say("log", text("observability.log.level"), " and worse, as ", text("observability.log.format"), ", on standard error"),
	)...)
}

func listens(c *config.Config) string {
	listen := net.JoinHostPort(c.Server.Host, strconv.Itoa(c.Server.Port))
	if c.Server.Port == 0 {
		listen = c.Server.Host + ", on any free port"
	}
	if c.Server.TLS.On() {
		listen += ", HTTPS only, with the certificate in " + c.Server.TLS.CertFile
	}
	return listen
}

func endpoints(c *config.Config) string {
	all := "/v1/responses and /v1/models"
	if len(c.Engine.Pass) > 0 {
		all += "; passed on unchanged: " + strings.Join(c.Engine.Pass, ", ")
	}
	if origins := c.Server.CORS.AllowedOrigins; len(origins) > 0 {
		all += "; for pages of " + strings.Join(origins, ", ")
	}
	return all
}

func admin(c *config.Config) string {
	if c.Server.Admin.Port == 0 {
		return "none"
	}
	text := net.JoinHostPort(c.Server.Admin.Host, strconv.Itoa(c.Server.Admin.Port)) + ", for all who can connect: probes, metrics, backends, profiles"
	switch {
	case c.Server.Admin.HasToken():
		text += "; the console at " + console.Path + " for who has the token"
	case c.Server.Admin.IsLoopback():
		text += ", the console at " + console.Path
	default:
		return text
	}
	if c.Observability.Capture > 0 && c.StateType() != config.NoState {
		text += ", with up to " + c.Text("observability.capture") + " of each stored text"
	}
	return text
}

func proxies(c *config.Config) string {
	if len(c.Server.TrustedProxies) == 0 {
		return "nobody is believed about X-Forwarded-…"
	}
	return "believed about X-Forwarded-…: " + strings.Join(c.Server.TrustedProxies, ", ")
}

// provider says what becomes of requests to a backend; of several when url is
// empty.
func provider(c *config.Config, p config.Provider, url string) string {
	if p == config.VLLMResponses {
		return "vllm-responses: requests, answers and events are forwarded as they came to " + url + "/v1/responses"
	}
	tools, fields := "refused", "passed on"
	if c.Translation.UnsupportedTools == config.Drop {
		tools = "left out"
	}
	if c.Translation.UnknownFields == config.Refuse {
		fields = "refused"
	}
	return "vllm: requests are translated to " + url + "/v1/chat/completions; unsupported tools are " + tools + ", unknown fields " + fields
}

func model(c *config.Config) string {
	switch {
	case !c.Translates():
		return "as the request says"
	case c.Engine.DefaultModel != "":
		return c.Engine.DefaultModel + ", when a request names none"
	default:
		return "every request must name one"
	}
}

func callers(c *config.Config) string {
	if c.Auth.Type == config.NoAuth {
		return "everybody who can connect: there is no authentication"
	}
	if c.Auth.Type == config.JWTAuth {
		return bearers(c)
	}
	restricted := 0
	for _, k := range c.Auth.APIKeys {
		if len(k.Models) > 0 {
			restricted++
		}
	}
	text := "who has one of " + strconv.Itoa(len(c.Auth.APIKeys)) + " API keys, " + strconv.Itoa(restricted) + " of them for certain models only"
	if c.Auth.ForwardCredential {
		return text + "; the key is passed on to the backend"
	}
	return text + "; the backend is told the caller, not the key"
}

// bearers says whose tokens are believed.
func bearers(c *config.Config) string {
	j := c.Auth.JWT
	keys := keysURL(c) + ", asked for every " + c.Text("auth.jwt.jwks_refresh")
	if j.JWKSFile != "" {
		keys = j.JWKSFile
	}
	text := "who has a token of " + j.Issuer + " for " + strings.Join(j.Audiences, " or ") + ", checked with the keys of " + keys +
		"; the caller is its claim " + j.SubjectClaim
	if j.TenantClaim != "" {
		text += ", the tenant its claim " + j.TenantClaim
	}
	if c.Auth.ForwardCredential {
		return text + "; the token is passed on to the backend"
	}
	return text + "; the backend is told the caller, not the token"
}

// keysURL is where the issuer's keys are, without the query: it may have a key.
func keysURL(c *config.Config) string {
	url, _, _ := strings.Cut(c.Auth.JWT.JWKSURL, "?")
	return url
}

func keepAlive(c *config.Config) string {
	if c.Server.KeepAliveInterval == 0 {
		return "no keep-alives"
	}
	return "a comment line after every " + c.Text("server.keepalive_interval") + " of silence"
}

func retries(c *config.Config) string {
	if c.Engine.Retry.MaxAttempts == 1 {
		return "none"
	}
	when := "connect failures, 429 and 503"
	if !c.Translates() {
		when = "connect failures"
	}
	return c.Text("engine.retry.max_attempts") + " attempts in all after " + when + ", " +
		c.Text("engine.retry.base_delay") + " to " + c.Text("engine.retry.max_delay") + " apart"
}

func metrics(c *config.Config) string {
	if !c.Observability.Metrics.Enabled {
		return "off"
	}
	if c.Server.Admin.Port != 0 {
		return "at " + c.Observability.Metrics.Path + " of the admin port"
	}
	return "at " + c.Observability.Metrics.Path
}

// warnings are what is allowed but probably not meant.
func warnings(c *config.Config) []string {
	var w []string
	if !c.Translates() {
		if c.Engine.DefaultModel != "" {
			w = append(w, "engine.default_model: no effect, vllm-responses changes no request")
		}
		if c.Translation != config.Default().Translation {
			w = append(w, "translation: no effect, vllm-responses translates nothing")
		}
	}
	if c.NeedsGate() && c.Filter.Profile != config.Gated {
		w = append(w, "auth.api_keys: the filter takes keys with models only in filter.profile gated; antwort serve takes them")
	}
	if url, clear := strings.CutPrefix(keysURL(c), "http://"); clear {
		w = append(w, "auth.jwt.jwks_url: the keys come in clear, and whoever is between here and "+url+" can put others in their place: use https://, unless that is nobody")
	}
	for _, network := range c.Server.TrustedProxies {
		if strings.HasSuffix(network, "/0") {
			w = append(w, "server.trusted_proxies: with "+network+" every client is believed, and can call itself by any address")
		}
	}
	if a := &c.Server.Admin; a.Port != 0 && !a.HasToken() && !a.IsLoopback() {
		w = append(w, "server.admin.token_file: is not set, so antwort serve has no console: others reach "+a.Host+", and a console without a token is for loopback addresses only")
	}
	w = append(w, stateWarnings(c)...)
	w = append(w, traceWarnings(c)...)
	w = append(w, inlineLacks(c)...)
	if c.Server.KeepAliveInterval >= c.Engine.StreamIdleTimeout {
		w = append(w, "server.keepalive_interval: no effect, engine.stream_idle_timeout ends a stream before")
	}
	return w
}
