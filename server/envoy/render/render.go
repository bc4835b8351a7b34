// Package render turns the one configuration into Envoy's: a bootstrap that is
// complete in itself, or one that takes its resources from files which can be
// exchanged while Envoy runs. It is pure: nothing is read, resolved or run.
//
//	listener ─ HTTP connection manager ─ filters: tokens, rbac, decompressors, plugin, router
//	                                   └ routes ─ clusters backend (engine.backend_url), route-NAME
package render

import (
	"crypto/sha256"
	"fmt"
	"path"

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
}

// Document is a rendered configuration.
type Document interface {
	JSON() ([]byte, error)
	YAML() ([]byte, error)
}

// Bootstrap is the whole configuration of an Envoy that runs by itself. Secrets
// are not in it: the plugin reads them from Envoy's environment, see
// [config.Config.ForFilter]. The error names the key that Envoy cannot do.
func Bootstrap(c *config.Config, o Options) (Document, error) {
	r, err := newRenderer(c, o)
	if err != nil {
		return nil, err
	}
	return object{
		{"admin", r.admin()},
		{"application_log_config", applicationLog()},
		{"stats_config", statsConfig()},
		{"overload_manager", overloadManager()},
		{"static_resources", object{
			{"listeners", r.listeners()},
			{"clusters", r.clusters()},
		}},
	}, nil
}

// File is one file of a supervised Envoy.
type File struct {
	// Version names the content; Envoy says by it which one it has. The
	// bootstrap has none, as Envoy reads it once.
	Version string
	JSON    []byte
}

// Files are the configuration of a supervised Envoy by name of file:
// BootstrapFile, and the resources that can be exchanged one by one while it
// runs. Secrets that are resolved in c are in them in clear, so they must be
// nobody else's to read.
func Files(c *config.Config, o Options) (map[string]File, error) {
	r, err := newRenderer(c, o)
	if err != nil {
		return nil, err
	}
	return r.files()
}

func (r *renderer) files() (map[string]File, error) {
	bootstrap, err := object{
		{"node", object{{"id", "antwort"}, {"cluster", "antwort"}}}, // wanted by every xDS
		{"admin", r.admin()},
		{"stats_config", statsConfig()},
		{"overload_manager", overloadManager()},
		{"dynamic_resources", object{
			{"lds_config", r.source(ListenersFile)},
			{"cds_config", r.source(ClustersFile)},
		}},
	}.JSON()
	if err != nil {
		return nil, err
	}
	all := map[string]File{BootstrapFile: {JSON: bootstrap}}
	contents := map[string]list{
		ListenersFile: typedAll("envoy.config.listener.v3.Listener", r.listeners()...),
		ClustersFile:  typedAll("envoy.config.cluster.v3.Cluster", r.clusters()...),
		RoutesFile:    typedAll("envoy.config.route.v3.RouteConfiguration", r.routes()),
		PluginFile:    typedAll("envoy.config.core.v3.TypedExtensionConfig", r.plugin()),
	}
	if r.byToken() {
		contents[TokensFile] = typedAll("envoy.config.core.v3.TypedExtensionConfig", r.tokens())
	}
	if r.c.Server.TLS.On() {
		contents[CertificateFile] = typedAll("envoy.extensions.transport_sockets.tls.v3.Secret", r.certificate())
	}
	for name, content := range contents {
		if all[name], err = resources(content); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// Names of the files of a supervised Envoy.
const (
	BootstrapFile = "bootstrap.json"
	ListenersFile = "listeners.json"
	ClustersFile  = "clusters.json"
	RoutesFile    = "routes.json"
	PluginFile    = "plugin.json"

	TokensFile      = "tokens.json"      // with auth.type jwt only
	CertificateFile = "certificate.json" // with server.tls only
)

// renderer holds what all parts are made of.
type renderer struct {
	c      *config.Config
	o      Options
	listen address
	admins address // where server.admin is; no port: nowhere
	pools  []pool
	// Of the configuration before, while a change is under way: pools that are
	// not in this one, those that have another cluster in this one, and whether
	// its filter translates.
	leaving, replaced []pool
	translated        bool
}

func newRenderer(c *config.Config, o Options) (*renderer, error) {
	r := &renderer{c: c, o: o}
	var err error
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

func typedAll(message string, messages ...any) list {
	all := make(list, len(messages))
	for i, m := range messages {
		all[i] = typed(message, m.(object))
	}
	return all
}

// resources is a file of the file-based xDS, with its hash as its version.
func resources(content list) (File, error) {
	text, err := marshal(content)
	if err != nil {
		return File{}, err
	}
	version := fmt.Sprintf("%x", sha256.Sum256(text))[:16]
	doc, err := object{{"version_info", version}, {"resources", content}}.JSON()
	return File{version, doc}, err
}

// source tells Envoy to read a file, and to read it again when another one is
// moved to its place.
func (r *renderer) source(file string) object {
	return object{
		{"resource_api_version", "V3"},
		{"path_config_source", object{{"path", path.Join(r.o.Supervised.Folder, file)}}},
	}
}

func (r *renderer) admin() object {
	return object{{"address", socket(r.o.Admin)}}
}

// applicationLog makes Envoy's own log JSON lines, as ours are.
func applicationLog() object {
	return object{{"log_format", object{{"json_format", object{
		{"time", "%Y-%m-%dT%T.%e%z"}, {"level", "%l"}, {"logger", "%n"}, {"msg", "%j"},
	}}}}}
}

// maxConnections of clients protect the file descriptors of the process.
const maxConnections = 50_000

func overloadManager() object {
	return object{{"resource_monitors", list{extension("envoy.resource_monitors.global_downstream_max_connections",
		"envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
		object{{"max_active_downstream_connections", maxConnections}})}}}
}

// statsConfig keeps the statistics that say something about this gateway. Envoy
// has many more, and keeps each of them for each worker. The last part of a
// name that the filter gives becomes a label, as in the native server.
func statsConfig() object {
	var patterns list
	for _, prefix := range []string{
		"wasm",
		"http.api.downstream_", "http.api.no_route", "http.api.rbac.", "http.api.jwt_authn.", "http.api.rds.", "extension_config_discovery.", "sds.server.",
		"cluster.backend.membership_", "cluster.backend.upstream_", "cluster.backend.health_check.", "cluster.backend.outlier_detection.ejections_",
		"cluster_manager.cds.", "cluster_manager.warming_clusters", "listener_manager.lds.", "listener_manager.total_",
		"server.",
	} {
		patterns = append(patterns, object{{"prefix", prefix}})
	}
	// Bounded load counts what is in flight by a cluster's own statistics.
	patterns = append(patterns, object{{"safe_regex", object{{"regex",
		`cluster\.(route-[a-z0-9-]+|jwks)\.(membership_|upstream_|health_check\.|outlier_detection\.ejections_).*`}}}})
	return object{
		{"stats_tags", list{object{{"tag_name", "kind"}, {"regex", `^wasmcustom\.antwort\.(?:failures|tokens)_total(\.([a-z_]+))$`}}}},
		{"stats_matcher", object{{"inclusion_list", object{{"patterns", patterns}}}}},
	}
}
