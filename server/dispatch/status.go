package dispatch

import "encoding/json"

// routeStatus is what the operator sees of a route.
type routeStatus struct {
	Name     string          `json:"name"`
	Provider string          `json:"provider"`
	Balance  string          `json:"balance"`
	Backends []backendStatus `json:"backends"`
}

type backendStatus struct {
	URL      string  `json:"url"`
	State    string  `json:"state"` // well, half-open or ejected
	Weight   int     `json:"weight"`
	Priority int     `json:"priority"`
	Active   int     `json:"requests_in_flight"`
	Failures int     `json:"failures_in_a_row"`
	Left     float64 `json:"ejected_for_seconds,omitempty"` // from now on
}

// StatusJSON is the state of all backends, as JSON.
func (ps *Pools) StatusJSON() []byte {
	all := []routeStatus{}
	for _, p := range ps.all {
		route := routeStatus{Name: p.Name, Provider: string(p.Provider), Balance: p.Balance}
		for _, b := range p.Status() {
			route.Backends = append(route.Backends, backendStatus{
				b.Name, b.State.String(), b.Weight, b.Priority, b.Active, b.Failures, b.Left.Seconds()})
		}
		all = append(all, route)
	}
	text, err := json.MarshalIndent(map[string]any{"routes": all}, "", "  ")
	if err != nil {
		panic(err) // there is nothing in it that has no JSON
	}
	return append(text, '\n')
}
