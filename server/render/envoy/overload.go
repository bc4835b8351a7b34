package envoy

import (
	"cmp"

	"antwort/shared/config"
)

// maxConnections of clients protect the file descriptors of the process.
const maxConnections = 50_000

// What Envoy's own heap takes, beside the VMs: when it is idle, and how many workers there
// are where nobody says it.
const (
	idleHeap    = 64 << 20
	someWorkers = 4
)

// overloadManager bounds what Envoy takes for all of its clients.
func (r *renderer) overloadManager() object {
	connections := extension("envoy.resource_monitors.global_downstream_max_connections",
		"envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
		object{{"max_active_downstream_connections", maxConnections}})
	if r.c.Engine.Provider != config.VLLM {
		return object{{"resource_monitors", list{connections}}}
	}
	each := r.c.Limits.InFlight(true) * 3 / 2
	return boundedHeap(idleHeap+each*int64(cmp.Or(r.o.Workers, someWorkers)), connections)
}

// HeapBootstrap is the part of a bootstrap, as JSON, that bounds the heap of an Envoy that
// translates.
func HeapBootstrap(bytes int64) ([]byte, error) {
	return marshal(object{{"overload_manager", boundedHeap(bytes)}})
}

// boundedHeap bounds Envoy's heap. It holds what clients do not read, also when the filter has
// long been done with it: their connections are closed, the sooner the less room there is, and
// streams of HTTP/2 that hold most are reset, before new requests are refused. What only passes
// it reads no faster than its clients do.
func boundedHeap(bytes int64, monitors ...any) object {
	const heap = "envoy.resource_monitors.fixed_heap"
	monitor := extension(heap, "envoy.extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
		object{{"max_heap_size_bytes", bytes}})
	over := func(share float64) list {
		return list{object{{"name", heap}, {"threshold", object{{"value", share}}}}}
	}
	between := func(from, to float64) list {
		return list{object{{"name", heap}, {"scaled", object{{"scaling_threshold", from}, {"saturation_threshold", to}}}}}
	}
	idle := object{{"timer", "HTTP_DOWNSTREAM_CONNECTION_IDLE"}, {"min_timeout", "1s"}}
	return object{
		{"refresh_interval", "0.25s"},
		{"resource_monitors", list(append(monitors, monitor))},
		{"buffer_factory_config", object{{"minimum_account_to_track_power_of_two", 20}}},
		{"actions", list{
			object{{"name", "envoy.overload_actions.shrink_heap"}, {"triggers", over(0.7)}},
			object{
				{"name", "envoy.overload_actions.reduce_timeouts"}, {"triggers", between(0.6, 0.8)},
				{"typed_config", typed("envoy.config.overload.v3.ScaleTimersOverloadActionConfig", object{{"timer_scale_factors", list{idle}}})},
			},
			object{{"name", "envoy.overload_actions.reset_high_memory_stream"}, {"triggers", between(0.8, 0.9)}},
			object{{"name", "envoy.overload_actions.stop_accepting_requests"}, {"triggers", over(0.9)}},
		}},
	}
}
