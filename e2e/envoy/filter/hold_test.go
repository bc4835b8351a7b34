package filter_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What one client, or a model server, may send at default limits does not hurt
// the others of the worker: no VM dies, no stream is cut, and Envoy's memory stays
// within what docs/filter.md says.
func TestTheFilterHolds(t *testing.T) {
	var plugins []plugin
	for _, profile := range profiles {
		for _, provider := range []string{"vllm", "vllm-responses"} {
			plugins = append(plugins, plugin{name: provider + "/" + profile, config: config(provider, profile), gated: profile == "gated", reloads: true})
		}
	}
	g := start(t, shipped(t), plugins)
	g.up.set(withTicks(gives(200, "application/json", chatHello)))
	for _, p := range plugins {
		require.Equal(t, 200, post(t, g.url(t, p.name), hello).status)
	}
	idle, vms := resident(t, g.Pid()), g.vms(t)
	for _, p := range plugins {
		url := g.url(t, p.name)
		t.Run(p.name, func(t *testing.T) {
			for _, a := range attacks(strings.HasPrefix(p.name, "vllm/")) {
				t.Run(a.name, func(t *testing.T) {
					answer := a.answer
					if answer == nil {
						answer = gives(200, "application/json", chatHello)
					}
					g.up.set(withTicks(answer))
					k := startTicks(t, url)
					k.shortest(t, g, a.atOnce, func() { a.run(t, url) })
					require.Empty(t, k.end())
					memory := resident(t, g.Pid())
					t.Logf("memory %d MB", memory>>20)
					require.LessOrEqual(t, memory-idle, mostMemory, "more than docs/filter.md says")
					require.Equal(t, vms, g.vms(t), "a VM has died")
					g.becomes(t, "in_flight_bytes", 0)
				})
			}
		})
	}
	require.Zero(t, g.stat(t, "panics_total"))
	t.Logf("turns of the worker: %v", g.turns(t))
	g.becomes(t, "in_flight_bytes", 0)
}

// mostMemory is what the VM of one worker may have grown by: one and a half times
// what it may need, as docs/filter.md has it.
const mostMemory = 3 * (96<<20 + 3*32<<20 + 480*50_000 + 16<<20) / 2

// vms is how many VMs Envoy has made.
func (g *gateway) vms(t testing.TB) int {
	t.Helper()
	text, err := g.Get("/stats?filter=^wasm.envoy.wasm.runtime.v8.created$")
	require.NoError(t, err)
	_, value, found := strings.Cut(strings.TrimSpace(text), ": ")
	require.True(t, found, text)
	n, err := strconv.Atoi(value)
	require.NoError(t, err)
	return n
}

type attack struct {
	name   string
	atOnce int              // requests
	answer http.HandlerFunc // of the upstream
	run    func(t *testing.T, url string)
}

// many is n copies of one, with commas between them.
func many(one string, n int) string { return strings.TrimSuffix(strings.Repeat(one+",", n), ",") }

// at makes requests at once, and gives the statuses of their answers.
func at(t *testing.T, n int, url, body string) map[int]int {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := make(map[int]int)
	for range n {
		all.Go(func() {
			got := send(t, http.DefaultTransport, request(t, url, strings.NewReader(body)))
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	all.Wait()
	return statuses
}

func attacks(translates bool) []attack {
	asks := func(name string, answer http.HandlerFunc, n, inTurn int, body string, allowed ...int) attack {
		return attack{name, n, answer, func(t *testing.T, url string) {
			for range inTurn {
				for status := range at(t, n, url, body) {
					require.Contains(t, allowed, status)
				}
			}
		}}
	}
	whole := `{"choices":[{"index":0,"message":{"role":"assistant","content":%s},"logprobs":{"content":[%s]},"finish_reason":"stop"}]}`
	logprob := `{"token":"abcd","logprob":-1.25,"bytes":[97,98,99,100]`
	entry := logprob + `,"top_logprobs":[` + many(logprob+"}", 20) + "]}"
	delta := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 200) + `"}}]}` + "\n\n"
	list := []attack{
		asks("small objects in an unknown field", nil, 1, 10, `{"model":"m","input":"a","x":[`+many(`{"a":0}`, 29<<17)+`]}`, wantStatus(translates, 400)),
		asks("small objects in an unknown field within the limit", nil, 8, 3, `{"model":"m","input":"a","x":[`+many(`{"a":0}`, 24_000)+`]}`, 200, 503),
		asks("small messages", nil, 8, 3, `{"model":"m","input":[`+many(`{"role":"user","content":[{"type":"input_text","text":"a"}]}`, 8_000)+`]}`, 200, 503),
		asks("members of one object", nil, 4, 3, `{"model":"m","input":"a","x":{`+many(`"a":0`, 49_000)+`}}`, 200, 503),
		asks("large bodies at once", nil, 7, 2, `{"model":"m","input":"`+strings.Repeat("word ", 6<<20)+`"}`, 200, 503),
		{"uploads of a byte", 1, nil, uploads},
	}
	if !translates {
		event := "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"" + strings.Repeat("word ", 2000) + "\"}\n\n"
		return append(list,
			asks("a whole answer of small values", gives(200, "application/json", `{"a":[`+many("0", 10<<20)+`]}`), 2, 1, hello, 200),
			asks("a stream without end", flows(event, 6_000), 2, 1, helloStream, 200),
		)
	}
	return append(list,
		attack{"logprobs of 12,000 tokens", 1, gives(200, "application/json", fmt.Sprintf(whole, `"`+strings.Repeat("abcd", 12_000)+`"`, many(entry, 12_000))), func(t *testing.T, url string) {
			got := post(t, url, `{"model":"m","input":"a","top_logprobs":20}`)
			require.Equal(t, 200, got.status)
			require.Contains(t, got.body[:1000], `"status":"completed"`)
			require.Equal(t, 12_000, strings.Count(got.body, `"top_logprobs":[{`))
		}},
		asks("a whole answer of lines", gives(200, "application/json", fmt.Sprintf(whole, `"`+strings.Repeat(`a\n`, 5<<20)+`"`, "")), 1, 2, hello, 200),
		asks("an event of lines", streams(`data: {"choices":[{"index":0,"delta":{"content":"`+strings.Repeat(`a\n`, 1_000_000)+`"}}]}`+"\n\n", strings.Join(chatEvents[3:], "")), 1, 2, helloStream, 200),
		asks("a whole answer of small values", gives(200, "application/json", fmt.Sprintf(whole, "["+many("0", 7<<20)+"]", "")), 2, 2, hello, 200, 502),
		asks("unknown values in a whole answer", gives(200, "application/json", `{"x":[`+many(`{"a":0}`, 1<<20)+`],`+fmt.Sprintf(whole, `"a"`, "")[1:]), 2, 2, hello, 200),
		asks("an answer that is no text", gives(200, "application/json", fmt.Sprintf(whole, `"`+strings.Repeat("a\xff", 7<<20)+`"`, "")), 1, 2, hello, 200, 502),
		asks("a call of many values", gives(200, "application/json", calls("shell", `{\"commands\":[`+many("0", 7<<20)+`]}`)), 1, 2, hello[:len(hello)-1]+`,"tools":[{"type":"shell"}]}`, 200, 502),
		asks("a call of texts that begin alike", gives(200, "application/json", calls("f", alike(500, 8_000))), 1, 2, hello, 200),
		asks("an event of small values", streams(chatEvents[1], `data: {"choices":[{"index":0,"delta":{"content":[`+many("0", 3<<20)+`]}}]}`+"\n\n", strings.Join(chatEvents[3:], "")), 2, 2, helloStream, 200, 502),
		asks("a namespace that is described once for each of its tools", nil, 1, 2, `{"model":"m","input":"a","tools":[{"type":"namespace","name":"n","description":"`+strings.Repeat("x", 1_000_000)+`","tools":[`+
			numbered(1_000, func(i int) string { return fmt.Sprintf(`{"type":"function","name":"f%d"}`, i) })+`]}]}`, 400),
		asks("calls in the arguments of calls that wait", streams(openCall+waitingCalls(500, func(i int) string {
			return fmt.Sprintf(`{"index":%d,"id":"c%d","function":{"name":"f","arguments":"%s"}}`, i+1, i+1, lists)
		}), strings.Join(chatEvents[3:], "")), 1, 2, helloStream, 200),
		asks("texts and thoughts that wait", streams(openCall+strings.Repeat(`data: {"choices":[{"delta":{"content":"t"}}]}`+"\n\n"+`data: {"choices":[{"delta":{"reasoning":"t"}}]}`+"\n\n", 200_000), strings.Join(chatEvents[3:], "")), 1, 2, helloStream, 200),
		asks("ids of two megabytes", streams(waitingCalls(510, func(i int) string {
			return fmt.Sprintf(`{"index":%d,"id":"%d%s","function":{"name":"f","arguments":"{}"}}`, i, 1000+i, longID)
		}), strings.Join(chatEvents[3:], "")), 1, 1, helloStream, 200, 502),
		asks("calls of a client's tool, of many values", gives(200, "application/json", `{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[`+
			numbered(1_000, func(i int) string {
				return fmt.Sprintf(`{"id":"c%d","type":"function","function":{"name":"tool_search","arguments":"{\"a\":[%s]}"}}`, i, many("1", 7_000))
			})+`]},"finish_reason":"tool_calls"}]}`), 1, 2, hello[:len(hello)-1]+`,"tools":[{"type":"tool_search","execution":"client"}]}`, 200, 502),
		asks("what a stream repeats three times", nil, 1, 2, `{"model":"m","stream":true,"input":"a","instructions":"`+strings.Repeat("word ", 6<<20)+`"}`, 400),
		asks("unknown values in an event", streams(chatEvents[1], `data: {"x":[`+many(`{"a":0}`, 900<<10)+`],"choices":[]}`+"\n\n", strings.Join(chatEvents[3:], "")), 2, 2, helloStream, 200, 502),
		attack{"a stream without end", 1, flows(delta, 60_000), func(t *testing.T, url string) {
			got := post(t, url, helloStream)
			require.Equal(t, 200, got.status)
			require.False(t, got.cut)
			end := got.body[len(got.body)-200:]
			require.Contains(t, got.body, "event: response.failed")
			require.True(t, strings.HasSuffix(end, "data: [DONE]\n\n"), end)
		}},
	)
}

// openCall is an event of a stream with a call that does not end, behind which others wait.
const openCall = `data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c0","function":{"name":"f","arguments":"{\"a\":"}}]}}]}` + "\n\n"

// lists are 512 texts of arguments.
var lists = strings.ReplaceAll(numbered(512, func(i int) string { return fmt.Sprintf("[%d]", i) }), ",", "")

var longID = strings.Repeat("i", 2_000_000)

// waitingCalls are events with a call each.
func waitingCalls(n int, call func(i int) string) string {
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "data: {\"choices\":[{\"delta\":{\"tool_calls\":[%s]}}]}\n\n", call(i))
	}
	return all.String()
}

// numbered are n texts, with commas between them.
func numbered(n int, one func(i int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = one(i)
	}
	return strings.Join(all, ",")
}

// calls is an answer that is a call; its arguments are escaped.
func calls(name, arguments string) string {
	return `{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"` + name + `","arguments":"` + arguments + `"}}]},"finish_reason":"tool_calls"}]}`
}

// alike are n objects, escaped, that differ in their last bytes only.
func alike(n, size int) (all string) {
	for i := range n {
		all += `{\"a\":\"` + strings.Repeat("x", size) + strconv.Itoa(i) + `\"}`
	}
	return all
}

// wantStatus is that of a request that is refused when it is read, and passes else.
func wantStatus(read bool, status int) int {
	if read {
		return status
	}
	return 200
}

// flows answers with one event again and again, while the client takes it.
func flows(event string, n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for range n {
			if _, err := io.WriteString(w, event); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	}
}

// uploads begins many requests that announce much and send a byte: others go on.
func uploads(t *testing.T, url string) {
	for range 300 {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, "POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1048576\r\n\r\n{")
		require.NoError(t, err)
	}
	for range 10 {
		body := `{"model":"m","input":"` + strings.Repeat("a", 100<<10) + `"}`
		require.Equal(t, 200, send(t, http.DefaultTransport, request(t, url, unsized(body))).status)
	}
}

// Bodies that end at the same time are not all translated before anything else moves: who sends so
// many is refused.
func TestBodiesThatEndAtOnce(t *testing.T) {
	body := `{"model":"m","input":[` + many(`{"role":"user","content":[{"type":"input_text","text":"a"}]}`, 4_000) + `]}`
	head := "POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			g := start(t, shipped(t), []plugin{{name: profile, config: config("vllm", profile), gated: profile == "gated", reloads: true}})
			g.up.set(withTicks(gives(200, "application/json", chatHello)))
			url := g.url(t, profile)
			k := startTicks(t, url)
			statuses := map[int]int{}
			k.shortest(t, g, 2, func() {
				var all []net.Conn
				for range 40 {
					c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
					require.NoError(t, err)
					all = append(all, c)
					_, err = io.WriteString(c, head+body[:len(body)-1])
					require.NoError(t, err)
				}
				require.Eventually(t, func() bool { return g.stat(t, "in_flight_bytes") >= len(all)*len(body) }, time.Minute, 10*time.Millisecond)
				for _, c := range all {
					_, err := io.WriteString(c, body[len(body)-1:])
					require.NoError(t, err)
				}
				for _, c := range all {
					answer, err := http.ReadResponse(bufio.NewReader(c), nil)
					require.NoError(t, err)
					statuses[answer.StatusCode]++
					if answer.StatusCode == 503 {
						require.Equal(t, "1", answer.Header.Get("Retry-After"))
					}
					c.Close()
				}
			})
			t.Logf("answers by status: %v", statuses)
			require.NotZero(t, statuses[200])
			require.NotZero(t, statuses[503])
			require.Len(t, statuses, 2)
			require.Empty(t, k.end())
			require.Equal(t, 200, post(t, url, body).status)
			g.becomes(t, "in_flight_bytes", 0)
		})
	}
}

// When all of the bound is taken, streams of the caller who holds most end, not that of
// another one which needs more too.
func TestTheLargestEnds(t *testing.T) {
	const keys = `},"limits":{"in_flight_bytes":"32MiB"},"auth":{"type":"api_key","api_keys":[` +
		`{"sha256":"1a9ac370d2701f15a3a125d057d6db3a74582ba48eecb4e411bf4db9804df6c3","subject":"alice"},` +
		`{"sha256":"f6487756d211f51fd59c3365cef7e83e549e72ebda0b9abff1f4fcbc4e701460","subject":"bob"}]`
	for _, profile := range profiles {
		t.Run(profile, func(t *testing.T) {
			g := start(t, shipped(t), []plugin{{name: profile, config: config("vllm", profile, keys), gated: profile == "gated", reloads: true}})
			url, vms := g.url(t, profile), g.vms(t)
			bob, alice := make(chan struct{}), make(chan struct{})
			delta := `data: {"choices":[{"index":0,"delta":{"content":"` + strings.Repeat("word ", 200) + `"}}]}` + "\n\n"
			g.up.set(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				say := func(n int, more <-chan struct{}) {
					for range n {
						_, _ = io.WriteString(w, delta)
					}
					w.(http.Flusher).Flush()
					select {
					case <-more:
					case <-r.Context().Done():
					}
				}
				if r.Header.Get("X-Who") == "alice" {
					say(9_000, alice)
				} else {
					say(100, bob)
					say(8_000, nothingMore)
				}
				_, _ = io.WriteString(w, strings.Join(chatEvents[3:], ""))
			})
			ask := func(who, key string) chan got {
				answer := make(chan got, 1)
				go func() { answer <- post(t, url, helloStream, "X-Api-Key", key, "X-Who", who) }()
				return answer
			}
			ofBob := ask("bob", "bob-key-77c0e1d3")
			require.Eventually(t, func() bool { return g.stat(t, "in_flight_bytes") > 100_000 }, time.Minute, 20*time.Millisecond)
			var ofAlice []chan got
			for range 5 {
				ofAlice = append(ofAlice, ask("alice", "alice-key-2f9a41c7"))
			}
			require.Eventually(t, func() bool { return g.stat(t, "failures_total.overloaded") > 0 }, time.Minute, 20*time.Millisecond)
			close(bob)
			got := <-ofBob
			require.False(t, got.cut)
			require.True(t, strings.Contains(got.body, "event: response.completed"), "bob's stream has ended")
			close(alice)
			ended := 0
			for _, a := range ofAlice {
				got := <-a
				require.False(t, got.cut)
				if got.status != 200 || strings.Contains(got.body, "event: response.failed") {
					require.True(t, strings.Contains(got.body, `"code":"overloaded"`))
					ended++
				}
			}
			require.NotZero(t, ended)
			require.Equal(t, vms, g.vms(t), "a VM has died")
			g.becomes(t, "in_flight_bytes", 0)
		})
	}
}

// nothingMore is closed: who waits for it goes on.
var nothingMore = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
