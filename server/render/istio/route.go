package istio

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"antwort/shared/config"
)

// route leads the requests that the filter has named so to its Services; the
// last one may have no name and takes the others.
type route struct {
	Name     string
	Suffix   string // of its resource's name
	Backends []weighted
}

type weighted struct {
	backend
	Weight int // 0: it is the only one
}

// destination is how a Service is called.
type destination struct {
	Suffix   string
	Host     string
	TLS      bool
	Connect  string
	Affinity bool
	Most     int             // requests at once; 0: any number
	Ejects   *config.Routing // of routes only
}

// routing are the routes of c and the Services that they lead to. The error
// names what Istio cannot do.
func routing(c *config.Config) (routes []route, destinations []destination, err error) {
	first := map[string]string{} // key of a Service's first backend
	for i, from := range c.AllRoutes() {
		r := route{Name: from.Name, Suffix: "-" + from.Name}
		at := "routes[" + strconv.Itoa(i) + "]"
		isDefault := from.Name == config.DefaultRoute
		if isDefault {
			r.Name, r.Suffix = "", ""
		}
		if from.Balance == config.Affinity && len(from.Backends) > 1 {
			return nil, nil, fmt.Errorf("%s.balance: Istio keeps conversations together among the pods of one Service, not among Services: put them behind one, or use antwort envoy", at)
		}
		for j, b := range from.Backends {
			key := at + ".backends[" + strconv.Itoa(j) + "]"
			if b.Priority != from.Backends[0].Priority {
				return nil, nil, fmt.Errorf("%s.priority: Istio chooses among Services by weight only: leave it out, or use antwort envoy", key)
			}
			to, err := parseBackend(b.URL)
			if err != nil {
				if isDefault {
					return nil, nil, fmt.Errorf("engine.backend_url: %w", err)
				}
				return nil, nil, fmt.Errorf("%s.url: %w", key, err)
			}
			if err := ofServices(&b); err != nil {
				if isDefault {
					key = "engine"
				}
				return nil, nil, fmt.Errorf("%s.%w", key, err)
			}
			w := weighted{backend: to}
			if len(from.Backends) > 1 {
				w.Weight = b.Weight
			}
			r.Backends = append(r.Backends, w)
			d := destination{Suffix: r.Suffix, Host: to.Host(), TLS: to.TLS, Connect: seconds(b.ConnectTimeout), Affinity: from.Balance == config.Affinity, Most: most(c, &b)}
			if j > 0 {
				d.Suffix += "." + strconv.Itoa(j) // no route is called so
			}
			if !isDefault {
				d.Ejects = &c.Routing
			}
			if before, has := first[d.Host]; has {
				if !same(destinations, d) {
					return nil, nil, fmt.Errorf("%s: Istio has one way to call a Service, and %s calls this one in another: give them the same TLS, connect_timeout, max_requests and balance", key, before)
				}
				continue
			}
			first[d.Host] = key
			destinations = append(destinations, d)
		}
		routes = append(routes, r)
	}
	return routes, destinations, nil
}

// same reports whether the Service is called in this way already.
func same(all []destination, d destination) bool {
	for _, other := range all {
		if other.Host == d.Host {
			d.Suffix, d.Ejects, other.Suffix, other.Ejects = "", nil, "", nil
			return reflect.DeepEqual(other, d)
		}
	}
	return false
}

// silence is how long nothing may come on a stream. Envoy has one time for both
// waits, the one for the header and the one between two events, and the
// gateway's listener one for all routes.
func silence(c *config.Config) time.Duration {
	longest := max(c.Engine.ResponseTimeout, c.Engine.StreamIdleTimeout)
	for _, r := range c.AllRoutes() {
		for _, b := range r.Backends {
			longest = max(longest, b.ResponseTimeout, b.StreamIdleTimeout)
		}
	}
	return longest
}

// refuse names what Istio has its own place for.
func refuse(c *config.Config) error {
	var defaults = config.Default()
	j := &c.Auth.JWT
	switch {
	case c.Limits.MaxRequests > 0 && services(c) > 1:
		return fmt.Errorf("limits.max_requests: a gateway of Istio counts the requests to each Service by itself: give the backends max_requests (engine.max_requests is for all of them)")
	case c.Server.TLS.On():
		return fmt.Errorf("server.tls: a gateway of Istio has its certificate from a Secret: leave this out and give the Gateway a listener with tls")
	case len(c.Server.TrustedProxies) > 0:
		return fmt.Errorf("server.trusted_proxies: Istio counts trusted proxies: leave this out and set gatewayTopology.numTrustedProxies in proxy.istio.io/config")
	case len(c.Server.CORS.AllowedOrigins) > 0:
		return fmt.Errorf("server.cors: Istio answers preflights behind the filter, which refuses them: leave this out and serve browsers by antwort serve or antwort envoy")
	case c.Observability.OTLP.Endpoint != "":
		return fmt.Errorf("observability.otlp: Istio's gateway traces as its Telemetry says: leave this out, and see docs/observability.md")
	case j.JWKSFile != "":
		return fmt.Errorf("auth.jwt.jwks_file: Istio's gateway sees no files: give auth.jwt.jwks_url")
	case j.ClockSkew != defaults.Auth.JWT.ClockSkew:
		return fmt.Errorf("auth.jwt.clock_skew: Istio always allows %s: leave it out", defaults.Auth.JWT.ClockSkew)
	case j.JWKSRefresh != defaults.Auth.JWT.JWKSRefresh:
		return fmt.Errorf("auth.jwt.jwks_refresh: istiod asks for keys as its PILOT_JWT_PUB_KEY_REFRESH_INTERVAL says: leave it out")
	}
	return nil
}

// services is how many backends there are.
func services(c *config.Config) (n int) {
	for _, route := range c.AllRoutes() {
		n += len(route.Backends)
	}
	return n
}

// most is how many requests a Service may have of one pod of the gateway at once; 0: any number.
func most(c *config.Config, b *config.Backend) int {
	if of := c.Limits.MaxRequests; of > 0 && (b.MaxRequests == 0 || of < b.MaxRequests) {
		return of // it is the only one
	}
	return b.MaxRequests
}

// ofServices refuses what Istio's resources say of a Service, not its callers.
func ofServices(b *config.Backend) error {
	switch {
	case b.TLS != config.BackendTLS{}:
		return errors.New("tls: in Istio the certificates for a Service are those of a DestinationRule, by names of Secrets: leave it out, and write them there")
	case b.Protocol == config.HTTP2:
		return errors.New("protocol: in Istio the name of a Service's port, or its appProtocol, says HTTP/2: leave it out, and write it there")
	}
	return nil
}
