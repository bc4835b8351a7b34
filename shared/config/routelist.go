package config

import (
	"strconv"
	"time"

	"github.com/valyala/fastjson"
)

// routeList is the list routes. In the environment it is its JSON.
type routeList struct{ hiddenList }

func (routeList) kind() string { return "list" }
func (routeList) values() string {
	return "objects with `name`, `match`, `balance`, `max_load_percent` and `backends`"
}

func (routeList) want() string {
	return "a list of objects with name, match, balance, max_load_percent and backends"
}

func (routeList) reset(c *Config) { c.Routes = nil }

func (k routeList) set(c *Config, in input) bool {
	if in.form != variable {
		return false
	}
	routes, problems := k.parse(in.text)
	if problems == nil {
		c.Routes = routes
	}
	return problems == nil
}

func (k routeList) explain(in input) string {
	if in.form != variable {
		return ""
	}
	if _, problems := k.parse(in.text); len(problems) > 0 {
		return problems[0].Error()
	}
	return ""
}

func (routeList) parse(text string) ([]Route, Problems) {
	v, problem := parseList(text)
	if problem != "" {
		return nil, Problems{{Text: problem}}
	}
	var r reader
	return r.routes("routes", v), r.problems
}

func (routeList) read(r *reader, path string, v *fastjson.Value) {
	before := len(r.problems)
	if routes := r.routes(path, v); len(r.problems) == before {
		r.config.Routes = routes
	}
}

func (r *reader) routes(path string, v *fastjson.Value) []Route {
	entries := v.GetArray()
	if len(entries) > maxRoutes {
		r.problems.add(path, "", "has "+strconv.Itoa(len(entries))+" routes, at most "+strconv.Itoa(maxRoutes)+" are allowed")
		return nil
	}
	routes := make([]Route, len(entries))
	for i, entry := range entries {
		r.route(routeAt(i), entry, &routes[i])
	}
	return routes
}

func (r *reader) route(path string, v *fastjson.Value, route *Route) {
	route.Balance, route.MaxLoad = LeastRequest, defaultMaxLoad
	ok := r.object(path, v, []member{
		{"name", textAt(&route.Name, isRouteName, "1 to 64 lower-case letters, digits and -", false)},
		{"match", func(r *reader, path string, v *fastjson.Value) { r.match(path, v, &route.Match) }},
		{"balance", textAt(&route.Balance, oneOf(LeastRequest, Affinity), LeastRequest+" or "+Affinity, false)},
		{"max_load_percent", integerAt(&route.MaxLoad, 101, 1000)},
		{"backends", func(r *reader, path string, v *fastjson.Value) { r.backends(path, v, &route.Backends) }},
	}, nil)
	if !ok {
		return
	}
	if route.Name == "" {
		r.problems.add(path, "", "name must be set: what logs and metrics call the route")
	}
	if len(route.Backends) == 0 {
		r.problems.add(path, "", "backends must be set: where the requests go")
	}
}

func (r *reader) match(path string, v *fastjson.Value, m *Match) {
	r.object(path, v, []member{
		{"models", textsAt(&m.Models, maxMatches, isLine, "a name, in which * stands for any text")},
		{"tenants", textsAt(&m.Tenants, maxMatches, isIdentity, anIdentity)},
		{"headers", func(r *reader, path string, v *fastjson.Value) { r.headers(path, v, m) }},
	}, nil)
}

func (r *reader) headers(path string, v *fastjson.Value, m *Match) {
	object, err := v.Object()
	if err != nil || object.Len() == 0 || object.Len() > maxMatches {
		r.problems.add(path, "", "want an object with 1 to "+strconv.Itoa(maxMatches)+" names of fields and their values")
		return
	}
	seen := make(map[string]bool, object.Len())
	object.Visit(func(name []byte, v *fastjson.Value) {
		at := path + "." + string(name)
		switch {
		case seen[string(name)]:
			r.problems.add(at, "", "the key occurs twice")
		case !isFieldName(name):
			r.problems.add(at, "", "want the name of a header field in lower case, but not one of a credential, of the connection, or x-antwort-…")
		default:
			field := HeaderMatch{Name: string(name)}
			textAt(&field.Value, isFieldValue, "1 to 256 printable ASCII characters", false)(r, at, v)
			m.Headers = append(m.Headers, field)
		}
		seen[string(name)] = true
	})
}

func (r *reader) backends(path string, v *fastjson.Value, backends *[]Backend) {
	entries := v.GetArray()
	if len(entries) == 0 || len(entries) > maxBackends {
		r.problems.add(path, "", "want a list of 1 to "+strconv.Itoa(maxBackends)+" objects with url")
		return
	}
	list := make([]Backend, len(entries))
	for i, entry := range entries {
		r.backend(entryAt(path, i), entry, &list[i])
	}
	*backends = list
}

func (r *reader) backend(path string, v *fastjson.Value, b *Backend) {
	b.Weight = 1
	ok := r.object(path, v, []member{
		{"url", urlAt(&b.URL)},
		{"provider", textAt((*string)(&b.Provider), oneOf(string(VLLM), string(VLLMResponses)), string(VLLM)+" or "+string(VLLMResponses), false)},
		{"weight", integerAt(&b.Weight, 1, 1000)},
		{"priority", integerAt(&b.Priority, 0, 9)},
		{"max_requests", integerAt(&b.MaxRequests, 1, maxRequests)},
		{"model", textAt(&b.Model, isLine, "1 to 512 bytes without control characters", false)},
		{"api_key_file", textAt(&b.APIKeyFile, isLine, "path of a file", true)},
		{"api_key_env", textAt(&b.APIKeyEnv, isVariable, "name of an environment variable (letters, digits and _)", true)},
		{"connect_timeout", durationAt(&b.ConnectTimeout, 5*time.Minute)},
		{"response_timeout", durationAt(&b.ResponseTimeout, 24*time.Hour)},
		{"stream_idle_timeout", durationAt(&b.StreamIdleTimeout, 24*time.Hour)},
		{"protocol", textAt(&b.Protocol, oneOf(HTTP1, HTTP2), HTTP1+" or "+HTTP2, false)},
		{"transport", textAt(&b.Transport, oneOf(AutoTransport, OwnTransport, StdTransport), AutoTransport+", "+OwnTransport+" or "+StdTransport, false)},
		{"tls", func(r *reader, path string, v *fastjson.Value) { r.backendTLS(path, v, &b.TLS) }},
	}, func(name string) string {
		if name == "api_key" || name == "key" {
			return "keys are not written in a list: give api_key_file or api_key_env"
		}
		return ""
	})
	if ok && b.URL == "" {
		r.problems.add(path, "", "url must be set, to "+new(baseURL).want())
	}
}

// urlAt reads a base URL.
//
//go:noinline
func urlAt(at *string) func(*reader, string, *fastjson.Value) {
	return func(r *reader, path string, v *fastjson.Value) {
		in, problem := fromJSON(v), ""
		if in.isText() {
			if *at, problem = parseBase(in.text); problem == "" {
				return
			}
			problem = "; " + problem
		}
		r.problems.add(path, "", "got "+new(baseURL).redact(in)+", want "+new(baseURL).want()+problem)
	}
}

func (routeList) text(c *Config) string {
	if len(c.Routes) == 0 {
		return ""
	}
	dst := []byte{'['}
	for i := range c.Routes {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = c.Routes[i].appendJSON(dst)
	}
	return string(append(dst, ']'))
}

func (routeList) isDefault(c, _ *Config) bool { return len(c.Routes) == 0 }

func (route *Route) appendJSON(dst []byte) []byte {
	w := objectWriter{dst: dst}
	w.text("name", route.Name)
	if m := &route.Match; !m.all() {
		w.name("match")
		match := objectWriter{dst: w.dst}
		match.texts("models", m.Models)
		match.texts("tenants", m.Tenants)
		if len(m.Headers) > 0 {
			match.name("headers")
			headers := objectWriter{dst: match.dst}
			for _, h := range m.Headers {
				headers.text(h.Name, h.Value)
			}
			match.dst = headers.end()
		}
		w.dst = match.end()
	}
	if route.Balance != LeastRequest {
		w.text("balance", route.Balance)
	}
	w.integer("max_load_percent", route.MaxLoad, defaultMaxLoad)
	w.name("backends")
	w.dst = append(w.dst, '[')
	for i := range route.Backends {
		if i > 0 {
			w.dst = append(w.dst, ',')
		}
		w.dst = route.Backends[i].appendJSON(w.dst)
	}
	w.dst = append(w.dst, ']')
	return w.end()
}

func (b *Backend) appendJSON(dst []byte) []byte {
	w := objectWriter{dst: dst}
	w.text("url", b.URL)
	w.text("provider", string(b.Provider))
	w.integer("weight", b.Weight, 1)
	w.integer("priority", b.Priority, 0)
	w.integer("max_requests", b.MaxRequests, 0)
	w.text("model", b.Model)
	w.text("api_key_file", b.APIKeyFile)
	w.text("api_key_env", b.APIKeyEnv)
	w.duration("connect_timeout", b.ConnectTimeout)
	w.duration("response_timeout", b.ResponseTimeout)
	w.duration("stream_idle_timeout", b.StreamIdleTimeout)
	w.text("protocol", b.Protocol)
	w.text("transport", b.Transport)
	b.TLS.appendJSON(&w)
	return w.end()
}
