package envoy

import (
	"fmt"
	"path"
	"time"

	"antwort/shared/config"
)

// Options are what Envoy's configuration needs beyond ours.
type Options struct {
	// Module is the path of filter.wasm as Envoy sees it.
	Module string
	// Roots is the path of the PEM file with the authorities that are trusted
	// when a backend's URL or auth.jwt.jwks_url is https.
	Roots string
	// Admin is where Envoy's admin interface listens: "127.0.0.1:9901", or the
	// path of a Unix socket.
	Admin string
	// Workers are the threads that serve requests; 0 where it is not known.
	Workers int
	// Supervised is nil for an Envoy that runs by itself.
	Supervised *Supervised
}

// Supervised is what an Envoy that runs as a child process gets.
type Supervised struct {
	// Folder holds the files of Files. Envoy reads a file again when another
	// one is moved to its place.
	Folder string
	// Control is the Unix socket on which the parent answers /healthz, /readyz
	// and /metrics.
	Control string
	// Upstream is the Unix socket on which Envoy passes the parent's own
	// requests to the backend.
	Upstream string
	// Certificate and Key are what server.tls names, in PEM, and JWKS what
	// auth.jwt.jwks_file names.
	Certificate, Key, JWKS []byte
	// Backends are the contents of the files that engine.tls and backends of
	// routes name, by path.
	Backends map[string][]byte
	// Generation names the plugin's VM. A new name makes a new VM, which takes
	// seconds; it is needed only when the VM's environment changes.
	Generation int
	// Editions are those of the routes' clusters, see NextEditions.
	Editions map[string]Edition
	// Keeps says that this Envoy, 1.36 or later, can be told how much of a request it is to
	// keep.
	Keeps bool
}

// Names of the files of a supervised Envoy.
const (
	BootstrapFile = "bootstrap.json"
	ListenersFile = "listeners.json"
	ClustersFile  = "clusters.json"
	RoutesFile    = "routes.json"
	PluginFile    = "plugin.json"

	TokensFile       = "tokens.json"       // with auth.type jwt only
	LimitsFile       = "limits.json"       // with limits.rules only, where each Envoy counts for itself
	SharedLimitsFile = "sharedlimits.json" // where limits.service counts
	CertificateFile  = "certificate.json"  // with server.tls only
)

// renderer holds what all parts are made of.
type renderer struct {
	c      *config.Config
	o      Options
	listen address
	admins address // where server.admin is; no port: nowhere
	pools  []pool
	// Of the configuration before, while a change is under way: pools that are
	// not in this one, those that have another cluster in this one, and its
	// provider.
	leaving, replaced []pool
	was               config.Provider
}

func newRenderer(c *config.Config, o Options) (*renderer, error) {
	r := &renderer{c: c, o: o}
	err := unkept(c)
	if err != nil {
		return nil, err
	}
	if r.listen, err = listenAddress("server.host", c.Server.Host, c.Server.Port); err != nil {
		return nil, err
	}
	if r.admins, err = listenAddress("server.admin.host", c.Server.Admin.Host, c.Server.Admin.Port); err != nil {
		return nil, err
	}
	var editions map[string]Edition
	if o.Supervised != nil {
		editions = o.Supervised.Editions
	}
	if err = untraced(c, o.Supervised != nil); err != nil {
		return nil, err
	}
	if c.Limits.Service != "" {
		if _, err := parseBackend(c.Limits.Service); err != nil {
			return nil, fmt.Errorf("limits.service: %w", err)
		}
	}
	if r.pools, err = pools(c, editions); err != nil {
		return nil, err
	}
	if c.Auth.JWT.JWKSURL != "" {
		if _, err := parseBackend(c.Auth.JWT.JWKSURL); err != nil {
			return nil, fmt.Errorf("auth.jwt.jwks_url: %w", err)
		}
	}
	return r, nil
}

func listenAddress(key, host string, port int) (address, error) {
	at := host
	if at == "localhost" {
		at = "127.0.0.1"
	}
	a, ok := ipAddress(at, port)
	if !ok {
		return address{}, fmt.Errorf("%s: Envoy listens on IP addresses only, got the name %q: give its address, or 0.0.0.0", key, host)
	}
	return a, nil
}

// separateAdmin reports whether metrics have a port of their own.
func (r *renderer) separateAdmin() bool { return r.admins.port != 0 }

// source tells Envoy to read a file, and to read it again when another one is
// moved to its place.
func (r *renderer) source(file string) object {
	return object{
		{"resource_api_version", "V3"},
		{"path_config_source", object{{"path", path.Join(r.o.Supervised.Folder, file)}}},
	}
}

// byToken reports whether Envoy verifies tokens.
func (r *renderer) byToken() bool { return r.c.Auth.Type == config.JWTAuth }

// discovered is a filter whose configuration is in a file of its own: a change
// holds for the next request of every connection.
func (r *renderer) discovered(name, file, message string) object {
	return object{{"name", name}, {"config_discovery", object{
		{"config_source", r.source(file)},
		{"type_urls", list{"type.googleapis.com/" + message}},
	}}}
}

// translates reports whether the filter does, or has done so before a change that is
// under way.
func (r *renderer) translates() bool {
	return r.c.Engine.Provider == config.VLLM || r.was == config.VLLM
}

// silence is how long nothing may come on a stream while its route is not known;
// then the route says it.
func (r *renderer) silence() time.Duration {
	longest := max(r.c.Engine.ResponseTimeout, r.c.Engine.StreamIdleTimeout)
	for i := range r.pools {
		longest = max(longest, r.pools[i].silence())
	}
	return longest
}
