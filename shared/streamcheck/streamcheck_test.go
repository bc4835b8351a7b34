package streamcheck_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/shared/streamcheck"
)

// An event of a test stream; its sequence number is set by render.
type event struct{ name, members string }

func render(events []event) string {
	var b strings.Builder
	for i, e := range events {
		fmt.Fprintf(&b, "event: %s\ndata: {\"type\":%q,\"sequence_number\":%d%s}\n\n", e.name, e.name, i, e.members)
	}
	b.WriteString("data: [DONE]\n\n")
	return b.String()
}

func resource(status, output string) string {
	completed, details, failure, usage := "null", "null", "null", "null"
	switch status {
	case "completed":
		completed = "1700000002"
		usage = `{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":3}`
	case "incomplete":
		details = `{"reason":"max_output_tokens"}`
	case "failed":
		failure = `{"code":"server_error","message":"upstream broke"}`
	}
	return fmt.Sprintf(`,"response":{"id":"resp_1","object":"response","created_at":1700000000,"status":%q,"completed_at":%s,"incomplete_details":%s,"error":%s,"model":"m",`+
		`"output":[%s],"usage":%s,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1,`+
		`"presence_penalty":0,"frequency_penalty":0,"top_logprobs":0,"temperature":1,"store":false,"background":false,"service_tier":"default","metadata":{},`+
		`"previous_response_id":null,"instructions":null,"reasoning":null,"max_output_tokens":null,"max_tool_calls":null,"safety_identifier":null,"prompt_cache_key":null}`,
		status, completed, details, failure, output, usage)
}

func begin() []event {
	return []event{{"response.created", resource("in_progress", "")}, {"response.in_progress", resource("in_progress", "")}}
}

func end(status string, items ...string) event {
	return event{"response." + status, resource(status, strings.Join(items, ","))}
}

func message(i int, status, content string) string {
	return fmt.Sprintf(`{"id":"msg_%d","type":"message","status":%q,"role":"assistant","content":[%s]}`, i, status, content)
}

func textPart(text string) string {
	return fmt.Sprintf(`{"type":"output_text","text":%q,"annotations":[]}`, text)
}

// textItem are the events of a message with the deltas.
func textItem(i int, status string, deltas ...string) ([]event, string) {
	at := fmt.Sprintf(`,"output_index":%d,"item_id":"msg_%d","content_index":0`, i, i)
	events := []event{
		{"response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, message(i, "in_progress", ""))},
		{"response.content_part.added", at + `,"part":` + textPart("")},
	}
	for _, d := range deltas {
		events = append(events, event{"response.output_text.delta", at + fmt.Sprintf(`,"delta":%q,"logprobs":[]`, d)})
	}
	text := strings.Join(deltas, "")
	done := message(i, status, textPart(text))
	return append(events,
		event{"response.output_text.done", at + fmt.Sprintf(`,"text":%q,"logprobs":[]`, text)},
		event{"response.content_part.done", at + `,"part":` + textPart(text)},
		event{"response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, done)}), done
}

func refusalItem(i int) ([]event, string) {
	at := fmt.Sprintf(`,"output_index":%d,"item_id":"msg_%d","content_index":0`, i, i)
	done := message(i, "completed", `{"type":"refusal","refusal":"No."}`)
	return []event{
		{"response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, message(i, "in_progress", ""))},
		{"response.content_part.added", at + `,"part":{"type":"refusal","refusal":""}`},
		{"response.refusal.delta", at + `,"delta":"No."`},
		{"response.refusal.done", at + `,"refusal":"No."`},
		{"response.content_part.done", at + `,"part":{"type":"refusal","refusal":"No."}`},
		{"response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, done)},
	}, done
}

func reasoningItem(i int, vocabulary string) ([]event, string) {
	at := fmt.Sprintf(`,"output_index":%d,"item_id":"rs_%d","content_index":0`, i, i)
	done := fmt.Sprintf(`{"id":"rs_%d","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"Hmm."}]}`, i)
	return []event{
		{"response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":{"id":"rs_%d","type":"reasoning","summary":[]}`, i, i)},
		{"response.content_part.added", at + `,"part":{"type":"reasoning_text","text":""}`},
		{"response." + vocabulary + ".delta", at + `,"delta":"Hmm."`},
		{"response." + vocabulary + ".done", at + `,"text":"Hmm."`},
		{"response.content_part.done", at + `,"part":{"type":"reasoning_text","text":"Hmm."}`},
		{"response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, done)},
	}, done
}

func summaryItem(i int) ([]event, string) {
	at := fmt.Sprintf(`,"output_index":%d,"item_id":"rs_%d","summary_index":0`, i, i)
	done := fmt.Sprintf(`{"id":"rs_%d","type":"reasoning","summary":[{"type":"summary_text","text":"So."}],"status":"completed"}`, i)
	return []event{
		{"response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":{"id":"rs_%d","type":"reasoning","summary":[],"status":"in_progress"}`, i, i)},
		{"response.reasoning_summary_part.added", at + `,"part":{"type":"summary_text","text":""}`},
		{"response.reasoning_summary_text.delta", at + `,"delta":"So."`},
		{"response.reasoning_summary_text.done", at + `,"text":"So."`},
		{"response.reasoning_summary_part.done", at + `,"part":{"type":"summary_text","text":"So."}`},
		{"response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, done)},
	}, done
}

func callItem(i int, kind, events, member, text string) ([]event, string) {
	whole := func(status, text string) string {
		return fmt.Sprintf(`{"id":"fc_%d","type":%q,"call_id":"call_%d","name":"f",%q:%q,"status":%q}`, i, kind, i, member, text, status)
	}
	at := fmt.Sprintf(`,"output_index":%d,"item_id":"fc_%d"`, i, i)
	out := []event{{"response.output_item.added", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, whole("in_progress", ""))}}
	for half := range strings.SplitAfterSeq(text, ":") {
		if half != "" {
			out = append(out, event{"response." + events + ".delta", at + fmt.Sprintf(`,"delta":%q`, half)})
		}
	}
	done := whole("completed", text)
	return append(out, event{"response." + events + ".done", at + fmt.Sprintf(`,%q:%q`, member, text)},
		event{"response.output_item.done", fmt.Sprintf(`,"output_index":%d,"item":%s`, i, done)}), done
}

func function(i int) ([]event, string) {
	return callItem(i, "function_call", "function_call_arguments", "arguments", `{"a":1}`)
}

// stream joins items to a stream with the terminal status.
func stream(status string, items ...func(i int) ([]event, string)) []event {
	events := begin()
	var done []string
	for i, make := range items {
		e, d := make(i)
		events = append(events, e...)
		done = append(done, d)
	}
	return append(events, end(status, done...))
}

func text(status string, deltas ...string) func(int) ([]event, string) {
	return func(i int) ([]event, string) { return textItem(i, status, deltas...) }
}

func reasoning(vocabulary string) func(int) ([]event, string) {
	return func(i int) ([]event, string) { return reasoningItem(i, vocabulary) }
}

const errorMembers = `,"code":"server_error","message":"upstream broke","param":null,"error":{"message":"upstream broke","type":"server_error","param":null,"code":null}`

// hello is the stream that most defects are put into: 3 adds a message, 4 its
// part, 5 and 6 are deltas, 7 8 9 are the done events, 10 ends, 11 is [DONE].
func hello() []event { return stream("completed", text("completed", "Hel", "lo")) }

func TestGoodStreams(t *testing.T) {
	custom := func(i int) ([]event, string) {
		return callItem(i, "custom_tool_call", "custom_tool_call_input", "input", "ls: x")
	}
	noArguments := func(i int) ([]event, string) {
		return callItem(i, "function_call", "function_call_arguments", "arguments", "")
	}
	open, _ := textItem(0, "completed", "Hel", "lo")
	for name, s := range map[string]string{
		"text":                        render(hello()),
		"empty text":                  render(stream("completed", text("completed"))),
		"refusal":                     render(stream("completed", refusalItem)),
		"reasoning_text, text, calls": render(stream("completed", reasoning("reasoning_text"), text("completed", "a"), function, custom)),
		"reasoning":                   render(stream("completed", reasoning("reasoning"), text("completed", "a"))),
		"summary":                     render(stream("completed", summaryItem)),
		"parallel calls":              render(stream("completed", function, function, noArguments)),
		"incomplete":                  render(stream("incomplete", reasoning("reasoning_text"), text("completed", "a"), text("incomplete", "b"))),
		"incomplete without items":    render(stream("incomplete")),
		"failed at once":              render(append(begin(), event{"error", errorMembers}, end("failed"))),
		"failed with an open item":    render(slices.Concat(begin(), open[:3], []event{{"error", errorMembers}, end("failed")})),
		"failed without error event":  render(append(begin(), end("failed"))),
		"annotation": render(slices.Insert(hello(), 4, event{"response.output_text.annotation.added",
			`,"output_index":0,"item_id":"msg_0","content_index":0,"annotation_index":0,"annotation":{"type":"url_citation"}`})),
		"it could not be stored": strings.Replace(render(hello()), `"store":false`, `"store":true`, 2),
		"comments":               ": hello\n\n" + strings.ReplaceAll(render(hello()), "event: ", ": tick\n\nevent: "),
		"comment before fields":  strings.ReplaceAll(render(hello()), "event: ", ": tick\nevent: "),
		"CRLF":                   strings.ReplaceAll(render(hello()), "\n", "\r\n"),
		"CR":                     strings.ReplaceAll(render(hello()), "\n", "\r"),
		"no space":               strings.ReplaceAll(strings.ReplaceAll(render(hello()), "data: {", "data:{"), "event: ", "event:"),
		"spaced JSON":            strings.ReplaceAll(render(hello()), `,"`, `, "`),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Empty(t, streamcheck.Check(strings.NewReader(s)), s)
			var c streamcheck.Checker
			for i := range len(s) {
				_, _ = c.Write([]byte{s[i]})
			}
			assert.Empty(t, c.Close(), "byte by byte: %s", s)
		})
	}
}

func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.sse")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var c streamcheck.Checker
		_, _ = c.Write(b)
		assert.Empty(t, c.Close(), file)
		assert.Equal(t, 1, c.Count("response.completed")+c.Count("response.failed"), file)
	}
}

// Every stream has one defect, which must be the first problem reported: with
// its rule, at its event.
func TestDefects(t *testing.T) {
	// in replaces old, which must be there once, in the text of hello.
	in := func(old, new string) string {
		s := render(hello())
		require.Equal(t, 1, strings.Count(s, old), "%q in %s", old, s)
		return strings.Replace(s, old, new, 1)
	}
	// at changes the members of one event of a stream; the first is 1.
	at := func(events []event, number int, old, new string) string {
		require.Equal(t, 1, strings.Count(events[number-1].members, old), "%q in %s", old, events[number-1].members)
		events[number-1].members = strings.Replace(events[number-1].members, old, new, 1)
		return render(events)
	}
	without := func(events []event, number int) string { return render(slices.Delete(events, number-1, number)) }
	insert := func(events []event, number int, more ...event) string {
		return render(slices.Insert(events, number-1, more...))
	}
	call := func() []event { return stream("completed", function) } // 3 added, 4 5 deltas, 6 done, 7 item done, 8 end
	incomplete := func() []event { return stream("incomplete", text("incomplete", "a")) }
	failed := func() []event { return append(begin(), event{"error", errorMembers}, end("failed")) }
	first, firstDone := textItem(0, "completed", "a")
	second, secondDone := textItem(1, "completed", "b")

	for name, tt := range map[string]struct {
		stream string
		event  int
		rule   string
		text   string // a part of it
	}{
		"no events":             {"", 0, "order", "no events"},
		"unfinished last event": {strings.TrimSuffix(render(hello()), "\n"), 10, "framing", "blank line"},
		"id line":               {in("event: response.completed", "id: 9\nevent: response.completed"), 10, "framing", "id: 9"},
		"comment within":        {in("event: response.completed\n", "event: response.completed\n: tick\n"), 10, "framing", "comments between"},
		"event without data":    {in("event: response.completed", "event: ping\n\nevent: response.completed"), 10, "framing", "data: line"},
		"not JSON":              {in(`"delta":"Hel"`, `"delta":"Hel`), 5, "json", "expected JSON"},
		"not an object":         {in("event: response.completed", "event: x\ndata: 1\n\nevent: response.completed"), 10, "json", "JSON object"},
		"other event name":      {in("event: response.completed", "event: response.incomplete"), 10, "event-name", "expected event: response.completed"},
		"no event name":         {in("event: response.completed\n", ""), 10, "event-name", `got ""`},

		"vendor event":           {insert(hello(), 5, event{"response.thinking", ""}), 5, "known-event", "response.thinking"},
		"event without prefix":   {insert(hello(), 5, event{"ping", ""}), 5, "known-event", "ping"},
		"mixed vocabularies":     {render(stream("completed", reasoning("reasoning"), reasoning("reasoning_text"))), 11, "vocabulary", "response.reasoning.*"},
		"sequence from 1":        {in(`"sequence_number":0`, `"sequence_number":1`), 1, "sequence", "expected sequence_number 0, got 1"},
		"sequence gap":           {strings.NewReplacer(`r":5`, `r":15`, `r":6`, `r":16`, `r":7`, `r":17`, `r":8`, `r":18`, `r":9`, `r":19`).Replace(render(hello())), 6, "sequence", "expected sequence_number 5, got 15"},
		"sequence missing":       {in(`"sequence_number":9,`, ``), 10, "sequence", "got nothing"},
		"no logprobs in delta":   {in(`"delta":"lo","logprobs":[]`, `"delta":"lo"`), 6, "member", "logprobs to be an array"},
		"index a string":         {at(hello(), 4, `"content_index":0`, `"content_index":"0"`), 4, "member", "content_index to be an integer"},
		"delta a number":         {in(`"delta":"lo"`, `"delta":1`), 6, "member", "delta to be a string"},
		"no created":             {without(hello(), 1), 1, "order", "expected response.created first"},
		"no in_progress":         {without(hello(), 2), 2, "order", "expected response.in_progress second"},
		"two in_progress":        {insert(hello(), 3, begin()[1]), 3, "order", "a second response.in_progress"},
		"output at the begin":    {at(hello(), 2, `"output":[]`, `"output":[1]`), 2, "order", "expected output []"},
		"no terminal event":      {without(hello(), 10), 10, "done", "terminal event before"},
		"two terminal events":    {insert(hello(), 11, hello()[9]), 11, "order", "after the terminal event"},
		"event after the end":    {insert(hello(), 11, hello()[5]), 11, "order", "after the terminal event"},
		"resource member absent": {at(hello(), 10, `"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":0},"output_tokens":2,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":3},`, ``), 10, "resource", "expected response.usage, null at least"},
		"resource member null":   {strings.ReplaceAll(render(hello()), `"service_tier":"default"`, `"service_tier":null`), 1, "resource", "expected response.service_tier, not null"},
		"no object":              {strings.ReplaceAll(render(hello()), `"object":"response"`, `"object":"reply"`), 1, "resource", `response.object "response"`},
		"usage without details":  {in(`"output_tokens_details":{"reasoning_tokens":0},`, ``), 10, "resource", "usage.reasoning_tokens"},
		"echo changes":           {at(hello(), 10, `"temperature":1`, `"temperature":0.5`), 10, "echo", "response.temperature"},
		"store comes true":       {at(hello(), 10, `"store":false`, `"store":true`), 10, "echo", "response.store"},
		"id of the response":     {at(hello(), 10, `"id":"resp_1"`, `"id":"resp_2"`), 10, "echo", "response.id"},

		"status of created":         {at(hello(), 1, `"status":"in_progress"`, `"status":"queued"`), 1, "status", `expected status "in_progress"`},
		"completed_at null":         {at(hello(), 10, `1700000002`, `null`), 10, "status", "completed_at to be an integer"},
		"completed with error":      {at(hello(), 10, `"error":null`, `"error":{"code":"x","message":"y"}`), 10, "status", "error to be null"},
		"incomplete without reason": {at(incomplete(), 9, `{"reason":"max_output_tokens"}`, `{}`), 9, "status", "incomplete_details.reason"},
		"incomplete without detail": {at(incomplete(), 9, `{"reason":"max_output_tokens"}`, `null`), 9, "status", "incomplete_details to be an object"},
		"failed without error":      {at(failed(), 4, `{"code":"server_error","message":"upstream broke"}`, `null`), 4, "status", "error to be an object"},
		"failed without code":       {at(failed(), 4, `"code":"server_error",`, ``), 4, "status", "error.code"},
		"completed, item is not":    {render(stream("completed", text("incomplete", "a"))), 9, "status", "output[0] to be completed"},
		"incomplete, item is not":   {render(stream("incomplete", text("completed", "a"))), 9, "status", "last item to be incomplete"},
		"incomplete, wrong item":    {render(stream("incomplete", text("incomplete", "a"), text("incomplete", "a"))), 15, "status", "output[0] to be completed"},
		"added completed":           {at(hello(), 3, `"status":"in_progress"`, `"status":"completed"`), 3, "status", "added item to be in_progress"},

		"output_index of added":  {at(hello(), 3, `"output_index":0`, `"output_index":1`), 3, "index", "expected output_index 0, got 1"},
		"output_index of delta":  {at(hello(), 5, `"output_index":0`, `"output_index":1`), 5, "index", "of the open item, got 1"},
		"output_index of done":   {at(hello(), 9, `"output_index":0`, `"output_index":1`), 9, "index", "expected output_index 0, got 1"},
		"content_index of added": {at(hello(), 4, `"content_index":0`, `"content_index":1`), 4, "index", "expected content_index 0, got 1"},
		"content_index of delta": {at(hello(), 5, `"content_index":0`, `"content_index":1`), 5, "index", "of the open part, got 1"},
		"item_id of delta":       {at(hello(), 5, `"item_id":"msg_0"`, `"item_id":"msg_1"`), 5, "id", `expected item_id "msg_0"`},
		"id used twice":          {strings.ReplaceAll(render(stream("completed", function, function)), "fc_1", "fc_0"), 8, "id", "used before"},
		"call_id changes":        {at(call(), 3, "call_0", "call_9"), 7, "id", "item.call_id"},

		"items interleaved":        {render(slices.Concat(begin(), first[:3], second, first[3:], []event{end("completed", firstDone, secondDone)})), 6, "item", "before the next is added"},
		"delta before added":       {insert(hello(), 3, hello()[4]), 3, "item", "expected output_item.added before"},
		"item never done":          {render(append(hello()[:8], end("completed"))), 9, "item", "expected output_item.done of item 0"},
		"call without name":        {at(call(), 3, `"name":"f"`, `"name":""`), 3, "item", "to have a name"},
		"arguments in added":       {at(call(), 3, `"arguments":""`, `"arguments":"{"`), 3, "item", `arguments of the added function_call to be ""`},
		"no arguments.done":        {without(call(), 6), 6, "item", "expected response.function_call_arguments.done"},
		"arguments in a message":   {insert(hello(), 5, event{"response.function_call_arguments.delta", `,"output_index":0,"item_id":"msg_0","delta":"x"`}), 5, "item", "events of the open message"},
		"delta after done":         {insert(call(), 7, call()[3]), 7, "item", "after response.function_call_arguments.done"},
		"content in added":         {at(hello(), 3, `"content":[]`, `"content":[{}]`), 3, "item", "to be empty, got 1 parts"},
		"no content_part.added":    {without(stream("completed", text("completed")), 4), 4, "part", "expected the added event of its part"},
		"no content_part.done":     {without(hello(), 8), 8, "part", "expected the done event of content part 0"},
		"no text.done":             {without(hello(), 7), 7, "part", "expected the done event of its text"},
		"refusal in a text part":   {insert(hello(), 5, event{"response.refusal.delta", `,"output_index":0,"item_id":"msg_0","content_index":0,"delta":"x"`}), 5, "part", "events of the open output_text part"},
		"text in the added part":   {at(hello(), 4, `"text":""`, `"text":"H"`), 4, "part", `to have text ""`},
		"no annotations":           {at(hello(), 4, `,"annotations":[]`, ``), 4, "part", "annotations to be an array"},
		"type of the part changes": {at(hello(), 8, `"type":"output_text"`, `"type":"summary_text"`), 8, "part", "part.type"},
		"empty delta":              {insert(hello(), 5, event{"response.output_text.delta", `,"output_index":0,"item_id":"msg_0","content_index":0,"delta":"","logprobs":[]`}), 5, "delta", "empty delta"},
		"empty arguments delta":    {insert(call(), 5, event{"response.function_call_arguments.delta", `,"output_index":0,"item_id":"fc_0","delta":""`}), 5, "delta", "empty delta"},
		"text of done":             {in(`"content_index":0,"text":"Hello"`, `"content_index":0,"text":"Hell"`), 7, "text", `expected text as in the deltas, "Hello", got "Hell"`},
		"text of part":             {in(`"part":{"type":"output_text","text":"Hello"`, `"part":{"type":"output_text","text":"Hullo"`), 8, "text", "expected part.text"},
		"text of item":             {strings.ReplaceAll(render(hello()), `"content":[{"type":"output_text","text":"Hello"`, `"content":[{"type":"output_text","text":"Hallo"`), 9, "text", "expected item.content[0]"},
		"no content in item":       {strings.ReplaceAll(render(stream("completed", text("completed"))), `"content":[{"type":"output_text","text":"","annotations":[]}]`, `"content":[]`), 7, "text", "1 content parts"},
		"arguments of done":        {at(call(), 6, `1`, `2`), 6, "text", "expected arguments as in the deltas"},
		"output misses an item":    {render(append(hello()[:9], end("completed"))), 10, "output", "expected the 1 items"},
		"output in another order":  {render(slices.Concat(begin(), first, second, []event{end("completed", secondDone, firstDone)})), 15, "output", "expected output[0] as in output_item.done"},
		"output in another form":   {at(hello(), 10, `"role":"assistant"`, `"role": "assistant"`), 10, "output", "byte for byte"},
		"output differs":           {at(hello(), 10, `"role":"assistant"`, `"role":"user"`), 10, "output", "as in output_item.done"},
		"error without failed":     {insert(hello(), 10, event{"error", errorMembers}), 11, "error-event", "expected response.failed after"},
		"error is the end":         {render(append(begin(), event{"error", errorMembers})), 4, "done", "terminal event before"},
		"error without flat form":  {at(failed(), 3, `,"code":"server_error","message":"upstream broke","param":null,"error"`, `,"error"`), 3, "error-event", "the event to have a message"},
		"error without object":     {at(failed(), 3, `,"error":{"message":"upstream broke","type":"server_error","param":null,"code":null}`, ``), 3, "error-event", "member error to be an object"},
		"error without type":       {at(failed(), 3, `"type":"server_error",`, ``), 3, "error-event", "to have a type"},
		"no done":                  {strings.TrimSuffix(render(hello()), "data: [DONE]\n\n"), 10, "done", "at the end"},
		"done with a name":         {in("data: [DONE]", "event: done\ndata: [DONE]"), 11, "done", "without an event: line"},
		"something after done":     {render(hello()) + ": bye\n\n", 11, "done", "nothing after"},
		"event after done":         {render(hello()) + "data: {}\n\n", 12, "done", "nothing after"},
	} {
		t.Run(name, func(t *testing.T) {
			got := streamcheck.Check(strings.NewReader(tt.stream))
			require.NotEmpty(t, got, tt.stream)
			assert.Equal(t, tt.rule, got[0].Rule, "%v", got[0])
			assert.Contains(t, got[0].Text, tt.text)
			assert.Equal(t, tt.event, got[0].Event, "%v", got[0])
		})
	}
}
