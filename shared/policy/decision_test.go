package policy_test

import (
	"crypto/sha256"
	"testing"

	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/stretchr/testify/require"
)

const (
	chatRoute    = `{"name":"chat","match":{"models":["chat-*"]},"backends":[{"url":"http://a","provider":"vllm"}]}`
	anyChat      = `{"name":"any","backends":[{"url":"http://a","provider":"vllm"}]}`
	passRoute    = `{"name":"pass","match":{"models":["pass-*"]},"backends":[{"url":"http://b","provider":"vllm-responses"}]}`
	anyPass      = `{"name":"any","backends":[{"url":"http://b","provider":"vllm-responses"}]}`
	renamed      = `{"name":"named","backends":[{"url":"http://b","provider":"vllm-responses","model":"inner"}]}`
	pairPass     = `{"name":"pair","backends":[{"url":"http://b","provider":"vllm-responses"},{"url":"http://c","provider":"vllm-responses"}]}`
	togetherPass = `{"name":"pair","balance":"affinity","backends":[{"url":"http://b","provider":"vllm-responses"},{"url":"http://c","provider":"vllm-responses"}]}`
	togetherChat = `{"name":"pair","balance":"affinity","backends":[{"url":"http://b"},{"url":"http://c"}]}`
	aloneChat    = `{"name":"alone","balance":"affinity","backends":[{"url":"http://b"}]}`
	teamPass     = `{"name":"team","match":{"tenants":["team-a"]},"backends":[{"url":"http://b","provider":"vllm-responses"}]}`
)

func decider(t testing.TB, routes string, tier policy.Tier) *policy.Decider {
	t.Helper()
	c, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","default_model":"chat-default"},"routes":[` + routes + `]}`)})
	require.NoError(t, err)
	return policy.NewDecider(c, tier)
}

// callerWith is who has the key; nobody was asked without one.
func callerWith(t testing.TB, key string) *policy.Identity {
	t.Helper()
	if key == "" {
		return nil
	}
	c := config.Default()
	c.Auth.Type = config.APIKeyAuth
	c.Auth.APIKeys = []config.APIKey{
		{Digest: sha256.Sum256([]byte(few)), Subject: "few", Models: []string{"pass-1", "chat-1"}},
		{Digest: sha256.Sum256([]byte(team)), Subject: "any", Tenant: "team-a"},
	}
	id, refused := policy.NewAccess(c).Identify([]string{"Bearer " + key}, nil, policy.Told{})
	require.Nil(t, refused)
	return id
}

const (
	few  = "certain-models"
	team = "a-tenant"
)

// What becomes of a request: what is said before its body, and then.
func TestDecisions(t *testing.T) {
	server, gated, blind := policy.Tier{Decodes: true}, policy.Tier{Hosts: true}, policy.Tier{Hosts: true, Blind: true}
	for name, c := range map[string]struct {
		routes   string
		tier     policy.Tier
		endpoint *policy.Endpoint // Create
		method   string           // POST
		caller   string
		kind     string // content-type: application/json
		coding   string

		need  policy.Need  // after Begin
		early failure.Kind // of Begin

		body  string
		model string // that translation finds
		late  failure.Kind

		route        int
		translates   bool
		named        string
		repeatable   bool
		conversation bool
		read         bool
	}{
		"all is translated":                          {routes: anyChat, need: policy.Translation, model: "m", named: "m", translates: true, repeatable: true},
		"all is translated, compressed":              {routes: anyChat, coding: "gzip", need: policy.Translation, model: "m", named: "m", translates: true, repeatable: true},
		"nobody can decode it":                       {routes: anyChat, tier: gated, coding: "gzip", early: failure.UnsupportedEncoding},
		"a form is not translated":                   {routes: anyChat, kind: "text/plain", early: failure.WrongContentType},
		"the model chooses among what is translated": {routes: chatRoute, need: policy.Translation, model: "chat-2", named: "chat-2", translates: true, repeatable: true},
		"no route for a model":                       {routes: chatRoute, need: policy.Translation, model: "other", late: failure.NoRoute},
		"a model that is not the caller's":           {routes: anyChat, caller: few, need: policy.Translation, model: "chat-2", late: failure.ForbiddenModel},
		"a conversation that is translated":          {routes: togetherChat, need: policy.Translation, body: `{"input":"hi"}`, model: "m", named: "m", translates: true, repeatable: true, conversation: true},
		"one backend needs no conversation":          {routes: aloneChat, need: policy.Translation, body: `{"input":"hi"}`, model: "m", named: "m", translates: true, repeatable: true},
		"one backend may be several hosts":           {routes: aloneChat, tier: gated, need: policy.Translation, body: `{"input":"hi"}`, model: "m", named: "m", translates: true, repeatable: true, conversation: true},

		"all is forwarded":                      {routes: anyPass, kind: "text/plain", coding: "br"},
		"a caller with certain models":          {routes: anyPass, caller: few, need: policy.Body, body: `{"model":"pass-1"}`, named: "pass-1", repeatable: true, read: true},
		"another model":                         {routes: anyPass, caller: few, need: policy.Body, body: `{"model":"pass-2"}`, late: failure.ForbiddenModel},
		"certain models, and none named":        {routes: anyPass, caller: few, need: policy.Body, body: `{}`, late: failure.InvalidRequest},
		"certain models in a form":              {routes: anyPass, caller: few, kind: "application/x-www-form-urlencoded", early: failure.WrongContentType},
		"certain models, compressed":            {routes: anyPass, caller: few, coding: "gzip", early: failure.UnsupportedEncoding},
		"a body that reads in two ways":         {routes: anyPass, caller: few, need: policy.Body, body: `{"model":"pass-1","model":"pass-1"}`, late: failure.InvalidRequest},
		"another name upstream":                 {routes: renamed, need: policy.Body, body: `{"model":"m"}`, named: "m", repeatable: true, read: true},
		"the model chooses where to forward":    {routes: passRoute, need: policy.Body, body: `{"model":"pass-9"}`, named: "pass-9", repeatable: true, read: true},
		"no route to forward to":                {routes: passRoute, need: policy.Body, body: `{"model":"m"}`, late: failure.NoRoute},
		"no default where all is forwarded":     {routes: passRoute, need: policy.Body, body: `{}`, late: failure.NoRoute},
		"several backends":                      {routes: pairPass, need: policy.Body, body: `{"model":"m"}`, named: "m", repeatable: true, read: true},
		"several backends, background":          {routes: pairPass, need: policy.Body, body: `{"model":"m","background":true}`, named: "m", read: true},
		"several backends, and no JSON":         {routes: pairPass, need: policy.Body, body: `{"model":`},
		"several backends, and a form":          {routes: pairPass, kind: "text/plain"},
		"several backends, compressed":          {routes: pairPass, coding: "gzip"},
		"a conversation that is forwarded":      {routes: togetherPass, need: policy.Body, body: `{"model":"m","input":"hi"}`, named: "m", repeatable: true, read: true, conversation: true},
		"nobody reads bodies":                   {routes: pairPass, tier: blind},
		"nobody reads bodies, but of some team": {routes: teamPass + "," + pairPass, tier: blind, caller: team},
		"a route of a tenant":                   {routes: teamPass + "," + anyChat, caller: team},
		"the route of other tenants":            {routes: teamPass + "," + anyChat, need: policy.Translation, model: "m", named: "m", route: 1, translates: true, repeatable: true},
		"no route, whatever the model":          {routes: teamPass, early: failure.NoRoute},

		"either, translated":                  {routes: chatRoute + "," + passRoute, coding: "gzip", need: policy.Body, body: `{"model":"chat-1"}`, model: "chat-1", named: "chat-1", translates: true, repeatable: true},
		"either, by default":                  {routes: chatRoute + "," + passRoute, need: policy.Body, body: `{"input":"x"}`, model: "chat-default", named: "chat-default", translates: true, repeatable: true},
		"either, forwarded":                   {routes: chatRoute + "," + passRoute, need: policy.Body, body: `{"model":"pass-1"}`, named: "pass-1", route: 1, repeatable: true, read: true},
		"either, forwarded to whom it is not": {routes: chatRoute + "," + passRoute, caller: few, need: policy.Body, body: `{"model":"pass-2"}`, late: failure.ForbiddenModel},
		"either, but forwarded means plain":   {routes: chatRoute + "," + passRoute, coding: "gzip", need: policy.Body, body: `{"model":"pass-1"}`, late: failure.UnsupportedEncoding},
		"either, and nobody can decode":       {routes: chatRoute + "," + passRoute, tier: gated, coding: "gzip", early: failure.UnsupportedEncoding},
		"either, and no JSON":                 {routes: chatRoute + "," + passRoute, need: policy.Body, body: `{`, late: failure.InvalidRequest},
		"either, and no route":                {routes: chatRoute + "," + passRoute, need: policy.Body, body: `{"model":"m"}`, late: failure.NoRoute},

		"compaction is forwarded":                {routes: anyPass, endpoint: policy.Compact},
		"compaction by the model":                {routes: chatRoute + "," + passRoute, endpoint: policy.Compact, need: policy.Body, body: `{"model":"pass-1"}`, named: "pass-1", route: 1, repeatable: true, read: true},
		"compaction by a model that cannot":      {routes: chatRoute + "," + passRoute, endpoint: policy.Compact, need: policy.Body, body: `{"model":"chat-1"}`, late: failure.NotStored},
		"compaction is always read uncompressed": {routes: chatRoute + "," + passRoute, endpoint: policy.Compact, coding: "gzip", early: failure.UnsupportedEncoding},
		"compaction is not translated":           {routes: anyChat, endpoint: policy.Compact, early: failure.NotStored},
		"compaction where nothing is forwarded":  {routes: chatRoute, endpoint: policy.Compact, early: failure.NotStored},
		"a stored response":                      {routes: pairPass, endpoint: policy.Stored, method: "GET", caller: few, repeatable: true},
		"deleting a stored response":             {routes: pairPass, endpoint: policy.Stored, method: "DELETE"},
		"cancelling":                             {routes: renamed, endpoint: policy.Cancel},
		"nothing is stored here":                 {routes: anyChat, endpoint: policy.Stored, method: "GET", early: failure.NotStored},
		"stored responses have no model":         {routes: passRoute, endpoint: policy.InputItems, method: "GET", early: failure.NoRoute},
	} {
		t.Run(name, func(t *testing.T) {
			if c.tier == (policy.Tier{}) {
				c.tier = server
			}
			r := policy.Request{Endpoint: policy.Create, Method: "POST", Caller: callerWith(t, c.caller)}
			if c.endpoint != nil {
				r.Endpoint = c.endpoint
			}
			if c.method != "" {
				r.Method = c.method
			}
			fields := map[string][]string{"content-type": {"application/json"}}
			if c.kind != "" {
				fields["content-type"] = []string{c.kind}
			}
			if c.coding != "" {
				fields["content-encoding"] = []string{c.coding}
			}
			r.Field = func(name string) []string { return fields[name] }

			d, f := decider(t, c.routes, c.tier).Begin(r)
			require.Equal(t, c.early, kindOf(f))
			if f != nil {
				require.NotNil(t, f.Reply)
				return
			}
			require.Equal(t, c.need, d.Need)
			if d.Need == policy.Body {
				f = d.Body([]byte(c.body))
			}
			if f == nil && d.Need == policy.Translation {
				f = d.Translated(c.model, []byte(c.body), nil)
			}
			require.Equal(t, c.late, kindOf(f))
			if f != nil {
				require.NotNil(t, f.Reply)
				return
			}
			require.Equal(t, policy.Nothing, d.Need)
			require.Equal(t, []any{c.route, c.translates, c.named}, []any{d.Route, d.Translates, d.Model})
			require.Equal(t, c.repeatable, d.Repeatable, "repeatable")
			require.Equal(t, c.conversation, d.Conversation != 0, "conversation")
			require.Equal(t, c.read, d.Reading != nil, "read")
		})
	}
}

func kindOf(f *failure.Failure) failure.Kind {
	if f == nil {
		return failure.None
	}
	return f.Kind
}

// A configuration of the filter may name no backend: Envoy knows it.
func TestDecidingWithoutARoute(t *testing.T) {
	c, err := config.LoadFilter(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm"}}`)})
	require.NoError(t, err)
	d, f := policy.NewDecider(c, policy.Tier{}).Begin(policy.Request{Endpoint: policy.Create, Method: "POST", Field: func(string) []string { return []string{"application/json"} }})
	require.Equal(t, failure.UnsupportedEncoding, kindOf(f), "the field is asked for")
	require.Equal(t, 0, d.Route)
	require.Equal(t, [][2]string{{"accept-encoding", "identity"}}, f.Fields)
}

// A body that nobody reads could name a model that the caller may not use.
func TestBodiesThatNobodyReadsAreRefusedOfCallersWithCertainModels(t *testing.T) {
	for _, key := range []string{"", few, team} {
		for _, body := range []bool{false, true} {
			for routes, kind := range map[string]failure.Kind{anyPass: failure.InvalidRequest, anyChat: failure.NotStored} {
				_, f := decider(t, routes, policy.Tier{}).Begin(policy.Request{Endpoint: policy.Cancel, Method: "POST", Caller: callerWith(t, key), HasBody: body,
					Field: func(string) []string { return nil }})
				if routes == anyPass && !(body && key == few) {
					require.Nil(t, f)
					continue
				}
				require.NotNil(t, f)
				require.Equal(t, kind, f.Kind)
			}
		}
	}
}

// A later turn that sends its own message only belongs to the conversation that began
// with what was stored.
func TestConversationBeginsInWhatIsStored(t *testing.T) {
	d := decider(t, togetherChat, policy.Tier{Decodes: true})
	named := func(body, past string) uint64 {
		x, f := d.Begin(policy.Request{Endpoint: policy.Create, Method: "POST", Field: func(name string) []string {
			return map[string][]string{"content-type": {"application/json"}}[name]
		}})
		require.Nil(t, f)
		require.Nil(t, x.Translated("m", []byte(body), []byte(past)))
		require.NotZero(t, x.Conversation)
		return x.Conversation
	}
	first := named(`{"input":"hello"}`, "")
	const past = `[{"id":"msg_1","type":"message","role":"user","content":"hello"},{"role":"assistant","content":"hi"}]`
	require.Equal(t, first, named(`{"input":"and now?"}`, past))
	require.Equal(t, first, named(`{"input":[{"type":"function_call_output","call_id":"c","output":"x"}]}`, past))
	require.NotEqual(t, first, named(`{"input":"and now?"}`, ""))
	require.Equal(t, first, named(`{"input":"hello"}`, `[{"role":"assistant","content":"hi"}]`), "nobody has said anything yet")
}
