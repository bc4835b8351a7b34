package conformance

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// record reads a proxy's lines for one exchange.
type record struct {
	ctx   context.Context
	proxy Proxy
	from  int // the exchange's first line
	name  string

	arrived chan struct{} // closed when the upstream has the request
}

// event waits until the filter has logged a text, or for Arrived.
func (r *record) event(after string) error {
	if after != Arrived {
		return r.watch(r.ctx).await(after)
	}
	select {
	case <-r.arrived:
		return nil
	case <-r.ctx.Done():
		return fmt.Errorf("the request did not arrive: %w", r.ctx.Err())
	}
}

// watch waits for what the plugin logs. Each call for the same text finds
// another line; others' watches do not matter.
type watch struct {
	r    *record
	ctx  context.Context
	next map[string]int // the line after the last that was found
}

func (r *record) watch(ctx context.Context) *watch { return &watch{r, ctx, map[string]int{}} }

// await waits for the next line that the plugin logged for this exchange and
// that contains text.
func (w *watch) await(text string) error {
	r := w.r
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	defer context.AfterFunc(w.ctx, cancel)()
	for n := max(w.next[text], r.from); ; n++ {
		line, err := r.proxy.Line(ctx, n)
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", text, err)
		}
		if strings.HasPrefix(line, "log: "+r.name+" ") && strings.Contains(line, text) {
			w.next[text] = n + 1
			return nil
		}
	}
}

// finish waits until the context of the first stream that does not fail was
// deleted and no callback of it is running.
func (r *record) finish() error {
	id, deleted, open := "", false, 0
	for n := r.from; !deleted || open > 0; n++ {
		line, err := r.proxy.Line(r.ctx, n)
		if err != nil {
			return err
		}
		if id == "" && newStream(line) {
			id, _, _ = strings.Cut(line, " ")
			continue
		}
		callback, ok := strings.CutPrefix(line, id+" proxy_on_")
		switch {
		case id == "" || !ok:
		case callback == "delete()":
			deleted = true
		case strings.HasSuffix(callback, " failed"):
			id, open = "", 0
		case strings.Contains(callback, " = "):
			open--
		case strings.HasPrefix(callback, "request_"), strings.HasPrefix(callback, "response_"), strings.HasPrefix(callback, "done"):
			open++
		}
	}
	return nil
}

// newStream says that a line makes a stream's context, not a plugin's.
func newStream(line string) bool {
	return strings.Contains(line, " proxy_on_context_create(") && !strings.HasSuffix(line, "(0)")
}

var (
	headerCounts = regexp.MustCompile(`(proxy_on_(?:request|response)_headers)\(\d+, (\d)\)`)
	traceID      = regexp.MustCompile(`^#(\d+) (.*)$`)
)

// trace gives the exchange's lines: callbacks of its streams without their
// ids, and what the plugin logged of its actions. Header counts are left out,
// as they depend on what else a proxy adds.
func (r *record) trace() string {
	var out []string
	streams := map[string]bool{}
	for n, end := r.from, r.proxy.Lines(); n < end; n++ {
		line, err := r.proxy.Line(r.ctx, n)
		if err != nil {
			break
		}
		if text, ok := strings.CutPrefix(line, "log: "+r.name+" "); ok {
			switch {
			case strings.HasPrefix(text, "  "), text == "tick", strings.HasPrefix(text, "call_response"):
				out = append(out, "  "+strings.TrimPrefix(text, "  "))
			}
			continue
		}
		m := traceID.FindStringSubmatch(line)
		switch {
		case m == nil, strings.HasPrefix(m[2], " "), m[2] == "proxy_on_done = 1", m[2] == "proxy_on_tick()":
		case newStream(line):
			streams[m[1]] = true
		case strings.HasPrefix(m[2], "proxy_on_http_call_response("):
			out = append(out, "proxy_on_http_call_response")
		case streams[m[1]]:
			out = append(out, headerCounts.ReplaceAllString(m[2], "$1(_, $2)"))
		}
	}
	return strings.Join(out, "\n")
}

var bodySizes = regexp.MustCompile(`(proxy_on_(?:request|response)_body)\(\d+, (\d)\)`)

// maskSizes leaves out the sizes of body callbacks, and those callbacks that
// repeat the one before: how many there are is the network's choice.
func maskSizes(trace string) string {
	lines := strings.Split(bodySizes.ReplaceAllString(trace, "$1(_, $2)"), "\n")
	var blocks []string // a callback with its actions and its return
	for _, l := range lines {
		if len(blocks) > 0 && (strings.HasPrefix(l, "  ") || strings.Contains(l, " = ")) {
			blocks[len(blocks)-1] += "\n" + l
		} else {
			blocks = append(blocks, l)
		}
	}
	var out []string
	for i, b := range blocks {
		if i == 0 || b != blocks[i-1] || !strings.Contains(b, "_body(") {
			out = append(out, b)
		}
	}
	return strings.Join(out, "\n")
}
