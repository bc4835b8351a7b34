package filter_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request for a WebSocket goes on to the backend where no body decides, with the word
// of who calls; else it is refused with the reason. Envoy's part of it is tried in e2e.
func TestRequestsForAWebSocket(t *testing.T) {
	const key, page = "sk-alice-0123456789", "https://page.example"
	auth := fmt.Sprintf(`{"type":"api_key","api_keys":[{"sha256":"%s","subject":"alice","tenant":"a"},{"sha256":"%s","subject":"bob","models":["m"]}]}`, digestOf(key), digestOf("few"))
	hosts := map[string]*splitHost{}
	for name, c := range map[string]struct {
		provider, profile string
		more              string // members of the configuration
	}{
		"inline":     {"vllm-responses", "inline", ``},
		"gated":      {"vllm-responses", "gated", `,"auth":` + auth},
		"pages":      {"vllm-responses", "inline", `,"server":{"cors":{"allowed_origins":["` + page + `"]}}`},
		"off":        {"vllm-responses", "inline", `,"websocket":{"enabled":false}`},
		"translates": {"vllm", "inline", ``},
		"by tenant":  {"vllm-responses", "inline", `,"auth":{"type":"api_key","api_keys":[{"sha256":"` + digestOf(key) + `","subject":"alice","tenant":"a"}]},"routes":[{"name":"a","match":{"tenants":["a"]},"backends":[{"url":"http://a.example"}]}]`},
		"by model":   {"vllm-responses", "gated", `,"routes":[{"name":"a","match":{"models":["a"]},"backends":[{"url":"http://a.example"}]}]`},
		"renamed":    {"vllm-responses", "gated", `,"routes":[{"name":"a","backends":[{"url":"http://a.example","model":"b"}]}]`},
		"nowhere":    {"vllm-responses", "gated", `,"routes":[{"name":"a","match":{"headers":{"x-way":"a"}},"backends":[{"url":"http://a.example"}]}]`},
	} {
		hosts[name] = startSplit(t, fmt.Appendf(nil, `{"engine":{"provider":%q},"filter":{"profile":%q}%s}`, c.provider, c.profile, c.more))
	}
	for _, c := range []struct {
		name, host, method, path string
		fields                   []string
		status                   int // 0: it goes on
		code, route, subject     string
	}{
		{name: "nobody is asked", host: "inline"},
		{name: "in other letters", host: "inline", fields: []string{"Upgrade", " WebSocket"}},
		{name: "a key", host: "gated", fields: []string{"Authorization", "Bearer " + key, "X-Antwort-Subject", "root", "x_antwort_tenant", "b"}, subject: "alice a"},
		{name: "no key", host: "gated", status: 401, code: "missing_api_key"},
		{name: "a wrong key", host: "gated", fields: []string{"Authorization", "Bearer x"}, status: 401, code: "invalid_api_key"},
		{name: "a key for certain models", host: "gated", fields: []string{"Authorization", "Bearer few"}, status: 403, code: "websocket_unsupported"},
		{name: "a page", host: "inline", fields: []string{"Origin", page}, status: 403, code: "origin_not_allowed"},
		{name: "a page that is let in", host: "pages", fields: []string{"Origin", page}},
		{name: "another page", host: "pages", fields: []string{"Origin", "https://other.example"}, status: 403, code: "origin_not_allowed"},
		{name: "turned off", host: "off", status: 426, code: "websocket_unsupported"},
		{name: "nobody speaks it", host: "translates", status: 426, code: "websocket_unsupported"},
		{name: "another method", host: "inline", method: "DELETE", status: 426, code: "websocket_unsupported"},
		{name: "another endpoint", host: "inline", path: "/v1/models", status: 426, code: "websocket_unsupported"},
		{name: "another endpoint, and no key", host: "gated", path: "/v1/models", status: 401, code: "missing_api_key"},
		{name: "none of the API's", host: "inline", path: "/other"},
		{name: "the tenant decides", host: "by tenant", fields: []string{"Authorization", "Bearer " + key}, route: "a", subject: "alice a"},
		{name: "the model decides", host: "by model", status: 426, code: "websocket_unsupported"},
		{name: "the backend has another name for the model", host: "renamed", status: 426, code: "websocket_unsupported"},
		{name: "no route", host: "nowhere", status: 404, code: "no_route"},
		{name: "a route", host: "nowhere", fields: []string{"X-Way", "a"}, route: "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := hosts[c.host]
			h.set(gives(http.StatusTeapot, "application/json", `{"said":"by the backend"}`), 0)
			if c.method == "" {
				c.method = "GET"
			}
			if c.path == "" {
				c.path = "/v1/responses"
			}
			got := do(t, h.Host, c.method, c.path, nil, append([]string{"Upgrade", "websocket", "Connection", "Upgrade", "Sec-WebSocket-Version", "13"}, c.fields...)...)
			wait(t, h.Host)
			if c.status != 0 {
				require.Equal(t, []any{c.status, c.code}, []any{got.status, errorOf(t, got.body).Code}, got.body)
				require.Zero(t, h.up.count(), "the backend saw it")
				return
			}
			require.Equal(t, `{"said":"by the backend"}`, got.body)
			r, _ := h.up.last()
			require.Empty(t, r.Header.Get("Origin"))
			require.Equal(t, c.route, r.Header.Get("X-Antwort-Route"))
			who := r.Header.Get("X-Antwort-Subject")
			if tenant := r.Header.Get("X-Antwort-Tenant"); tenant != "" {
				who += " " + tenant
			}
			require.Equal(t, c.subject, who)
		})
	}
}

func digestOf(key string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(key))) }
