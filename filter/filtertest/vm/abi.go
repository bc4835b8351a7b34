package vm

import (
	"context"
	"errors"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Status is the result of a host call.
type Status uint32

// What host calls come to.
const (
	OK                   Status = 0
	NotFound             Status = 1
	BadArgument          Status = 2
	SerializationFailure Status = 3
	InvalidMemoryAccess  Status = 6
	CasMismatch          Status = 8
	InternalFailure      Status = 10
	Unimplemented        Status = 12
)

// args are the parameters of a host call, 4 or 8 bytes each.
type args struct {
	v *Instance
	a []uint64
}

func (c args) u32(i int) uint32 { return uint32(c.a[i]) }

// bytes reads the address and size at parameters i and i+1. They are the
// module's own memory: valid until the host call returns.
func (c args) bytes(i int) []byte {
	b, ok := c.v.memory.Read(c.u32(i), c.u32(i+1))
	if !ok {
		panic(errMemory)
	}
	return b
}

func (c args) string(i int) string { return string(c.bytes(i)) }

// return32 stores a 4-byte result where parameter i points.
func (c args) return32(i int, value uint32) Status {
	if !c.v.memory.WriteUint32Le(c.u32(i), value) {
		return InvalidMemoryAccess
	}
	return OK
}

// errMemory ends a host call whose arguments lie outside the module's memory.
var errMemory = errors.New("host call with an address outside of the module's memory")

type hostFunction struct {
	name   string
	params string // i: 4 bytes, I: 8 bytes
	call   func(c args) Status
}

// hostFunctions are the functions of ABI 0.2 and what each needs.
func hostFunctions() []hostFunction {
	return []hostFunction{
		{"proxy_log", "iii", hostLog},
		{"proxy_get_log_level", "i", func(c args) Status { return c.return32(0, 2) }},
		{"proxy_get_current_time_nanoseconds", "i", hostTime},
		{"proxy_set_tick_period_milliseconds", "i", hostSetTickPeriod},
		{"proxy_set_effective_context", "i", hostSetEffectiveContext},
		{"proxy_done", "", func(args) Status { return NotFound }},
		{"proxy_get_status", "iii", func(c args) Status { c.return32(0, 0); return c.v.give(nil, c.u32(1), c.u32(2)) }},

		{"proxy_get_header_map_value", "iiiii", hostGetHeader},
		{"proxy_add_header_map_value", "iiiii", hostAddHeader},
		{"proxy_replace_header_map_value", "iiiii", hostReplaceHeader},
		{"proxy_remove_header_map_value", "iii", hostRemoveHeader},
		{"proxy_get_header_map_pairs", "iii", hostGetHeaders},
		{"proxy_set_header_map_pairs", "iii", hostSetHeaders},
		{"proxy_get_header_map_size", "ii", hostHeadersSize},

		{"proxy_get_buffer_bytes", "iiiii", hostGetBuffer},
		{"proxy_set_buffer_bytes", "iiiii", hostSetBuffer},
		{"proxy_get_buffer_status", "iii", hostBufferStatus},

		{"proxy_send_local_response", "iiiiiiii", hostSendLocalResponse},
		{"proxy_continue_stream", "i", hostContinueStream},
		{"proxy_close_stream", "i", hostCloseStream},
		{"proxy_http_call", "iiiiiiiiii", hostHTTPCall},

		{"proxy_get_property", "iiii", hostGetProperty},
		{"proxy_set_property", "iiii", hostSetProperty},
		{"proxy_get_shared_data", "iiiii", hostGetSharedData},
		{"proxy_set_shared_data", "iiiii", hostSetSharedData},

		{"proxy_define_metric", "iiii", hostDefineMetric},
		{"proxy_increment_metric", "iI", hostIncrementMetric},
		{"proxy_record_metric", "iI", hostRecordMetric},
		{"proxy_get_metric", "ii", hostGetMetric},

		{"proxy_call_foreign_function", "iiiiii", func(args) Status { return NotFound }},
		{"proxy_register_shared_queue", "iii", unimplemented},
		{"proxy_resolve_shared_queue", "iiiii", unimplemented},
		{"proxy_enqueue_shared_queue", "iii", unimplemented},
		{"proxy_dequeue_shared_queue", "iii", unimplemented},
		{"proxy_grpc_call", "iiiiiiiiiiii", unimplemented},
		{"proxy_grpc_stream", "iiiiiiiii", unimplemented},
		{"proxy_grpc_send", "iiii", unimplemented},
		{"proxy_grpc_close", "i", unimplemented},
		{"proxy_grpc_cancel", "i", unimplemented},
	}
}

func unimplemented(args) Status { return Unimplemented }

// workerKey is the context's key of the worker whose VM runs.
type workerKey struct{}

// exportHostFunctions makes the module "env" of a runtime.
func exportHostFunctions(ctx context.Context, runtime wazero.Runtime) error {
	builder := runtime.NewHostModuleBuilder("env")
	for _, f := range hostFunctions() {
		params := make([]api.ValueType, len(f.params))
		for i, p := range f.params {
			params[i] = api.ValueTypeI32
			if p == 'I' {
				params[i] = api.ValueTypeI64
			}
		}
		call := func(ctx context.Context, module api.Module, stack []uint64) {
			w := ctx.Value(workerKey{}).(*Worker)
			v := w.running
			if v.memory == nil { // during _initialize
				v.memory = module.Memory()
			}
			if v.starting && f.name != "proxy_log" {
				panic(errors.New("restricted_callback: " + f.name + " called by _initialize"))
			}
			st := f.call(args{v, stack[:len(params)]})
			w.traceHostCall(v.target(), f, stack, st)
			stack[0] = uint64(st)
		}
		builder.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(call), params, []api.ValueType{api.ValueTypeI32}).
			Export(f.name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}
