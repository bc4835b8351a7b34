package filter_test

import (
	"net/http"
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
	require.LessOrEqual(t, resident(t, g.Pid())-idle, mostMemory, "more than docs/filter.md says")
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
