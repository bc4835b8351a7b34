package cli

import (
	"slices"
	"strconv"
	"strings"

	"antwort/shared/config"
)

// destinations say where requests go.
func destinations(c *config.Config) []statement {
	e := &c.Engine
	own := statement{"backend", e.BackendURL + ", " + credential(e.APIKeyFile, e.APIKeyEnv, e.APIKey.IsSet())}
	if all := c.AllRoutes(); e.BackendURL != "" {
		own.text += transportOf(&all[len(all)-1].Backends[0])
	}
	if len(c.Routes) == 0 {
		return []statement{own, {"provider", provider(c, e.Provider, e.BackendURL)}}
	}
	var all []statement
	routes, catchAll, used := c.AllRoutes(), false, map[config.Provider]bool{}
	for _, r := range routes {
		used[r.Backends[0].Provider] = true
	}
	for _, r := range routes {
		if r.Name == config.DefaultRoute {
			continue
		}
		all = append(all, statement{"route", r.Name + ": " + requestsOf(&r.Match) + balanceOf(&r)})
		for i := range r.Backends {
			text := "to " + backendOf(&r, i)
			if len(used) > 1 {
				text += ", provider " + string(r.Backends[i].Provider)
			}
			all = append(all, statement{"", text})
		}
		catchAll = catchAll || len(r.Match.Models)+len(r.Match.Tenants)+len(r.Match.Headers) == 0
	}
	if e.BackendURL != "" {
		all = append(all, statement{"other requests", "to " + own.text})
	} else if !catchAll {
		all = append(all, statement{"other requests", "are answered 404, model_not_found"})
	}
	all = append(all, statement{"model list", listOf(routes)})
	for _, p := range []config.Provider{config.VLLM, config.VLLMResponses} {
		if used[p] {
			all = append(all, statement{"provider", provider(c, p, "")})
		}
	}
	return append(all, statement{"failover", "before the first byte of an answer another backend of the route is tried, at once; one that fails " + c.Text("routing.eject_after") + " times in a row is left out for " +
		c.Text("routing.eject_time") + ", longer each time, up to " + c.Text("routing.max_eject_time")})
}

// listOf says what GET /v1/models gives.
func listOf(routes []config.Route) string {
	for _, r := range routes {
		if len(r.Match.Models) == 0 || slices.ContainsFunc(r.Match.Models, func(name string) bool { return strings.Contains(name, "*") }) {
			return "merged from the routes by antwort serve; the filter passes the first one's on, as not all routes name their models"
		}
	}
	return "those that the routes name"
}

func requestsOf(m *config.Match) string {
	var parts []string
	if len(m.Models) > 0 {
		parts = append(parts, "for "+strings.Join(m.Models, " or "))
	}
	if len(m.Tenants) > 0 {
		parts = append(parts, "of tenant "+strings.Join(m.Tenants, " or "))
	}
	for _, h := range m.Headers {
		parts = append(parts, "with "+h.Name+": "+h.Value)
	}
	if parts == nil {
		return "all requests"
	}
	return "requests " + strings.Join(parts, " ")
}

func balanceOf(r *config.Route) string {
	switch {
	case len(r.Backends) == 1:
		return ""
	case r.Balance == config.Affinity:
		return ", each conversation to one backend while that has at most " + strconv.Itoa(r.MaxLoad) + " % of its share of the load"
	default:
		return ", each to the backend with the least load for its weight"
	}
}

func backendOf(r *config.Route, i int) string {
	b := &r.Backends[i]
	text := b.URL
	if b.Weight != 1 {
		text += ", weight " + strconv.Itoa(b.Weight)
	}
	for _, other := range r.Backends {
		if other.Priority < b.Priority {
			text += ", while those before cannot be reached"
			break
		}
	}
	if b.Model != "" {
		text += ", as model " + b.Model
	}
	return text + ", " + credential(b.APIKeyFile, b.APIKeyEnv, b.APIKey.IsSet()) + transportOf(b)
}

func credential(file, variable string, set bool) string {
	switch {
	case file != "":
		return "with the key in " + file
	case variable != "":
		return "with the key in the variable " + variable
	case set:
		return "with the configured key"
	default:
		return "without a key of its own"
	}
}

// inlineLacks is one line about what routes ask for that only the filter in its
// profile inline cannot do.
func inlineLacks(c *config.Config) []string {
	if c.Filter.Profile == config.Gated {
		return nil
	}
	var keys []string
	for _, text := range c.InlineLacks() {
		key, _, _ := strings.Cut(text, ": ")
		keys = append(keys, key)
	}
	if keys == nil {
		return nil
	}
	return []string{strings.Join(keys, ", ") + ": the filter can do this only in filter.profile gated; antwort serve can"}
}
