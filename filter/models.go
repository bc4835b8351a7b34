package filter

import (
	"strconv"
	"strings"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm"
)

// models answers for the list of models, or for one of them, where there are
// routes and they name all that the caller may use. Else a backend is asked: the
// one that the model leads to, or the first that the caller can reach.
func (x *exchange) models(h header, path string, endpoint *policy.Endpoint) *responses.Error {
	x.requestID = h.get("x-request-id")
	ask := policy.Ask{Values: h.all}
	if x.caller != nil {
		ask.Tenant = x.caller.Tenant
	}
	list := x.router.NewModelList(ask, x.caller)
	all := list.AddNames()
	if endpoint == policy.Models {
		if all {
			x.answerOK(list.Append(nil))
			return nil
		}
		return x.goTo(first(x.router.Reachable(ask)), "")
	}
	name := unescaped(strings.TrimPrefix(path, "/v1/models/"))
	if entry, found := list.AppendModel(nil, name); found {
		x.answerOK(entry)
		return nil
	}
	if err := x.caller.Allows(name); err != nil {
		return err
	}
	if all {
		return policy.NoRoute(name)
	}
	ask.Model = name
	return x.goTo(x.router.Choose(ask), name)
}

// goTo sends the request to a route, or nowhere.
func (x *exchange) goTo(route int, model string) *responses.Error {
	if route < 0 {
		return policy.NoRoute(model)
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
