package forward

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"antwort/shared/responses"
)

const created = `event: response.created
data: {"type":"response.created","sequence_number":0,"response":{"id":"resp_1","status":"in_progress","error":null,"output":[],"metadata":{"k\u0007":"v"}}}

`
const item = `event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":3,"output_index":0,"item":{"id":"msg_1","content":[{"text":"a\u0000b"}]}}

`
const delta = `event: response.output_text.delta
data: {"type":"response.output_text.delta","delta":"\"sequence_number\":77","sequence_number": 4}

`
const completed = `data: {"type":"response.completed","sequence_number":5,"response":{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}}

`

var gone = responses.NewError(502, "upstream_cut", "gone")

func TestWholeEventsPassUnchanged(t *testing.T) {
	in := created + ": keep-alive\n\n" + item + delta + completed + "data: [DONE]\n\n"
	for i := range len(in) {
		var w Watch
		var out []byte
		for _, p := range []string{in[:i], in[i:]} {
			whole, err := w.Write([]byte(p))
			require.NoError(t, err)
			out = append(out, whole...)
			require.True(t, len(out) == 0 || strings.HasSuffix(string(out), "\n\n"), "half an event passed at %d", i)
		}
		require.Equal(t, in, string(w.End(out, nil)), "cut at %d", i)
		require.True(t, w.Done())
		o := w.Outcome()
		require.True(t, o.HasUsage)
		require.Equal(t, responses.Usage{Input: 3, Output: 4, Total: 7}, o.Usage)
		require.Equal(t, "completed", o.Status)
	}
}

func TestEnd(t *testing.T) {
	const errorEvent = `data: {"type":"error","sequence_number":N,"code":"upstream_cut","message":"gone","param":null,"error":{"message":"gone","type":"server_error","param":null,"code":"upstream_cut"}}` + "\n\n"
	failed := func(items string) string {
		return `data: {"type":"response.failed","sequence_number":N,"response":{"id":"resp_1","status":"failed","error":{"code":"upstream_cut","message":"gone"},"output":[` + items + `],"metadata":{"k\u0007":"v"}}}` + "\n\n"
	}
	number := func(event, n string) string { return strings.Replace(event, "N", n, 1) }
	inBackground := strings.Replace(created, `"status":`, `"background":true,"status":`, 1)
	for _, c := range []struct {
		name, in, end string
		replay        bool
	}{
		{name: "of a response in the background", in: inBackground},
		{name: "read again", in: delta, replay: true},
		{name: "read again, with nothing left", in: "data: [DONE]\n\n", replay: true},
		{name: "nothing but its end", in: "data: [DONE]\n\n", end: "event: error\n" + number(errorEvent, "0") + "data: [DONE]\n\n"},
		{name: "cut after some items", in: created + item + delta + "event: response.out",
			end: "event: error\n" + number(errorEvent, "5") + "event: response.failed\n" + number(failed(`{"id":"msg_1","content":[{"text":"a\u0000b"}]}`), "6") + "data: [DONE]\n\n"},
		{name: "cut after created", in: created, end: "event: error\n" + number(errorEvent, "1") + "event: response.failed\n" + number(failed(""), "2") + "data: [DONE]\n\n"},
		{name: "cut after an error event", in: created + "data: {\"type\":\"error\",\"sequence_number\":1}\n\n", end: "event: response.failed\n" + number(failed(""), "2") + "data: [DONE]\n\n"},
		{name: "cut before any event", in: "event: resp", end: "event: error\n" + number(errorEvent, "0") + "data: [DONE]\n\n"},
		{name: "broken after the terminal event", in: created + completed, end: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := Watch{Replay: c.replay}
			_, err := w.Write([]byte(c.in))
			require.NoError(t, err)
			require.Equal(t, c.end, string(w.End(nil, gone)))
			require.Empty(t, w.End(nil, gone), "a stream ends once")
		})
	}
}

func TestOutcomeOfAWatchedStream(t *testing.T) {
	const failed = `data: {"type":"response.failed","sequence_number":5,"response":{"status":"failed","error":{"code":"server_error","message":"broke"}}}` + "\n\n"
	for name, c := range map[string]struct {
		in       string
		end      bool // it broke then
		status   string
		code     string
		resource string
	}{
		"not yet":            {in: created + item},
		"completed":          {in: created + completed, status: "completed", resource: `{"usage":{"input_tokens":3,"output_tokens":4,"total_tokens":7}}`},
		"failed upstream":    {in: created + failed, status: "failed", code: "server_error", resource: `{"status":"failed","error":{"code":"server_error","message":"broke"}}`},
		"cancelled":          {in: `data: {"type":"response.cancelled","response":{}}` + "\n\n", status: "cancelled", resource: `{}`},
		"an error event":     {in: `data: {"type":"error","error":{"code":"busy","message":"m"}}` + "\n\n", code: "busy"},
		"a flat error event": {in: `data: {"type":"error","code":"busy","message":"m"}` + "\n\n", code: "busy"},
		"broken off":         {in: created, end: true, status: "failed", code: "upstream_cut", resource: `{"id":"resp_1","status":"failed","error":{"code":"upstream_cut","message":"gone"},"output":[],"metadata":{"k\u0007":"v"}}`},
		"broken before any":  {end: true, status: "failed", code: "upstream_cut"},
	} {
		t.Run(name, func(t *testing.T) {
			var w Watch
			_, err := w.Write([]byte(c.in))
			require.NoError(t, err)
			if c.end {
				w.End(nil, gone)
			}
			o := w.Outcome()
			require.Equal(t, c.status, o.Status)
			require.Equal(t, c.status == "failed", o.Failed())
			require.Equal(t, c.resource, string(o.Resource))
			if c.code == "" {
				require.Nil(t, o.Err)
			} else {
				require.Equal(t, c.code, o.Err.Code)
			}
			w.Release()
			require.Nil(t, w.Outcome().Resource, "its bytes may be used again")
		})
	}
}

// What is kept for a stream that breaks has a limit, at which the stream ends.
func TestKeptItemsHaveALimit(t *testing.T) {
	w := Watch{Most: 200}
	_, err := w.Write([]byte(created))
	require.NoError(t, err)
	for i := 0; err == nil; i++ {
		require.Less(t, i, 10, "it has no end")
		_, err = w.Write([]byte(item))
	}
	var e *responses.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, responses.AnswerTooLarge(), e)
	require.Contains(t, string(w.End(nil, e)), "event: response.failed")
}
