package filter_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// manyTexts are requests with a list of strings at @.
var manyTexts = []struct{ name, body string }{
	{"unknown field", `{"model":"m","input":"a","x":[@]}`},
	{"schema", `{"model":"m","input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","x":[@]}}]}`},
	{"images", `{"model":"m","input":[{"role":"user","content":[@]}]}`},
}

// As many bytes as a request may have hold the worker no longer when they are many strings,
// of which a parser sees each.
func TestManyTextsDoNotHoldTheWorker(t *testing.T) {
	g := start(t, shipped(t), []plugin{{name: "inline", config: config("vllm", "inline"), reloads: true}})
	g.up.set(withTicks(gives(200, "application/json", chatHello)))
	url := g.url(t, "inline")
	require.Equal(t, 200, post(t, url, hello).status)
	for _, where := range manyTexts {
		for what, text := range longTexts {
			for size, each := range map[string]int{"just not long": 65_500, "short": 3_000} {
				t.Run(where.name+"/"+what+"/"+size, func(t *testing.T) {
					one, n := `"`+filled(text, each, each)+`"`, (30<<20)/(each+64)
					if strings.Contains(text, `\`) {
						n = min(n, 950_000*len(text)/each)
					}
					if where.name == "images" {
						one = `{"type":"input_image","image_url":` + one + `}`
					}
					k := startTicks(t, url)
					body := strings.Replace(where.body, "@", many(one, n), 1)
					k.shortest(t, g, 1, func() {
						got := send(t, http.DefaultTransport, request(t, url, strings.NewReader(body)))
						assert.Equal(t, 200, got.status, got.body[:min(len(got.body), 500)])
					})
					require.Empty(t, k.end())
				})
			}
		}
	}
	require.Zero(t, g.stat(t, "panics_total"))
	t.Logf("turns of the worker: %v", g.turns(t))
}

// Nor do answers that are values and little else.
func TestManyValuesDoNotHoldTheWorker(t *testing.T) {
	g := start(t, shipped(t), []plugin{{name: "inline", config: config("vllm", "inline"), reloads: true}})
	g.up.set(gives(200, "application/json", chatHello))
	url := g.url(t, "inline")
	require.Equal(t, 200, post(t, url, hello).status)
	idle := resident(t, g.Pid())
	for what, value := range map[string]string{"numbers": "0", "strings": `""`, "objects": `{"a":0}`} {
		for size, n := range map[string]int{"long events": 12_000, "short events": 1_500} {
			list := "[" + many(value, n) + "]"
			for where, event := range map[string]string{
				"unknown field": `{"x":@,"choices":[]}`,
				"usage":         `{"choices":[],"usage":{"x":@}}`,
				"choice":        `{"choices":[{"x":@,"delta":{"content":"a"}}]}`,
				"delta":         `{"choices":[{"delta":{"content":"a","x":@}}]}`,
				"logprobs":      `{"choices":[{"delta":{"content":"a"},"logprobs":{"content":@}}]}`,
				"content":       `{"choices":[{"delta":{"content":@}}]}`,
				"arguments":     `{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":{"x":@}}}]}}]}`,
			} {
				t.Run(where+"/"+what+"/"+size, func(t *testing.T) {
					event := "data: " + strings.Replace(event, "@", list, 1) + "\n\n"
					g.holdsWith(t, url, streams(chatEvents[0]+strings.Repeat(event, (1<<20)/len(event)+1)+strings.Join(chatEvents[3:], "")), helloStream)
				})
			}
		}
		for where, answer := range map[string]string{
			"logprobs": `{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"logprobs":{"content":[@]}}]}`,
			"usage":    `{"choices":[{"index":0,"message":{"role":"assistant","content":"a"}}],"usage":{"x":[@]}}`,
			"message":  `{"choices":[{"index":0,"message":{"role":"assistant","content":"a","x":[@]}}]}`,
		} {
			t.Run(where+"/"+what+"/whole", func(t *testing.T) {
				g.holdsWith(t, url, gives(200, "application/json", strings.Replace(answer, "@", many(value, (15<<20)/(len(value)+1)), 1)), hello)
			})
		}
	}
	t.Run("white space of a custom tool's arguments", func(t *testing.T) {
		piece := func(arguments string) string {
			return `data: {"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"c","arguments":"` + arguments + `"}}]}}]}` + "\n\n"
		}
		answer := piece(`{\"input\"`) + strings.Repeat(piece(strings.Repeat(" ", 4<<10)), 250) + piece(`:\"a\"}`) + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}` + "\n\ndata: [DONE]\n\n"
		g.holdsWith(t, url, streams(answer), `{"model":"m","input":"a","stream":true,"tools":[{"type":"custom","name":"c"}]}`)
	})
	require.LessOrEqual(t, resident(t, g.Pid())-idle, mostMemory, "more than docs/filter.md says")
	require.Zero(t, g.stat(t, "panics_total"))
	t.Logf("turns of the worker: %v", g.turns(t))
}

// Nor do long conversations, and those that are to be summed up.
func TestLongConversationsDoNotHoldTheWorker(t *testing.T) {
	env := object{"STATE_KEY": strings.Repeat("00112233445566778899aabbccddeeff", 2)}
	more := `},"state":{"keys":[{"id":"k","key_env":"STATE_KEY"}]},"translation":{"unsupported_tools":"drop"`
	g := start(t, shipped(t), []plugin{{name: "inline", config: config("vllm", "inline", more), env: env, reloads: true}})
	url := g.url(t, "inline")
	each := func(n int, item func(i int) string) string {
		var all strings.Builder
		for i := range n {
			all.WriteString(item(i))
		}
		return strings.TrimSuffix(all.String(), ",")
	}
	names := func(n int) string {
		return each(n, func(i int) string { return "/" + strconv.FormatInt(int64(i), 36) + " " })
	}
	summed := func(items string) string {
		return `{"model":"m","input":[` + items + `,{"type":"compaction_trigger"}]}`
	}
	turn := func(i int, output string) string {
		id := strconv.Itoa(i)
		return `{"role":"user","content":"` + strings.Repeat("look at it ", 40) + `"},{"type":"function_call","call_id":"c` + id + `","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c` + id + `","output":"` + output + `"},`
	}
	tools := func(more string) string {
		return `{"model":"m","input":"a","tools":[{"type":"function","name":"f"},` + each(500, func(i int) string { return `{"type":"` + strings.Repeat("x", 45_000) + strconv.Itoa(i) + `"},` }) + `]` + more + `}`
	}
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"calls": {`{"model":"m","input":[` + each(9_000, func(i int) string {
			return `{"type":"function_call","call_id":"c` + strconv.Itoa(i) + `","name":"f","arguments":"{\"a\":\"` + strings.Repeat("x", 660) + `\"}"},`
		}) + `]}`, 200},
		"an agent's work, summed up": {summed(each(500, func(i int) string { return turn(i, names(600)) })), 200},
		"names, summed up":           {summed(turn(0, names(680_000)) + `{"role":"user","content":"a"}`), 200},
		"too many names, summed up":  {summed(turn(0, names(4_000_000)) + `{"role":"user","content":"a"}`), 400},
		"messages, summed up":        {summed(each(4_900, func(int) string { return `{"role":"user","content":"` + strings.Repeat("xxxx xxx ", 98) + `"},` })), 200},
		"types of tools":             {tools(""), 200},
		"types that are chosen":      {tools(`,"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[` + each(100, func(i int) string { return `{"type":"` + strings.Repeat("x", 45_000) + strconv.Itoa(i) + `"},` }) + `]}`), 400},
	} {
		t.Run(name, func(t *testing.T) {
			g.up.set(withTicks(gives(200, "application/json", chatHello)))
			k := startTicks(t, url)
			k.shortest(t, g, 1, func() {
				got := send(t, http.DefaultTransport, request(t, url, strings.NewReader(c.body)))
				assert.Equal(t, c.status, got.status, got.body[:min(len(got.body), 500)])
			})
			require.Empty(t, k.end())
		})
	}
	require.Zero(t, g.stat(t, "panics_total"))
	t.Logf("turns of the worker: %v", g.turns(t))
}

// holdsWith sees that nobody is held up by this answer.
func (g *gateway) holdsWith(t *testing.T, url string, answer http.HandlerFunc, body string) {
	t.Helper()
	g.up.set(withTicks(answer))
	k := startTicks(t, url)
	k.shortest(t, g, 1, func() {
		got := post(t, url, body)
		assert.Equal(t, 200, got.status, got.body[:min(len(got.body), 500)])
		assert.False(t, got.cut)
	})
	require.Empty(t, k.end())
}
