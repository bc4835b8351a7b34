// Package istio turns the one configuration into manifests for Istio: a gateway
// that runs the filter in front of a Service of the cluster. It is pure: nothing
// is read, resolved or contacted.
//
//	gateway ─ routes ─ Services of engine.backend_url and of routes
//	   └ filter: a WasmPlugin (profile inline) or an EnvoyFilter (profile gated)
package istio

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"strings"
	"text/template"

	"antwort/server/render/envoy"
	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/goccy/go-yaml"
)

// API is how the gateway and its routes are written.
type API string

// The APIs that Istio takes.
const (
	GatewayAPI API = "gateway-api" // Gateway, HTTPRoute; istiod makes the pods
	Classic    API = "classic"     // Gateway, VirtualService and an injected Deployment
)

// Options are what the manifests need beyond the configuration.
type Options struct {
	API API
	// Name is the gateway's, and that of everything that belongs to it.
	Name string
	// Image is the filter's: REGISTRY/antwort-filter:TAG, or …@sha256:DIGEST,
	// which the gateway then verifies.
	Image string
	// PullSecret names a Secret with the registry's credentials, "" for none.
	PullSecret string
	// HeapBytes bounds what the gateway's Envoy has allocated for all of its
	// clients, where it translates; 0: it has no bound.
	HeapBytes int64
}

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").Funcs(template.FuncMap{"indent": indent, "seconds": seconds}).ParseFS(files, "templates/*.yaml"))

// values are what the templates say.
type values struct {
	Options
	Port          int // the gateway's
	Routes        []route
	Destinations  []destination
	Translates    bool
	Passes        []policy.PassedPath
	Tokenizes     bool
	Denied        []string // paths that are the filter's, and no client's
	Gated         bool
	Silence       string // as Istio writes durations
	Token         *config.JWT
	TokenReplies  string   // with Token: JSON of Envoy's local_reply_config
	RateLimits    []string // JSON of Envoy's filters, in their order
	LimitsService string   // JSON of the cluster that they ask; "": they ask nobody
	AnswerPiece   int      // bytes
	Heap          string   // JSON of the bootstrap that bounds Envoy's heap; "": nothing does
	Plugin        string   // the filter's configuration as YAML
	PluginJSON    string   // and as JSON
	Variables     []config.Variable
}

// Render prints the manifests of c, YAML documents without a namespace. Secrets
// are not in it: the filter reads them from the gateway's environment. The
// error names the key that Istio cannot do.
func Render(c *config.Config, o Options) ([]byte, error) {
	if err := refuse(c); err != nil {
		return nil, err
	}
	routes, destinations, err := routing(c)
	if err != nil {
		return nil, err
	}
	filter, variables := c.ForFilter()
	plugin, err := pluginConfig(filter)
	if err != nil {
		return nil, err
	}
	v := values{
		Options:      o,
		Port:         c.Server.Port,
		Routes:       routes,
		Destinations: destinations,
		Translates:   c.Engine.Provider == config.VLLM,
		Passes:       policy.PassedPaths(c.Engine.Pass),
		Tokenizes:    c.Engine.CountTokens == config.Tokenize,
		Denied:       envoy.FilterPaths(c),
		Gated:        c.Filter.Profile == config.Gated,
		Silence:      seconds(silence(c)),
		AnswerPiece:  envoy.Piece,
		Plugin:       plugin,
		PluginJSON:   string(filter.AppendJSON(nil)),
		Variables:    variables,
	}
	if c.Auth.Type == config.JWTAuth {
		v.Token = &c.Auth.JWT
		replies, err := envoy.TokenReplies(o.Name + "-token")
		if err != nil {
			return nil, err
		}
		v.TokenReplies = string(replies)
	}
	if len(c.Limits.Rules.All()) > 0 {
		if problems := envoy.Unkept(c); problems != nil {
			return nil, errors.Join(problems...)
		}
		limits, err := envoy.RateLimit(c)
		if err != nil {
			return nil, err
		}
		for _, filter := range limits {
			v.RateLimits = append(v.RateLimits, string(filter))
		}
		service, err := envoy.LimitsCluster(c)
		if err != nil {
			return nil, err
		}
		v.LimitsService = string(service)
	}
	if v.Translates && o.HeapBytes > 0 {
		heap, err := envoy.HeapBootstrap(o.HeapBytes)
		if err != nil {
			return nil, err
		}
		v.Heap = string(heap)
	}
	documents := []string{string(o.API) + ".yaml", "heap.yaml", "destination.yaml", "wasmplugin.yaml", "envoyfilter.yaml", "ratelimit.yaml", "deny.yaml", "token.yaml"}
	var out bytes.Buffer
	for _, name := range documents {
		var doc bytes.Buffer
		if err := templates.ExecuteTemplate(&doc, name, v); err != nil {
			return nil, err
		}
		if text := strings.TrimSpace(doc.String()); text != "" {
			if out.Len() > 0 {
				out.WriteString("---\n")
			}
			out.WriteString(text + "\n")
		}
	}
	return out.Bytes(), nil
}

// pluginConfig is what the filter reads. Where it goes is the route's affair,
// but the URL says so to whoever reads the plugin.
func pluginConfig(c *config.Config) (string, error) {
	text, err := yaml.JSONToYAML(c.AppendJSON(nil))
	if err != nil {
		return "", fmt.Errorf("plugin configuration: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

func indent(n int, s string) string {
	return strings.ReplaceAll(s, "\n", "\n"+strings.Repeat(" ", n))
}
