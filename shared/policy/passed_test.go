package policy_test

import (
	"testing"

	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPassedPaths(t *testing.T) {
	passed := policy.NewPassed([]string{"chat/completions", "audio/*", "tokenize"})
	for path, want := range map[string]string{
		"/v1/chat/completions":        "/v1/chat/completions",
		"/chat/completions":           "/v1/chat/completions",
		"/tokenize":                   "/v1/tokenize",
		"/v1/audio/speech":            "/v1/audio/*",
		"/audio/voices/a-b_1.2":       "/v1/audio/*",
		"/v1/audio":                   "",
		"/v1/audio/":                  "",
		"/v1/audio/..":                "",
		"/v1/audio/a/../b":            "",
		"/v1/audio//b":                "",
		"/v1/audio/%2e%2e/b":          "",
		"/v1/chat/completions/":       "",
		"/v1/v1/chat/completions":     "",
		"/v1/completions":             "",
		"/v2/chat/completions":        "",
		"/v1/chat/completions?stream": "",
	} {
		name := ""
		if e := passed.Find(path); e != nil {
			name = e.Name
		}
		assert.Equal(t, want, name, path)
	}
	assert.Nil(t, policy.NewPassed(nil).Find("/v1/embeddings"))
}

// A passed request is never translated, and goes where its model, its caller and
// its header say; where its model decides and is not to be read, it goes nowhere.
func TestPassedDecisions(t *testing.T) {
	server, blind := policy.Tier{Decodes: true}, policy.Tier{Hosts: true, Blind: true}
	endpoint := policy.NewPassed([]string{"embeddings"}).Find("/v1/embeddings")
	for name, c := range map[string]struct {
		routes, method, caller, kind, body string
		tier                               policy.Tier
		want                               failure.Kind
		route                              int
		model                              string
		repeatable, final                  bool
	}{
		"to a model server":                 {routes: anyChat, body: `{"model":"a"}`, tier: server, model: "a", repeatable: true, final: true},
		"to a gateway":                      {routes: anyPass, body: `{"model":"a"}`, tier: server, model: "a", repeatable: true},
		"by the model":                      {routes: chatRoute + "," + passRoute, body: `{"model":"pass-2"}`, tier: server, route: 1, model: "pass-2", repeatable: true},
		"no model":                          {routes: anyChat, body: `{}`, tier: server, final: true},
		"no JSON":                           {routes: anyChat, kind: "multipart/form-data; boundary=x", tier: server, final: true},
		"no JSON, and the model decides":    {routes: chatRoute + "," + passRoute, kind: "multipart/form-data; boundary=x", tier: server, want: failure.WrongContentType},
		"no JSON, and the key is for few":   {routes: anyChat, caller: few, kind: "multipart/form-data; boundary=x", tier: server, want: failure.WrongContentType},
		"a key for another model":           {routes: anyChat, caller: few, body: `{"model":"a"}`, tier: server, want: failure.ForbiddenModel},
		"a key for the model":               {routes: anyChat, caller: few, body: `{"model":"chat-1"}`, tier: server, model: "chat-1", repeatable: true, final: true},
		"GET":                               {routes: anyChat, method: "GET", tier: server, repeatable: true, final: true},
		"GET with a key for few":            {routes: anyChat, method: "GET", caller: few, tier: server, want: failure.InvalidRequest},
		"unread":                            {routes: anyChat, tier: blind, final: true},
		"unread, and the key is for few":    {routes: anyChat, caller: few, tier: blind, want: failure.ForbiddenModel},
		"unread, and the model decides":     {routes: chatRoute + "," + passRoute, tier: blind, want: failure.NoRoute},
		"unread, and it has another name":   {routes: renamed, tier: blind, want: failure.ForbiddenModel},
		"two models are refused to the key": {routes: anyChat, caller: few, body: `{"model":"chat-1","model":"a"}`, tier: server, want: failure.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			method, kind := c.method, c.kind
			if method == "" {
				method = "POST"
			}
			if kind == "" {
				kind = "application/json"
			}
			d, f := decider(t, c.routes, c.tier).Begin(policy.Request{Endpoint: endpoint, Method: method, Caller: callerWith(t, c.caller), Field: func(name string) []string {
				if name == "content-type" {
					return []string{kind}
				}
				return nil
			}})
			if f == nil && d.Need == policy.Body {
				f = d.Body([]byte(c.body))
			}
			if c.want != failure.None {
				require.NotNil(t, f)
				require.Equal(t, c.want, f.Kind, f.Reply)
				return
			}
			require.Nil(t, f)
			assert.Equal(t, policy.Nothing, d.Need)
			assert.False(t, d.Translates)
			assert.Equal(t, []any{c.route, c.model, c.repeatable, c.final}, []any{d.Route, d.Model, d.Repeatable, d.Final})
		})
	}
}
