package envoy_test

import (
	"encoding/json"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/filter/filtertest"
	"antwort/filter/filtertest/conformance"
)

type object = map[string]any

// bootstrap makes an Envoy configuration with a listener for every setup,
// named by its key.
func bootstrap(t *testing.T, module string, setups map[string]conformance.Setup, upstream, nobody string) []byte {
	var listeners []object
	for name, setup := range setups {
		listeners = append(listeners, listener(name, setup, module))
	}
	same := object{"use_downstream_protocol_config": object{"http_protocol_options": object{}, "http2_protocol_options": object{}}}
	http2 := object{"explicit_http_config": object{"http2_protocol_options": object{}}}
	config, err := json.Marshal(object{
		"admin": object{"address": socket("127.0.0.1:0")},
		"static_resources": object{"listeners": listeners, "clusters": []object{
			cluster("upstream", upstream, same), cluster("http2", upstream, http2),
			cluster("other", upstream, nil), cluster("nobody", nobody, nil),
		}},
	})
	require.NoError(t, err)
	return config
}

func socket(address string) object {
	host, port, _ := net.SplitHostPort(address)
	var number int
	_, _ = fmt.Sscan(port, &number)
	return object{"socket_address": object{"address": host, "port_value": number}}
}

func cluster(name, address string, protocol object) object {
	c := object{
		"name": name, "connect_timeout": "5s",
		"load_assignment": object{"cluster_name": name, "endpoints": []object{
			{"lb_endpoints": []object{{"endpoint": object{"address": socket(address)}}}},
		}},
	}
	if protocol != nil {
		const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
		protocol["@type"] = "type.googleapis.com/" + options
		c["typed_extension_protocol_options"] = object{options: protocol}
	}
	return c
}

func listener(name string, setup conformance.Setup, module string) object {
	limit := setup.BufferLimit
	if limit == 0 {
		limit = 1 << 20
	}
	const filters = "type.googleapis.com/envoy.extensions.filters."
	return object{
		"name": name, "address": socket("127.0.0.1:0"), "per_connection_buffer_limit_bytes": limit,
		"filter_chains": []object{{"filters": []object{{
			"name": "http", "typed_config": object{
				"@type":        filters + "network.http_connection_manager.v3.HttpConnectionManager",
				"stat_prefix":  "http",
				"route_config": object{"virtual_hosts": []object{{"name": "all", "domains": []string{"*"}, "routes": routes(setup)}}},
				"http_filters": append(notes(setup),
					object{"name": "wasm", "typed_config": object{"@type": filters + "http.wasm.v3.Wasm", "config": plugin(setup, module)}},
					object{"name": "router", "typed_config": object{"@type": filters + "http.router.v3.Router"}},
				),
			},
		}}}},
	}
}

// notes is the filter in front that sets dynamic metadata.
func notes(setup conformance.Setup) []object {
	if setup.Metadata == "" {
		return nil
	}
	return []object{{"name": "notes", "typed_config": object{
		"@type":    "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config",
		"metadata": []object{{"metadata_namespace": "noted.by", "value": json.RawMessage(setup.Metadata)}},
	}}}
}

func plugin(setup conformance.Setup, module string) object {
	policies := map[filtertest.FailurePolicy]string{
		filtertest.FailClosed: "FAIL_CLOSED", filtertest.FailOpen: "FAIL_OPEN", filtertest.FailReload: "FAIL_RELOAD",
	}
	p := object{
		"name":           "script",
		"failure_policy": policies[setup.Policy],
		"configuration":  object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": conformance.Configuration},
		"vm_config": object{
			"vm_id": setup.OwnVM, "runtime": "envoy.wasm.runtime.v8",
			"code": object{"local": object{"filename": module}},
		},
	}
	if setup.Knob {
		p["allow_on_headers_stop_iteration"] = true
	}
	if setup.Policy == filtertest.FailReload {
		p["reload_config"] = object{"backoff": object{"base_interval": fmt.Sprintf("%.3fs", conformance.ReloadInterval.Seconds())}}
	}
	return p
}

func routes(setup conformance.Setup) []object {
	prefixes := setup.Routes
	if prefixes == nil {
		prefixes = []string{"/"}
	}
	var all []object
	for _, prefix := range prefixes {
		action := object{"cluster": "upstream"}
		switch {
		case setup.Unreachable:
			action["cluster"] = "nobody"
		case setup.HTTP2Upstream:
			action["cluster"] = "http2"
		}
		if setup.RouteTimeout > 0 {
			action["timeout"] = fmt.Sprintf("%.3fs", setup.RouteTimeout.Seconds())
		}
		all = append(all, object{"match": object{"prefix": prefix}, "route": action})
	}
	return all
}
