// Package envoy turns the one configuration into Envoy's: a bootstrap that is
// complete in itself, or one that takes its resources from files which can be
// exchanged while Envoy runs. It is pure: nothing is read, resolved or run. The
// configuration has been checked before it enters; an error names the key that
// Envoy cannot do.
//
//	configuration ─ pools ─ renderer ─ parts ─ Bootstrap, Files, Between
//
// What comes out:
//
//	listener ─ HTTP connection manager ─ filters: tokens, rbac, decompressors, plugin, limits, router
//	                                   └ routes ─ clusters backend (engine.backend_url), route-NAME
package envoy

import (
	"crypto/sha256"
	"fmt"

	"antwort/shared/config"
)

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
		{"overload_manager", r.overloadManager()},
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
		{"overload_manager", r.overloadManager()},
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
	if r.limited() {
		_, file, _ := limitsFile(r.c)
		contents[file] = typedAll("envoy.config.core.v3.TypedExtensionConfig", limits(r.c))
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

func (r *renderer) admin() object {
	return object{{"address", socket(r.o.Admin)}}
}

// applicationLog makes Envoy's own log JSON lines, as ours are.
func applicationLog() object {
	return object{{"log_format", object{{"json_format", object{
		{"time", "%Y-%m-%dT%T.%e%z"}, {"level", "%l"}, {"logger", "%n"}, {"msg", "%j"},
	}}}}}
}

// statsConfig keeps the statistics that say something about this gateway. Envoy
// has many more, and keeps each of them for each worker. The last parts of a
// name that the filter gives become labels, as in the native server, and its times fall into the
// same buckets.
func statsConfig() object {
	var patterns list
	for _, prefix := range []string{
		"wasm",
		"http.api.downstream_", "http.api.no_route", "http.api.rbac.", "http.api.jwt_authn.", "limits.http_local_rate_limit.", "http.api.rds.", "extension_config_discovery.", "sds.server.",
		"cluster.backend.membership_", "cluster.backend.upstream_", "cluster.backend.health_check.", "cluster.backend.ratelimit.", "cluster.backend.outlier_detection.ejections_",
		"cluster_manager.cds.", "cluster_manager.warming_clusters", "listener_manager.lds.", "listener_manager.total_",
		"server.",
	} {
		patterns = append(patterns, object{{"prefix", prefix}})
	}
	// Bounded load counts what is in flight by a cluster's own statistics.
	patterns = append(patterns, object{{"safe_regex", object{{"regex",
		`cluster\.(route-[a-z0-9-]+|jwks|otlp|limits)\.(membership_|upstream_|ratelimit\.|health_check\.|outlier_detection\.ejections_).*`}}}})
	return object{
		{"stats_tags", list{
			object{{"tag_name", "kind"}, {"regex", `^wasmcustom\.antwort\.(?:failures|tokens)_total(\.([a-z_]+))$`}},
			object{{"tag_name", "endpoint"}, {"regex", `^wasmcustom\.antwort\.requests_total(\.(.+))\.[0-9]+$`}},
			object{{"tag_name", "code"}, {"regex", `^wasmcustom\.antwort\.requests_total\..+(\.([0-9]+))$`}},
		}},
		{"histogram_bucket_settings", list{object{
			{"match", object{{"exact", "wasmcustom.antwort.time_to_first_token_ms"}}},
			{"buckets", list{1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000}},
		}}},
		{"stats_matcher", object{{"inclusion_list", object{{"patterns", patterns}}}}},
	}
}
