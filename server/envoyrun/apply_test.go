package envoyrun

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"antwort/server/render/envoy"
	"antwort/shared/config"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fakeEnvoy takes the files of a folder, but for one subscription that it
// refuses once it changes.
type fakeEnvoy struct {
	g       *gateway
	refuses string
	mu      sync.Mutex
	taken   []string          // in their order
	has     map[string]string // versions, by file
	open    []bool            // whether the default route was, each time it took a filter
}

func (e *fakeEnvoy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := strings.NewReplacer("^", "", "$", "", `\`, "").Replace(r.URL.Query().Get("filter"))
	for _, s := range subscriptions {
		text, err := os.ReadFile(e.g.path(s.file))
		if err != nil {
			continue
		}
		version := e.g.current().files[s.file].Version
		changed := !strings.Contains(string(text), version)
		switch name {
		case s.stat + ".version_text":
			if changed && s.stat != e.refuses {
				_, version, _ = strings.Cut(string(text), `"version_info": "`)
				version, _, _ = strings.Cut(version, `"`)
			}
			if version != e.has[s.file] && !(changed && s.stat == e.refuses) {
				e.has[s.file] = version
				e.taken = append(e.taken, s.file)
				if s == plugin {
					routes, _ := os.ReadFile(e.g.path(envoy.RoutesFile))
					e.open = append(e.open, strings.Contains(string(routes), `"cluster": "backend`))
				}
			}
			fmt.Fprintf(w, "%s: %q\n", name, version)
		case s.stat + ".update_rejected":
			n := 0
			if changed && s.stat == e.refuses {
				n = 1
			}
			fmt.Fprintf(w, "%s: %d\n", name, n)
		}
	}
}

// running is a gateway whose Envoy has taken the configuration.
func running(t *testing.T, json, refuses string) (*gateway, *fakeEnvoy) {
	t.Helper()
	opt := Options{Log: slog.New(slog.DiscardHandler), Module: []byte("\x00asm")}
	g := &gateway{opt: opt, log: opt.Log, folder: t.TempDir()}
	e := &fakeEnvoy{g: g, refuses: refuses, has: map[string]string{}}
	g.admin = fakeAdmin(t, e.ServeHTTP)
	g.control = newControl(g.admin, opt, g.provider)
	require.NoError(t, g.prepare(parse(t, json)))
	for name, f := range g.current().files {
		e.has[name] = f.Version
	}
	return g, e
}

// changed is a gateway that has gone from one configuration to another, and what its Envoy
// was given between them; closed is that of [envoy.Between].
func changed(t *testing.T, before, after string) (g *gateway, e *fakeEnvoy, between map[string]envoy.File, closed bool) {
	t.Helper()
	g, e = running(t, before, "")
	was := g.current().options
	require.NoError(t, g.change(t.Context(), parse(t, after)))
	between, closed, err := envoy.Between(parse(t, before), was, parse(t, after), g.current().options)
	require.NoError(t, err)
	return g, e, between, closed
}

func on(json string) string { return strings.Replace(minimal, "{", `{`+json+`,`, 1) }

// routed has a route of this name more.
func routed(name string) string {
	return on(`"routes":[{"name":"` + name + `","match":{"tenants":["t"]},"backends":[{"url":"http://127.0.0.1:2"}]}]`)
}

// While the filter changes, the routes and clusters that it may still name are
// there.
func TestRouteThatLeavesIsThereWhileTheFilterChanges(t *testing.T) {
	g, e, between, _ := changed(t, routed("a"), routed("b"))
	assert.Equal(t, []string{
		envoy.ClustersFile, envoy.RoutesFile, // of both
		envoy.PluginFile,
		envoy.RoutesFile, envoy.ListenersFile, envoy.ClustersFile,
	}, e.taken)
	for _, file := range []string{envoy.ClustersFile, envoy.RoutesFile} {
		for _, cluster := range []string{`"route-a"`, `"route-b"`, `"backend"`} {
			assert.Contains(t, string(between[file].JSON), cluster)
		}
		assert.NotContains(t, string(g.current().files[file].JSON), `"route-a"`)
	}
}

// A key is for the backends that it was given for: others do not get it while the
// filter changes.
func TestRouteIsClosedWhileItsBackendsAndTheirKeyChange(t *testing.T) {
	with := func(at, key string) string {
		return `{"server":{"host":"127.0.0.1","port":0},"engine":{"provider":"vllm","backend_url":"http://` + at + `"` + key + `}}`
	}
	const one, two = `,"api_key":"one"`, `,"api_key":"two"`
	for name, c := range map[string]struct {
		before, after string
		closed        bool
	}{
		"both":                          {with("127.0.0.1:1", one), with("127.0.0.2:1", two), true},
		"the backend, and the key goes": {with("127.0.0.1:1", one), with("127.0.0.2:1", ""), true},
		"the backend only":              {with("127.0.0.1:1", one), with("127.0.0.2:1", one), false},
		"the key only":                  {with("127.0.0.1:1", one), with("127.0.0.1:1", two), false},
		"no key before":                 {with("127.0.0.1:1", ""), with("127.0.0.2:1", two), false},
	} {
		t.Run(name, func(t *testing.T) {
			g, e, between, closed := changed(t, c.before, c.after)
			assert.Equal(t, c.closed, closed)
			const old, open = `"name": "backend"`, `"cluster": "backend`
			assert.Equal(t, !c.closed, strings.Contains(string(between[envoy.RoutesFile].JSON), open))
			assert.Contains(t, string(between[envoy.ClustersFile].JSON), old, "requests that have begun need it")
			assert.Contains(t, string(g.current().files[envoy.RoutesFile].JSON), open, "afterwards")
			assert.Equal(t, !c.closed, strings.Contains(string(g.current().files[envoy.ClustersFile].JSON), old), "afterwards nothing leads to other backends by the old name")
			if c.closed {
				assert.Equal(t, []string{envoy.RoutesFile, envoy.ClustersFile}, e.taken[:2], "it must be closed before its backends change")
				assert.Contains(t, string(g.current().files[envoy.ClustersFile].JSON), `"alt_stat_name": "backend"`)
			}
		})
	}
}

// While the filter changes to another provider and other backends, what is forwarded goes
// to those of the one that forwards, and completions to those of the one that translates.
func TestProvidersBackendsAreApartWhileTheFilterChanges(t *testing.T) {
	with := func(provider, at string) string {
		return `{"server":{"host":"127.0.0.1","port":0},"engine":{"provider":"` + provider + `","backend_url":"http://` + at + `:1"}}`
	}
	forwards, translates := with("vllm-responses", "127.0.0.1"), with("vllm", "127.0.0.2")
	for name, c := range map[string]struct{ before, after string }{
		"forwards no more":   {forwards, translates},
		"translates no more": {translates, forwards},
	} {
		t.Run(name, func(t *testing.T) {
			g, _, between, closed := changed(t, c.before, c.after)
			assert.False(t, closed)
			clusters := map[string]string{} // by path
			var routes struct {
				Resources []struct {
					VirtualHosts []struct {
						Routes []struct {
							Match struct{ Path string }
							Route struct{ Cluster string }
						}
					} `json:"virtual_hosts"`
				}
			}
			require.NoError(t, json.Unmarshal(between[envoy.RoutesFile].JSON, &routes))
			for _, r := range routes.Resources[0].VirtualHosts[0].Routes {
				clusters[r.Match.Path] = r.Route.Cluster
			}
			old, fresh := clusters["/v1/responses"], clusters["/v1/chat/completions"]
			if c.before == translates {
				old, fresh = fresh, old
			}
			assert.Equal(t, "backend", old)
			assert.NotEqual(t, "backend", fresh)
			assert.Contains(t, string(g.current().files[envoy.ClustersFile].JSON), `"name": "`+fresh+`"`, "afterwards")
			assert.NotContains(t, string(g.current().files[envoy.ClustersFile].JSON), `"name": "backend"`, "afterwards")
		})
	}
}

// A filter that has got the key of new backends does not bring it to the old ones
// when these come back.
func TestRouteIsClosedWhileARefusedChangeIsTakenBack(t *testing.T) {
	with := func(idle, at, key string) string {
		return `{"server":{"host":"127.0.0.1","port":0,"idle_timeout":"` + idle + `"},"engine":{"provider":"vllm","backend_url":"http://` + at + `:1"` + key + `}}`
	}
	for name, key := range map[string]string{"another key": `,"api_key":"one"`, "no key": ""} {
		t.Run(name, func(t *testing.T) {
			g, e := running(t, with("60s", "127.0.0.1", key), "listener_manager.lds")
			err := g.change(t.Context(), parse(t, with("70s", "127.0.0.2", `,"api_key":"two"`)))
			require.ErrorContains(t, err, "envoy refused its listener_manager.lds")
			require.Len(t, e.open, 2, "the new filter, and the old one again")
			assert.False(t, e.open[1], "it must be closed while the filter goes back")
			for name, f := range g.current().files {
				assert.Equal(t, f.Version, e.has[name], name)
			}
		})
	}
}

// A cluster's name never leads to other backends than those that have had each of its
// keys, also when its route was gone, Envoy refused a change in between, or key and
// backends changed one after the other.
func TestClusterOfBackendsWithAnotherKeyIsAnother(t *testing.T) {
	with := func(at, key string) string {
		if key != "" {
			key = `,"api_key":"` + key + `"`
		}
		return `{"server":{"host":"127.0.0.1","port":0},"engine":{"provider":"vllm","backend_url":"http://` + at + `:1"` + key + `}}`
	}
	const gone = `{"server":{"host":"127.0.0.1","port":0},"engine":{"provider":"vllm"},"routes":[{"name":"a","backends":[{"url":"http://127.0.0.1:1"}]}]}`
	g, e := running(t, with("127.0.0.1", "one"), "")
	name, seen := "backend", []string{"backend"}
	for _, step := range []struct{ config, what string }{
		{with("127.0.0.2", "two"), "another key"},
		{with("127.0.0.2", "three"), "the same backend"},
		{with("127.0.0.3", "three"), "another key"}, // a request may have key two
		{with("127.0.0.4", "three"), "the same key"},
		{with("127.0.0.4", ""), "the same backend"},
		{with("127.0.0.5", ""), "another key"},
		{with("127.0.0.5", "four"), "the same backend"},
		{with("127.0.0.6", "four"), "the same key"},
		{gone, "gone"},
		{with("127.0.0.4", "four"), "another key"},
		{with("127.0.0.5", "five"), "refused"},
		{with("127.0.0.6", "six"), "another key"},
		{with("127.0.0.1", "one"), "another key"},
	} {
		e.refuses = map[bool]string{true: "http.api.rds.api"}[step.what == "refused"]
		err := g.change(t.Context(), parse(t, step.config))
		if step.what == "refused" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err)
		_, rest, has := strings.Cut(string(g.current().files[envoy.ClustersFile].JSON), `"name": "backend`)
		if require.Equal(t, step.what != "gone", has); !has {
			continue
		}
		suffix, _, _ := strings.Cut(rest, `"`)
		if step.what == "another key" {
			require.NotContains(t, seen, "backend"+suffix)
		} else {
			require.Equal(t, name, "backend"+suffix, step.what)
		}
		name = "backend" + suffix
		seen = append(seen, name)
	}
}

func TestChangeReplacesWhatDiffers(t *testing.T) {
	for name, c := range map[string]struct {
		json  string
		files []string
	}{
		"the filter":      {on(`"translation":{"fold_system":false}`), []string{envoy.PluginFile}},
		"its limits":      {on(`"limits":{"tools":7}`), []string{envoy.PluginFile}},
		"the backend":     {strings.Replace(minimal, "127.0.0.1:1", "127.0.0.2:1", 1), []string{envoy.ClustersFile, envoy.PluginFile}},
		"its path":        {strings.Replace(minimal, "127.0.0.1:1", "127.0.0.1:1/base", 1), []string{envoy.ClustersFile, envoy.RoutesFile, envoy.PluginFile, envoy.ListenersFile, envoy.ClustersFile}},
		"the access log":  {on(`"observability":{"log":{"level":"debug"}}`), []string{envoy.PluginFile, envoy.ListenersFile}},
		"the metric path": {on(`"observability":{"metrics":{"path":"/m"}}`), []string{envoy.RoutesFile, envoy.PluginFile}},
		"a route more":    {routed("a"), []string{envoy.ClustersFile, envoy.RoutesFile, envoy.PluginFile, envoy.ListenersFile}},
	} {
		t.Run(name, func(t *testing.T) {
			g, e := running(t, minimal, "")
			next := parse(t, c.json)
			require.NoError(t, g.change(t.Context(), next))
			assert.Equal(t, c.files, e.taken)
			assert.Same(t, next, g.current().cfg)
		})
	}
}

func TestRefusedChangeIsTakenBack(t *testing.T) {
	g, e := running(t, minimal, "http.api.rds.api")
	before := g.current()
	err := g.change(t.Context(), parse(t, strings.Replace(minimal, "127.0.0.1:1", "127.0.0.2:1/base", 1)))
	require.ErrorContains(t, err, "envoy refused its http.api.rds.api")
	assert.Equal(t, []string{envoy.ClustersFile}, e.taken, "what comes after the refused file must not be changed")
	assert.Same(t, before, g.current())
	for name, f := range before.files {
		text, err := os.ReadFile(g.path(name))
		require.NoError(t, err)
		assert.Equal(t, string(f.JSON), string(text), name)
	}
}

func TestChangeEndsWithItsContext(t *testing.T) {
	g, _ := running(t, minimal, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, g.change(ctx, parse(t, on(`"limits":{"tools":7}`))), context.Canceled)
}

func TestNewKeyIsANewVM(t *testing.T) {
	g := &gateway{folder: "/tmp/x"}
	with := func(key string) *config.Config {
		return parse(t, strings.Replace(minimal, `"engine":{`, `"engine":{"api_key":"`+key+`",`, 1))
	}
	first, err := g.plan(with("one"), nil)
	require.NoError(t, err)
	same, err := g.plan(with("one"), first)
	require.NoError(t, err)
	assert.Equal(t, first.files, same.files)
	other, err := g.plan(with("two"), first)
	require.NoError(t, err)
	none, err := g.plan(parse(t, minimal), other)
	require.NoError(t, err)
	again, err := g.plan(with("three"), first) // Envoy has refused the other ones
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, p := range []*plan{first, other, none, again} {
		assert.Contains(t, string(p.files[envoy.PluginFile].JSON), fmt.Sprintf(`"vm_id": "antwort-%d"`, p.generation))
		assert.False(t, seen[p.generation], "a VM has the variables that it began with")
		seen[p.generation] = true
	}
}
