package filter

import (
	"strconv"
	"strings"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// Fields that tell Envoy's routes where a request goes, and its hash policy
// which of the backends there has the conversation in its cache. Clients' own
// are removed from every request.
const (
	routeField    = "x-antwort-route"
	affinityField = "x-antwort-affinity"
)

// retryField adds reasons to send a request again to those of Envoy's retry
// policy: a connection that broke before there was an answer, and the statuses
// that the policy names. Only who has read a forwarded request knows that it may
// be repeated.
const (
	retryField   = "x-envoy-retry-on"
	retryReasons = "reset,retriable-status-codes"
)

// target is what the filter needs to know of a route: Envoy has the rest.
type target struct {
	name     string // "": there are no routes, Envoy's own say where requests go
	model    string // is sent in the place of the one that was asked for; "": none
	auth     string // Authorization, "" when there is no key
	affinity bool
	several  bool // backends, among which Envoy chooses
}

// targets are those of the configuration's routes, by index.
func targets(routes []config.Route) []target {
	all := make([]target, len(routes))
	for i := range routes {
		r := &routes[i]
		first := &r.Backends[0] // the others have the same model and key
		all[i] = target{name: r.Name, model: first.Model, affinity: r.Balance == config.Affinity, several: len(r.Backends) > 1}
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

// readsBody reports whether the choice of a backend depends on the body.
func (t *target) readsBody() bool { return t.affinity || t.several }

// about is what a request says about where it may go. Its header stays as it was
// in the header phase.
func (s *stream) about(h header, model string) policy.Ask {
	ask := policy.Ask{Model: model, Values: h.all}
	if s.caller != nil {
		ask.Tenant = s.caller.Tenant
	}
	return ask
}

// chooseUnread chooses the route of a request whose body nobody has read. It is
// false when the model decides.
func (s *stream) chooseUnread(h header) (decided bool, err *responses.Error) {
	if s.router == nil {
		s.to = &s.targets[0]
		return true, nil
	}
	i, decided := s.router.ChooseUnread(s.about(h, ""))
	if !decided {
		return false, nil
	}
	return true, s.goesTo(i, "")
}

// choose chooses the route of a request that names a model, or none.
func (s *stream) choose(h header, model string) *responses.Error {
	if s.router == nil {
		s.to = &s.targets[0]
		return nil
	}
	return s.goesTo(s.router.Choose(s.about(h, model)), model)
}

func (s *stream) goesTo(route int, model string) *responses.Error {
	if route < 0 {
		return policy.NoRoute(model)
	}
	s.to = &s.targets[route]
	return nil
}

// send tells Envoy where the request goes, and the upstream who asks.
func (s *stream) send() {
	if s.to.name != "" {
		must(proxywasm.ReplaceHttpRequestHeader(routeField, s.to.name))
	}
	if s.to.auth != "" {
		must(proxywasm.ReplaceHttpRequestHeader("authorization", s.to.auth))
		if s.access == nil || s.access.Forward { // else the client's are gone
			must(proxywasm.RemoveHttpRequestHeader("x-api-key"))
		}
	}
}

// keepTogether sends the turns of a conversation to one backend.
func (s *stream) keepTogether(r *policy.Reading) {
	if s.to.affinity {
		must(proxywasm.ReplaceHttpRequestHeader(affinityField, strconv.FormatUint(r.Conversation(), 16)))
	}
}

// models answers for the list of models, or for one of them, where there are
// routes and they name all that the caller may use. Else a backend is asked: the
// one that the model leads to, or the first that the caller can reach.
func (s *stream) models(h header, path string, route *policy.Endpoint) *responses.Error {
	s.requestID = h.get("x-request-id")
	ask := s.about(h, "")
	list := s.router.NewModelList(ask, s.caller)
	all := list.AddNames()
	if route == policy.Models {
		if all {
			s.answer(list.Append(nil))
			return nil
		}
		return s.goesTo(first(s.router.Reachable(ask)), "")
	}
	name := unescaped(strings.TrimPrefix(path, "/v1/models/"))
	if entry, found := list.AppendModel(nil, name); found {
		s.answer(entry)
		return nil
	}
	if err := s.caller.Allows(name); err != nil {
		return err
	}
	if all {
		return policy.NoRoute(name)
	}
	return s.choose(h, name)
}

func first(list []int) int {
	if len(list) == 0 {
		return -1
	}
	return list[0]
}

// answer is the filter's own, and no error.
func (s *stream) answer(body []byte) {
	h := [][2]string{{"content-type", "application/json"}}
	if s.requestID != "" {
		h = append(h, [2]string{"x-request-id", s.requestID})
	}
	must(proxywasm.SendHttpResponse(200, h, body, -1))
}

// unescaped decodes the %XX of a path.
func unescaped(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(n))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}
