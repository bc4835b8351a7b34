package filter

import (
	"slices"
	"strconv"
	"strings"

	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// models answers for the list of models, or for one of them, where there are
// routes and they name all that the caller may use. Else a backend is asked: the
// one that the model leads to, or the first that the caller can reach. What it
// lists is passed on; to a caller with certain models as far as it adds to list.
func (x *exchange) models(h header, path string, endpoint *policy.Endpoint) (list *policy.ModelList, f *failure.Failure) {
	x.requestID = h.get("x-request-id")
	if x.caller.Restricted() {
		h = slices.Clone(h) // the list asks for its fields when the answer has come
	}
	ask := policy.Ask{Values: h.all}
	if x.caller != nil {
		ask.Tenant = x.caller.Tenant
	}
	router := x.decider.Router()
	list = router.NewModelList(ask, x.caller)
	all := list.AddNames()
	if endpoint == policy.Models {
		switch {
		case all:
			x.answerOK(list.Append(nil))
			return nil, nil
		case x.caller.Restricted():
			return list, x.goTo(first(router.Reachable(ask)), "")
		}
		return nil, x.goTo(first(router.Reachable(ask)), "")
	}
	name := unescaped(strings.TrimPrefix(path, "/v1/models/"))
	if entry, found := list.AppendModel(nil, name); found {
		x.answerOK(entry)
		return nil, nil
	}
	if err := x.caller.Allows(name); err != nil {
		return nil, failure.Of(failure.ForbiddenModel, err)
	}
	if all {
		return nil, failure.Of(failure.NoRoute, policy.NoRoute(name))
	}
	ask.Model = name
	return nil, x.goTo(router.Choose(ask), name)
}

// goTo sends the request to a route, or nowhere.
func (x *exchange) goTo(route int, model string) *failure.Failure {
	if route < 0 {
		return failure.Of(failure.NoRoute, policy.NoRoute(model))
	}
	x.decision.Route = route
	x.direct()
	return nil
}

func first(list []int) int {
	if len(list) == 0 {
		return -1
	}
	return list[0]
}

// answerOK is the filter's own, and no error.
func (x *exchange) answerOK(body []byte) {
	h := [][2]string{{"content-type", "application/json"}}
	if x.requestID != "" {
		h = append(h, [2]string{"x-request-id", x.requestID})
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
