package filter_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// longTexts are what the insides of JSON strings may consist of.
var longTexts = map[string]string{
	"words":   "word ",
	"quotes":  `\"`,
	"lines":   `a\n`,
	"umlauts": `\u00e9`,
	"base64":  "YWJj",
}

// asText is 200 up to limits.text_bytes and half of limits.json_escapes, and 400 above.
const asText = 0

// longPlaces are requests with a long text at @.
var longPlaces = []struct {
	name, body string
	status     int
}{
	{"input", `{"model":"m","input":"@"}`, 200},
	{"part", `{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"@"}]}]}`, 200},
	{"instructions", `{"model":"m","instructions":"@","input":"a"}`, 200},
	{"late system message", `{"model":"m","input":[{"role":"system","content":"a"},{"role":"user","content":"a"},{"role":"system","content":"@"}]}`, 200},
	{"answer of the assistant", `{"model":"m","input":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"output_text","text":"@"}]},{"role":"user","content":"a"}]}`, 200},
	{"result of a call", `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"@"}]}`, 200},
	{"thought", `{"model":"m","input":[{"type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"@"}]},{"role":"assistant","content":"a"},{"role":"user","content":"a"}]}`, 200},
	{"description", `{"model":"m","input":"a","tools":[{"type":"function","name":"f","description":"@","parameters":{"type":"object"}}]}`, 200},
	{"schema", `{"model":"m","input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","description":"@"}}]}`, 200},
	{"image", `{"model":"m","input":[{"role":"user","content":[{"type":"input_image","image_url":"@"}]}]}`, 200},
	{"unknown field", `{"model":"m","input":"a","x":{"b":["@"]}}`, 200},
	{"arguments", `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"@"},{"type":"function_call_output","call_id":"c","output":"a"}]}`, asText},
	{"arguments that are an object", `{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"@\"}"},{"type":"function_call_output","call_id":"c","output":"a"}]}`, asText},
	{"input of a custom tool", `{"model":"m","input":[{"type":"custom_tool_call","call_id":"c","name":"f","input":"@"},{"type":"custom_tool_call_output","call_id":"c","output":"a"}]}`, asText},
	{"blob", `{"model":"m","input":[{"type":"reasoning","summary":[],"encrypted_content":"@"},{"role":"user","content":"a"}]}`, 200},
	{"file", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a.txt","file_data":"@"}]}]}`, 400},
	{"files", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_data":"YQ=="},{"type":"input_file","filename":"a.txt","file_data":"@"}]}]}`, 400},
	{"media type", `{"model":"m","input":[{"role":"user","content":[{"type":"input_file","filename":"a.txt","file_data":"data:@;base64,YQ=="}]}]}`, 400},
	{"name", `{"model":"m","input":"a","@":1}`, 400},
	{"type", `{"model":"m","input":[{"role":"user","content":[{"type":"@"}]}]}`, 400},
	{"metadata", `{"model":"m","input":"a","metadata":{"a":"@"}}`, 400},
	{"model", `{"model":"@","input":"a"}`, 400},
}

// A body holds the worker, in which nothing else moves meanwhile, for a short time only,
// whatever it consists of.
func TestNoBodyHoldsTheWorker(t *testing.T) {
	g := start(t, shipped(t), []plugin{{name: "inline", config: config("vllm", "inline"), reloads: true}})
	g.up.set(withTicks(gives(200, "application/json", chatHello)))
	url := g.url(t, "inline")
	require.Equal(t, 200, post(t, url, hello).status)
	for _, where := range longPlaces {
		for what, text := range longTexts {
			sizes := map[int]int{30 << 20: where.status}
			switch {
			case where.status == asText:
				sizes = map[int]int{6<<20 - 256: 200, 30 << 20: 400}
			case where.name == "file" && what == "base64": // the longest that is taken
				sizes = map[int]int{8 << 20: 200}
			}
			for size, status := range sizes {
				escapes := 950_000
				if where.status == asText && status == 200 {
					escapes = 490_000
				}
				t.Run(fmt.Sprint(where.name, "/", what, "/", size>>20, " MiB"), func(t *testing.T) {
					k := startTicks(t, url)
					body := strings.Replace(where.body, "@", filled(text, size, escapes), 1)
					k.shortest(t, g, 1, func() {
						got := send(t, http.DefaultTransport, request(t, url, strings.NewReader(body)))
						assert.Equal(t, status, got.status, got.body[:min(len(got.body), 500)])
					})
					require.Empty(t, k.end())
				})
			}
		}
	}
	require.Zero(t, g.stat(t, "panics_total"))
	t.Logf("turns of the worker: %v", g.turns(t))
}

// The first long body of a VM holds the worker no longer: the memory for its translation comes
// with the body.
func TestTheFirstLongBodyHoldsTheWorkerNoLonger(t *testing.T) {
	body := `{"model":"m","input":"a","instructions":"` + strings.Repeat("word ", 6<<20) + `"}`
	try := 0
	shortest(t, 1, func() (gap, turn time.Duration) {
		try++
		t.Run(fmt.Sprint("try ", try), func(t *testing.T) {
			g := start(t, shipped(t), []plugin{{name: "inline", config: config("vllm", "inline"), reloads: true}})
			g.up.set(gives(200, "application/json", chatHello))
			require.Equal(t, 200, post(t, g.url(t, "inline"), hello).status)
			before := g.turns(t)
			got := send(t, http.DefaultTransport, request(t, g.url(t, "inline"), strings.NewReader(body)))
			require.Equal(t, 200, got.status)
			turn = g.turns(t).longest(before)
		})
		return 0, turn
	})
}

// filled is n bytes of a text, the first so many escapes of it.
func filled(text string, n, escapes int) string {
	most := n / len(text)
	if each := strings.Count(strings.ReplaceAll(text, `\\`, `\`), `\`); each > 0 {
		most = min(most, escapes/each)
	}
	return strings.Repeat(text, most) + strings.Repeat("a", n-most*len(text))
}
