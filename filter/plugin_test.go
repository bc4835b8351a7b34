package filter_test

import (
	"testing"

	"antwort/filter/filtertest"

	"github.com/stretchr/testify/require"
)

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, config string
		env          map[string]string
		log          []string
	}{
		{"none", "", nil, []string{"engine.provider"}},
		{"not JSON", "provider: vllm", nil, []string{"not a JSON text"}},
		{"unknown keys", `{"engine":{"provider":"vllm","modle":"x"},"filtre":{}}`, nil, []string{"engine.modle", "filtre"}},
		{"bad value", `{"engine":{"provider":"vllm"},"filter":{"profile":"both"}}`, nil, []string{"filter.profile", "inline, gated"}},
		{"a file", `{"engine":{"provider":"vllm","api_key_file":"/run/key"}}`, nil, []string{"engine.api_key_file", "vmConfig.env"}},
		{"a variable that is not there", `{"engine":{"provider":"vllm","api_key_env":"KEY"}}`, nil, []string{"engine.api_key_env", "KEY"}},
		{"a bad variable", `{"engine":{"provider":"vllm"}}`, map[string]string{"ANTWORT_FILTER_PROFILE": "x"}, []string{"ANTWORT_FILTER_PROFILE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := filtertest.Start(module, filtertest.Options{Configuration: []byte(c.config), Env: c.env})
			require.Error(t, err)
			for _, text := range c.log {
				require.ErrorContains(t, err, text)
			}
		})
	}
}

// Secrets come by the VM's environment.
func TestKeyFromTheVMsEnvironment(t *testing.T) {
	up := newUpstream(gives(200, "application/json", chatHello))
	h := start(t, config("vllm", "inline", "engine.api_key_env", `"LLM_KEY"`), up, func(o *filtertest.Options) {
		o.Env = map[string]string{"LLM_KEY": "sk-env"}
	})
	post(t, h, hello)
	r, _ := up.last()
	require.Equal(t, "Bearer sk-env", r.Header.Get("Authorization"))
	for _, l := range h.Logs() {
		require.NotContains(t, l.Message, "sk-env")
	}
}

// Plugins with the same code share a VM: each has its own state.
func TestPluginsInOneVM(t *testing.T) {
	first, second := newUpstream(gives(200, "application/json", chatHello)), newUpstream(gives(200, "application/json", "{}"))
	a := start(t, config("vllm", "inline", "engine.default_model", `"of-a"`), first)
	b, err := a.Share(filtertest.Options{Configuration: config("vllm-responses", "inline"), Upstream: second})
	require.NoError(t, err)
	defer b.Close()
	c, err := a.Share(filtertest.Options{Configuration: config("vllm", "gated", "engine.default_model", `"of-c"`), Upstream: first, AllowOnHeadersStopIteration: true})
	require.NoError(t, err)
	defer c.Close()
	for range 3 {
		require.Contains(t, post(t, a, `{"input":"x"}`).body, `"model":"of-a"`)
		require.Equal(t, "{}", post(t, b, `{"input":"x"}`).body)
		require.Contains(t, post(t, c, `{"input":"x"}`).body, `"model":"of-c"`)
	}
}

// Ids are random: no two answers, and no two VMs, have the same.
func TestIDsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		h := start(t, config("vllm", "inline"), newUpstream(gives(200, "application/json", chatHello)))
		for range 20 {
			m := idPattern.FindStringSubmatch(post(t, h, hello).body)
			require.NotNil(t, m)
			require.False(t, seen[m[1]], "%s came twice", m[1])
			seen[m[1]] = true
		}
	}
}
