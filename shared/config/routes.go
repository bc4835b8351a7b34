package config

import (
	"slices"
	"strings"
)

// AllRoutes are the routes with what they take from engine filled in, and last
// the one of engine.backend_url, when that is set. A configuration without
// routes has this one only.
func (c *Config) AllRoutes() []Route {
	all := make([]Route, 0, len(c.Routes)+1)
	for _, route := range c.Routes {
		route.Backends = slices.Clone(route.Backends)
		for i := range route.Backends {
			b := &route.Backends[i]
			if b.Provider == "" {
				b.Provider = c.Engine.Provider
			}
			inherit(&b.ConnectTimeout, c.Engine.ConnectTimeout)
			inherit(&b.ResponseTimeout, c.Engine.ResponseTimeout)
			inherit(&b.StreamIdleTimeout, c.Engine.StreamIdleTimeout)
			inherit(&b.Protocol, c.Engine.Protocol)
			inherit(&b.Transport, c.Engine.Transport)
			inherit(&b.MaxRequests, c.Engine.MaxRequests)
			if b.secure() {
				inherit(&b.TLS, c.Engine.TLS)
			}
		}
		all = append(all, route)
	}
	if e := &c.Engine; e.BackendURL != "" {
		all = append(all, Route{Name: DefaultRoute, Balance: LeastRequest, MaxLoad: defaultMaxLoad, Backends: []Backend{{
			URL: e.BackendURL, Provider: e.Provider, Weight: 1, APIKey: e.APIKey, APIKeyFile: e.APIKeyFile, APIKeyEnv: e.APIKeyEnv,
			ConnectTimeout: e.ConnectTimeout, ResponseTimeout: e.ResponseTimeout, StreamIdleTimeout: e.StreamIdleTimeout,
			Protocol: e.Protocol, Transport: e.Transport, TLS: e.TLS, MaxRequests: e.MaxRequests,
		}}})
	}
	return all
}

func inherit[T comparable](to *T, from T) {
	var unset T
	if *to == unset {
		*to = from
	}
}

// validateRoutes checks the routes among each other and, for the filter, what
// it and the Envoy around it can do.
func (c *Config) validateRoutes(ps *Problems, filter bool) {
	names := make(map[string]int, len(c.Routes))
	catchAll := -1
	for i, route := range c.Routes {
		at := routeAt(i)
		if before, twice := names[route.Name]; twice {
			ps.add(at+".name", "", "the same name as "+routeAt(before))
		}
		names[route.Name] = i
		if route.Name == DefaultRoute {
			ps.add(at+".name", "", DefaultRoute+" is the route of engine.backend_url: take another name")
		}
		if catchAll >= 0 {
			ps.add(at, "", "is never used: "+routeAt(catchAll)+" in front of it matches every request")
		} else if route.Match.all() {
			catchAll = i
		}
		c.validateBackends(ps, at, route.Backends, filter)
		if filter && c.Filter.Profile != Gated {
			c.validateInline(ps, at, &route)
		}
	}
	if catchAll >= 0 && c.Engine.BackendURL != "" && !filter {
		ps.add("engine.backend_url", "", "is never used: "+routeAt(catchAll)+" matches every request; leave one of them out")
	}
}

func (c *Config) validateBackends(ps *Problems, route string, backends []Backend, filter bool) {
	provider := func(b *Backend) Provider {
		if b.Provider == "" {
			return c.Engine.Provider
		}
		return b.Provider
	}
	for i := range backends {
		b, first := &backends[i], &backends[0]
		at := backendAt(route, i)
		for j := range i {
			if backends[j].URL == b.URL {
				ps.add(at+".url", "", "the same as "+backendAt(route, j)+".url: give that one more weight instead")
				break
			}
		}
		if provider(b) != provider(first) {
			ps.add(at+".provider", "", "the backends of a route must have one provider, as their answers differ otherwise: make a route of each")
		}
		if b.APIKeyFile != "" && b.APIKeyEnv != "" {
			ps.add(at, "", "set only one of api_key_file and api_key_env")
		}
		if !filter {
			continue
		}
		if provider(b) != c.Engine.Provider {
			ps.add(at+".provider", "", "the filter has one provider, "+string(c.Engine.Provider)+" by engine.provider: run another filter for this route, or antwort serve")
		}
		if b.APIKeyFile != "" {
			ps.add(at+".api_key_file", "", "the filter sees no files: use api_key_env with a variable of vmConfig.env")
		}
		if b.Model != first.Model || b.APIKeyEnv != first.APIKeyEnv {
			ps.add(at, "", "in Envoy the backends of a route must have the same model and api_key: Envoy chooses among them after the filter; make a route of each")
		}
	}
}

// validateInline refuses what needs the request's body before its headers go on.
func (c *Config) validateInline(ps *Problems, at string, route *Route) {
	const gated = " needs filter.profile gated: in inline the headers have gone on before the body is read"
	if len(route.Match.Models) > 0 {
		ps.add(at+".match.models", "", "to choose by model"+gated)
	}
	if route.Balance == Affinity {
		ps.add(at+".balance", "", "affinity"+gated)
	}
	if route.Backends[0].Model != "" && c.Engine.Provider == VLLMResponses {
		ps.add(backendAt(at, 0)+".model", "", "to send another name in a forwarded request"+gated)
	}
}

// InlineLacks are what the routes ask for that the filter cannot do in its
// profile inline, in words.
func (c *Config) InlineLacks() []string {
	var ps Problems
	for i := range c.Routes {
		c.validateInline(&ps, routeAt(i), &c.Routes[i])
	}
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Error()
	}
	return texts
}

// resolveRoutes reads the keys of backends.
func (c *Config) resolveRoutes(ps *Problems, lookup func(string) (string, bool), readFile func(string) ([]byte, error)) {
	c.Routes = c.routesWithKeys(func(i, j int, b *Backend) {
		path, found, problem := resolveSecret(backendAt(routeAt(i), j)+".api_key", b.APIKeyFile, b.APIKeyEnv, lookup, readFile)
		if problem != "" {
			ps.add(path, "", problem)
			return
		}
		b.APIKey = NewSecret(found)
	})
}

// routesForFilter are the routes with their keys as variables of the VM.
func (c *Config) routesForFilter(vars []Variable) ([]Route, []Variable) {
	routes := c.routesWithKeys(func(i, _ int, b *Backend) {
		if b.APIKeyEnv == "" && b.APIKey.IsSet() {
			b.APIKeyEnv, b.APIKeyFile = variableOfRoute(c.Routes[i].Name), ""
		}
		for b.APIKeyEnv != "" {
			at := slices.IndexFunc(vars, func(v Variable) bool { return v.Name == b.APIKeyEnv })
			if at < 0 {
				vars = append(vars, Variable{b.APIKeyEnv, b.APIKey})
				break
			}
			if vars[at].Value.Reveal() == b.APIKey.Reveal() {
				break
			}
			b.APIKeyEnv += "_" // another key has the name
		}
		b.APIKey = Secret{}
	})
	return routes, vars
}

// routesWithKeys are the routes, which may be shared, after change has seen a copy
// of every backend that has a key, the one at [i].backends[j].
func (c *Config) routesWithKeys(change func(i, j int, b *Backend)) []Route {
	routes := slices.Clone(c.Routes)
	for i := range routes {
		routes[i].Backends = slices.Clone(routes[i].Backends)
		for j := range routes[i].Backends {
			if b := &routes[i].Backends[j]; b.APIKeyFile != "" || b.APIKeyEnv != "" {
				change(i, j, b)
			}
		}
	}
	return routes
}

// variableOfRoute is the VM's variable of the key of a route whose key is in a
// file. The keys of its backends are the same there.
func variableOfRoute(name string) string {
	return "ROUTE_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) + "_API_KEY"
}
