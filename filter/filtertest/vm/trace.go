package vm

import (
	"fmt"
	"strings"
)

// The trace that Options.Trace receives has a line for every callback with its
// arguments, for every host call with its status (indented), for every return
// of a callback with its result, and for every line that is logged. The number
// before each is the context: plugins and streams count from 1 in the order of
// their making.
//
//	#2 proxy_on_request_body(5, 0)
//	#2   proxy_set_buffer_bytes(0, 0, 2147483647) = 0
//	log: what the filter logs
//	#2 proxy_on_request_body = 1
//
// Arguments of callbacks are sizes or counts and the end of stream; those of
// host calls leave addresses out and show what they point at where it is text.
func (w *Worker) tracef(format string, a ...any) {
	_, _ = fmt.Fprintf(w.trace, format+"\n", a...)
}

func (w *Worker) traceCall(c *Context, name string, args []uint64) {
	if w.trace != nil {
		w.tracef("#%d %s(%s)", c.ID, name, numbers(args))
	}
}

func (w *Worker) traceReturn(c *Context, name string, result uint32) {
	if w.trace != nil {
		w.tracef("#%d %s = %d", c.ID, name, result)
	}
}

func (w *Worker) traceFailure(c *Context, name string) {
	if w.trace != nil {
		w.tracef("#%d %s failed", c.ID, name)
	}
}

func (w *Worker) traceHostCall(c *Context, f hostFunction, stack []uint64, st Status) {
	if w.trace == nil || c == nil || f.name == "proxy_log" {
		return
	}
	w.tracef("#%d   %s(%s) = %d", c.ID, f.name, w.arguments(f, stack), st)
}

// texts are the parameters, by function, where an address and a size of text
// begin.
var texts = map[string][]int{
	"proxy_get_header_map_value":     {1},
	"proxy_add_header_map_value":     {1, 3},
	"proxy_replace_header_map_value": {1, 3},
	"proxy_remove_header_map_value":  {1},
	"proxy_define_metric":            {1},
}

// plain are the parameters, by function, that are numbers to show.
var plain = map[string][]int{
	"proxy_get_header_map_value":         {0},
	"proxy_add_header_map_value":         {0},
	"proxy_replace_header_map_value":     {0},
	"proxy_remove_header_map_value":      {0},
	"proxy_get_header_map_pairs":         {0},
	"proxy_set_header_map_pairs":         {0},
	"proxy_get_buffer_bytes":             {0, 1, 2},
	"proxy_set_buffer_bytes":             {0, 1, 2},
	"proxy_send_local_response":          {0},
	"proxy_continue_stream":              {0},
	"proxy_close_stream":                 {0},
	"proxy_set_effective_context":        {0},
	"proxy_set_tick_period_milliseconds": {0},
	"proxy_define_metric":                {0},
	"proxy_increment_metric":             {0, 1},
	"proxy_record_metric":                {0, 1},
	"proxy_get_metric":                   {0},
}

func (w *Worker) arguments(f hostFunction, stack []uint64) string {
	var out []string
	for _, i := range plain[f.name] {
		if f.params[i] == 'I' {
			out = append(out, fmt.Sprint(int64(stack[i])))
		} else {
			out = append(out, fmt.Sprint(uint32(stack[i])))
		}
	}
	for _, i := range texts[f.name] {
		b, _ := w.running.memory.Read(uint32(stack[i]), uint32(stack[i+1]))
		out = append(out, fmt.Sprintf("%q", b))
	}
	return strings.Join(out, ", ")
}

func numbers(args []uint64) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = fmt.Sprint(a)
	}
	return strings.Join(out, ", ")
}
