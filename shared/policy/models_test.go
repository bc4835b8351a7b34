package policy_test

import (
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/stretchr/testify/require"
)

func listed(ids ...string) []byte {
	text := []byte(`{"object":"list","data":[`)
	for i, id := range ids {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, `{"id":"`+id+`","object":"model","max_model_len":4096}`...)
	}
	return append(text, `]}`...)
}

func TestTheListHasWhatTheCallerGets(t *testing.T) {
	r, routes := router(t, someRoutes)
	backends := map[string][]byte{
		"http://beta":  listed("llama-3"),
		"http://team":  listed("llama-3", "team-model"),
		"http://llama": listed("llama-3", "llama-2", "other", "hidden"),
		"http://alias": listed("/mnt/models", "unused"),
		"http://rest":  listed("rest", "llama-3", "fast"),
	}
	entry := func(id string) string { return `{"id":"` + id + `","object":"model","max_model_len":4096}` }
	for name, test := range map[string]struct {
		ask    policy.Ask
		caller *policy.Identity
		want   []string
	}{
		"all":             {ask("", ""), nil, []string{"llama-3", "llama-2", "other", "fast", "faster", "rest"}},
		"a tenant":        {ask("", "a"), nil, []string{"llama-3", "team-model"}},
		"by header":       {ask("", "a", "x-stage", "beta"), nil, []string{"llama-3", "team-model"}},
		"certain models":  {ask("", ""), restricted(t, "llama-*", "faster"), []string{"llama-3", "llama-2", "faster"}},
		"none is allowed": {ask("", ""), restricted(t, "nothing"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			list := r.NewModelList(test.ask, test.caller)
			for _, route := range r.Reachable(test.ask) {
				backend := &routes[route].Backends[0]
				require.True(t, list.Add(route, backend, backends[backend.URL]))
			}
			want := `{"object":"list","data":[`
			for i, id := range test.want {
				if i > 0 {
					want += ","
				}
				want += entry(id)
			}
			require.Equal(t, want+`]}`, string(list.Append(nil)))
			for _, id := range test.want {
				one, found := list.AppendModel(nil, id)
				require.True(t, found)
				require.Equal(t, entry(id), string(one))
			}
			_, found := list.AppendModel(nil, "hidden")
			require.False(t, found)
		})
	}
	list := r.NewModelList(ask("", ""), nil)
	for _, body := range []string{``, `[]`, `{}`, `{"data":{}}`, `{"data":null}`, `{`, `{"data":[` + strings.Repeat(`0,`, 4096) + `0]}`, `{"data":[],"x":[` + strings.Repeat(`0,`, 100_000) + `0]}`} {
		require.False(t, list.Add(0, &routes[0].Backends[0], []byte(body)), body)
	}
}

// An entry is what it is for whoever reads it: it has one name, which requests can have.
func TestEntriesThatAreNoModels(t *testing.T) {
	r, routes := router(t, `{"engine":{"provider":"vllm"},"routes":[{"name":"all","backends":[{"url":"http://a"}]}]}`)
	list := r.NewModelList(ask("", ""), restricted(t, "m*"))
	require.True(t, list.Add(0, &routes[0].Backends[0], []byte(`{"object":"list","data":[0,"m",null,{},{"id":1},{"id":""},{"id":"n"},
		{"id":"m1","id":"m2"},{"id":"m3","\u0069d":"n"},{"id":"m`+strings.Repeat("x", 256)+`"},
		{ "\u0069d" : "\u006d4" , "x" : [ 1 ] } , {"x":{"id":"n"},"id":"m5"},{"id":"m5"}]}`)))
	require.Equal(t, `{"object":"list","data":[{ "\u0069d" : "m4" , "x" : [ 1 ] },{"x":{"id":"n"},"id":"m5"}]}`, string(list.Append(nil)))
	before := string(list.Append(nil))
	require.False(t, list.Add(0, &routes[0].Backends[0], []byte(`{"data":[{"id":"m6"},`+strings.Repeat(`0,`, 4096)+`0]}`)))
	require.Equal(t, before, string(list.Append(nil)), "of too long a list nothing is there")
	one, found := list.AppendModel(nil, "m4")
	require.True(t, found)
	require.Equal(t, `{ "\u0069d" : "m4" , "x" : [ 1 ] }`, string(one))
}

func TestNamesThatRoutesKnowThemselves(t *testing.T) {
	r, _ := router(t, `{"engine":{"provider":"vllm"},"routes":[
		{"name":"a","match":{"models":["m","n"]},"backends":[{"url":"http://a"}]},
		{"name":"b","match":{"models":["m","o"],"tenants":["t"]},"backends":[{"url":"http://b"}]}]}`)
	list := r.NewModelList(ask("", "t"), restricted(t, "m", "o"))
	require.True(t, list.AddNames())
	require.Equal(t, `{"object":"list","data":[{"id":"m","object":"model","created":0,"owned_by":"antwort"},{"id":"o","object":"model","created":0,"owned_by":"antwort"}]}`,
		string(list.Append(nil)))

	r, _ = router(t, someRoutes)
	require.False(t, r.NewModelList(ask("", ""), nil).AddNames(), "there are patterns")
	require.False(t, r.NewModelList(ask("", "a"), nil).AddNames(), "a route takes all models")
}

// restricted is a caller who may use certain models.
func restricted(t *testing.T, models ...string) *policy.Identity {
	t.Helper()
	cfg := config.Default()
	cfg.Auth.Type = config.APIKeyAuth
	cfg.Auth.APIKeys = []config.APIKey{{Digest: sum("k"), Subject: "s", Models: models}}
	id, err := policy.NewAccess(cfg).Identify([]string{"Bearer k"}, nil, policy.Told{})
	require.Nil(t, err)
	return id
}
