package envoy

import (
	"strconv"

	"antwort/shared/config"
)

// pluginName names the filter in Envoy's configuration.
const pluginName = "antwort"

// plugin is the filter with its configuration.
//
// A panic that escapes the filter's own recovery kills the VM with all of its
// streams. FAIL_RELOAD then starts a new one; FAIL_CLOSED would answer 503 for
// ever, FAIL_OPEN would pass requests on unchecked.
func (r *renderer) plugin() object {
	return extension(pluginName, "envoy.extensions.filters.http.wasm.v3.Wasm", object{{"config", r.pluginConfig()}})
}

func (r *renderer) pluginConfig() object {
	filter, variables := r.c.ForFilter()
	// Without it Envoy from 1.35 calls no body callback while the headers are
	// held; an older one refuses it, and cannot run the gated profile.
	var gate any
	if r.gated() {
		gate = true
	}
	return object{
		{"name", pluginName},
		{"vm_config", object{
			{"vm_id", r.vmID()},
			{"runtime", "envoy.wasm.runtime.v8"},
			{"code", object{{"local", object{{"filename", r.o.Module}}}}},
			{"environment_variables", r.environment(variables)},
		}},
		{"configuration", typed("google.protobuf.StringValue", object{{"value", string(filter.AppendJSON(nil))}})},
		{"failure_policy", "FAIL_RELOAD"},
		{"allow_on_headers_stop_iteration", gate},
	}
}

func (r *renderer) gated() bool { return r.c.Filter.Profile == config.Gated }

// vmID tells VMs apart that run the same module: Envoy does not look at the
// variables when it searches for a VM to use again.
func (r *renderer) vmID() string {
	if s := r.o.Supervised; s != nil {
		return pluginName + "-" + strconv.Itoa(s.Generation)
	}
	return pluginName
}

// environment gives the VM its variables. Only a supervised Envoy gets their
// values; another one takes them from its own environment.
func (r *renderer) environment(variables []config.Variable) any {
	if len(variables) == 0 {
		return nil
	}
	if r.o.Supervised == nil {
		var names list
		for _, v := range variables {
			names = append(names, v.Name)
		}
		return object{{"host_env_keys", names}}
	}
	var values object
	for _, v := range variables {
		values = append(values, member{v.Name, v.Value.Reveal()})
	}
	return object{{"key_values", values}}
}
