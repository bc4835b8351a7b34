package filter

import "antwort/shared/config"

// pool is what the filter needs to know of a route: Envoy has the rest.
type pool struct {
	name     string // "": there are no routes, Envoy's own say where requests go
	model    string // is sent in the place of the one that was asked for; "": none
	auth     string // Authorization, "" when there is no key
	affinity bool
	several  bool // backends, among which Envoy chooses
	backend  config.Backend
}

// pools are those of the configuration's routes, by index.
func pools(routes []config.Route) []pool {
	all := make([]pool, len(routes))
	for i := range routes {
		r := &routes[i]
		first := &r.Backends[0] // the others have the same model and key
		all[i] = pool{name: r.Name, model: first.Model, affinity: r.Balance == config.Affinity, backend: *first, several: len(r.Backends) > 1}
		all[i].auth = bearer(first.APIKey)
	}
	return all
}

func bearer(key config.Secret) string {
	if !key.IsSet() {
		return ""
	}
	return "Bearer " + key.Reveal()
}
