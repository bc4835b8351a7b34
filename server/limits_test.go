package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"antwort/server/limits/redistest"
	"antwort/server/mockllm"
	"antwort/shared/config"
)

// limitsOf is a section limits. Who calls is not asked.
func limitsOf(t testing.TB, limits string) func(*config.Config) {
	t.Helper()
	return limitsFor(t, nil, limits)
}

// twoTenants are alice of a and bob of b, each with a key of that name.
var twoTenants = [][3]string{{"alice", "a", "alice-key"}, {"bob", "b", "bob-key"}}

// limitsFor is a section limits for callers with keys.
func limitsFor(t testing.TB, keys [][3]string, limits string) func(*config.Config) {
	t.Helper()
	auth := func(*config.Config) {}
	text := `{"engine":{"provider":"vllm","backend_url":"http://llm"},"limits":` + limits + `}`
	if keys != nil {
		auth = keysOf(t, keys...)
		text = `{"auth":{"type":"api_key","api_keys":[{"key_env":"X","subject":"x"}]},` + text[1:]
	}
	c, err := config.Load(config.Sources{JSON: []byte(text), Unresolved: true})
	require.NoError(t, err)
	return func(to *config.Config) {
		auth(to)
		to.Limits = c.Limits
	}
}

// stopped is a time that does not pass, unless a test lets it.
type stopped struct{ at atomic.Int64 }

func newStopped() *stopped {
	s := &stopped{}
	s.at.Store(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).UnixMilli())
	return s
}

func (s *stopped) options() Options {
	return Options{Now: func() time.Time { return time.UnixMilli(s.at.Load()) }}
}

func (s *stopped) pass(d time.Duration) { s.at.Add(d.Milliseconds()) }

// fives is an upstream whose answers have 3 + 2 tokens, streamed or whole.
func fives(t *testing.T) string {
	return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"stream":true`) {
			send := sending(w)
			send(chatRole + chatText("hi") + chatFinish + chatUsage + chatDone)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatWhole)
	}))
}

func TestRequestsAMinuteAreLimited(t *testing.T) {
	clock := newStopped()
	r := startWith(t, clock.options(), config.VLLM, fives(t), limitsFor(t, twoTenants, `{"rules":[{"name":"tenants","per":["tenant"],"requests_per_minute":3}]}`))
	ready(t, r)
	for i, body := range []string{ask, askStream, ask} {
		a := r.as("alice-key", "POST", "/v1/responses", body)
		require.Equal(t, 200, a.status, a.body)
		require.Equal(t, []string{"3", fmt.Sprint(2 - i), fmt.Sprintf("%ds", 20*(i+1))}, []string{
			a.header.Get("x-ratelimit-limit-requests"), a.header.Get("x-ratelimit-remaining-requests"),
			strings.Replace(a.header.Get("x-ratelimit-reset-requests"), "1m0s", "60s", 1)})
		require.Empty(t, a.header.Get("x-ratelimit-limit-tokens"))
	}
	a := r.as("alice-key", "POST", "/v1/responses", ask)
	require.Equal(t, 429, a.status)
	require.Equal(t, `{"error":{"message":"rate limit reached for your tenant: 3 requests per minute, 3 used; try again in 20s","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, a.body)
	require.Equal(t, []string{"20", "0"}, []string{a.header.Get("Retry-After"), a.header.Get("x-ratelimit-remaining-requests")})
	require.Equal(t, 200, r.as("bob-key", "POST", "/v1/responses", ask).status, "somebody else's requests are not counted")
	require.Equal(t, 200, r.as("alice-key", "GET", "/v1/models", "").status, "only what models answer is limited")
	clock.pass(20 * time.Second)
	require.Equal(t, 200, r.as("alice-key", "POST", "/v1/responses", ask).status)
	require.EqualValues(t, 1, metric(t, r, "antwort_limit_refusals_total", `rule="tenants"`, `limit="requests_per_minute"`))
	require.EqualValues(t, 1, metric(t, r, "antwort_failures_total", `kind="rate_limited"`))
	require.Equal(t, "alice", r.log.waitFor(t, `"limit":"tenants/requests_per_minute"`)["subject"])
}

func TestASpentBudgetSaysUntilWhen(t *testing.T) {
	clock := newStopped()
	r := startWith(t, clock.options(), config.VLLM, fives(t), limitsFor(t, twoTenants,
		`{"default_output_tokens":10,"rules":[{"name":"people","per":["subject"],"tokens_per_day":90},{"name":"all","tokens_per_minute":1000}]}`))
	ready(t, r)
	used := 0
	for ; ; used += 5 {
		a := r.as("alice-key", "POST", "/v1/responses", ask)
		if a.status != 200 {
			require.Equal(t, 429, a.status, a.body)
			require.Contains(t, a.body, fmt.Sprintf(`"message":"the budget of your account has too little left: 90 tokens per day, %d used, `, used))
			require.Contains(t, a.body, `it begins anew at 2026-11-30T00:00:00Z","type":"insufficient_quota","param":null,"code":"insufficient_quota"`)
			require.Equal(t, []string{"43200", "false"}, []string{a.header.Get("Retry-After"), a.header.Get("x-should-retry")})
			break
		}
		require.Equal(t, "1000", a.header.Get("x-ratelimit-limit-tokens"))
	}
	require.GreaterOrEqual(t, used, 50, "what was reserved was settled by what was used")
	require.Equal(t, 200, r.as("bob-key", "POST", "/v1/responses", ask).status)
	clock.pass(12 * time.Hour)
	require.Equal(t, 200, r.as("alice-key", "POST", "/v1/responses", ask).status)
	require.EqualValues(t, 1, metric(t, r, "antwort_failures_total", `kind="budget_spent"`))
}

func TestLimitsOfModels(t *testing.T) {
	models := `{"rules":[{"name":"large","per":["model"],"match":{"models":["large-*"]},"requests_per_minute":1},{"name":"free","per":["model"],"match":{"models":["free"]}},{"name":"models","per":["model"],"requests_per_minute":2}]}`
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		t.Run(string(provider), func(t *testing.T) {
			back := start(t, config.VLLM, fives(t))
			backend := back.url
			if provider == config.VLLM {
				backend = fives(t)
			}
			r := startWith(t, newStopped().options(), provider, backend, limitsOf(t, models))
			ready(t, r)
			passes := func(model string) (n int) {
				for range 5 {
					if a := r.post(`{"model":"` + model + `","input":"hi"}`); a.status == 200 {
						n++
					} else {
						require.Contains(t, a.body, "rate limit reached for this model")
					}
				}
				return n
			}
			require.Equal(t, []int{1, 1, 2, 2, 5}, []int{passes("large-1"), passes("large-2"), passes("m"), passes("n"), passes("free")})
			require.Equal(t, 0, passes("m"))
		})
	}
}

// Turns over a WebSocket are refused on the connection, which stays.
func TestLimitsOverAWebSocket(t *testing.T) {
	clock := newStopped()
	r := startWith(t, clock.options(), config.VLLM, fives(t), limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","requests_per_minute":3,"tokens_per_day":1000}]}`))
	ready(t, r)
	c := r.dial()
	for range 3 {
		c.completed(`"input":"hi"`)
	}
	c.turn(`"input":"hi"`).refused(t, 429, "", "rate_limit_exceeded")
	clock.pass(20 * time.Second)
	c.completed(`"input":"hi"`)
	clock.pass(20 * time.Second)
	require.EqualValues(t, 20, spentToday(t, r))
}

// spentToday is what is used of a budget of 1000 tokens, by what a request that needs more
// is told.
func spentToday(t *testing.T, r *running, fields ...string) (n int) {
	t.Helper()
	recorded(t, r)
	a := r.call("POST", "/v1/responses", `{"model":"m","input":"hi","max_output_tokens":1000000}`, fields...)
	require.Equal(t, 429, a.status, a.body)
	_, err := fmt.Sscanf(a.body[strings.Index(a.body, "per day, "):], "per day, %d used", &n)
	require.NoError(t, err)
	return n
}

func TestBackgroundWorkIsCountedWhenItIsDone(t *testing.T) {
	r := startWith(t, newStopped().options(), config.VLLM, fives(t), limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","requests_per_minute":10,"tokens_per_day":1000}]}`))
	ready(t, r)
	a := r.post(`{"model":"m","input":"hi","background":true}`)
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, "9", a.header.Get("x-ratelimit-remaining-requests"))
	r.ended(read(t, a).ID)
	r.log.waitFor(t, `"path":"/v1/responses"`, `"output_tokens":2`)
	require.EqualValues(t, 5, spentToday(t, r))
	require.Equal(t, 429, r.post(`{"model":"m","input":"hi","background":true,"max_output_tokens":100000}`).status)
}

// A stream that is cut, or left, has used what the upstream has counted so far.
func TestCutAndLeftStreamsAreCounted(t *testing.T) {
	held, cut := make(chan struct{}), atomic.Bool{}
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		require.Contains(t, string(body), `"continuous_usage_stats":true`)
		send := sending(w)
		send(chatRole)
		for i := range 4 {
			send(strings.Replace(chatText("x"), "}]}", fmt.Sprintf(`}],"usage":{"prompt_tokens":3,"completion_tokens":%d,"total_tokens":%d}}`, i+1, i+4), 1))
		}
		if cut.Load() {
			panic(http.ErrAbortHandler)
		}
		select {
		case <-held:
		case <-r.Context().Done():
		}
	}))
	r := startWith(t, newStopped().options(), config.VLLM, llm, limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","requests_at_once":1,"tokens_per_day":1000}]}`))
	ready(t, r)
	resp := r.open("POST", "/v1/responses", strings.NewReader(askStream))
	events := readEvents(t, resp.Body)
	for n := 0; n < 4; {
		if strings.Contains(events.next(), "output_text.delta") {
			n++
		}
	}
	require.Equal(t, 429, r.post(askStream).status, "it runs still")
	resp.Body.Close()
	r.log.waitFor(t, `"failure":"client_gone"`, `"output_tokens":4`)
	require.EqualValues(t, 7, spentToday(t, r))
	cut.Store(true)
	require.Contains(t, r.post(askStream).body, "response.failed")
	require.EqualValues(t, 14, spentToday(t, r))
	close(held)
}

// What was forwarded is counted as it passes. A stream that breaks off before it was
// counted has used what was reserved.
func TestForwardedAnswersAreCounted(t *testing.T) {
	back := start(t, config.VLLM, fives(t))
	r := startWith(t, newStopped().options(), config.VLLMResponses, back.url, limitsOf(t, `{"default_output_tokens":100,"rules":[{"name":"all","tokens_per_day":1000}]}`))
	ready(t, r)
	require.Equal(t, 200, r.post(ask).status)
	require.EqualValues(t, 5, spentToday(t, r))
	require.Contains(t, r.post(askStream).body, "response.completed")
	require.EqualValues(t, 10, spentToday(t, r))
	require.Equal(t, 400, r.post(`{"model":"m","input":7}`).status)
	require.EqualValues(t, 10, spentToday(t, r), "what was refused has used nothing")
	broken := upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		send := sending(w)
		send("event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_1\"}}\n\n")
		panic(http.ErrAbortHandler)
	}))
	r = startWith(t, newStopped().options(), config.VLLMResponses, broken, limitsOf(t, `{"default_output_tokens":100,"rules":[{"name":"all","tokens_per_day":1000}]}`))
	ready(t, r)
	require.Contains(t, r.post(askStream).body, "response.failed")
	require.EqualValues(t, 100+len(askStream)/4, spentToday(t, r))
}

// Whatever number a client writes as its bound, and a backend as its count, others' budget stays
// what it was.
func TestNumbersOfOthersLeaveBudgetsAlone(t *testing.T) {
	for name, store := range map[string]func(*config.Config){"memory": func(*config.Config) {}, "redis": nil} {
		t.Run(name, func(t *testing.T) {
			if store == nil {
				store = inRedis(redistest.Start(t), config.Open)
			}
			var usage atomic.Value
			llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				body, _ := io.ReadAll(r.Body)
				if !strings.Contains(string(body), "please") {
					w.WriteHeader(400)
				}
				io.WriteString(w, `{"object":"chat.completion","usage":`+usage.Load().(string)+`}`)
			}))
			r := start(t, config.VLLMResponses, llm, limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","tokens_per_day":1000}]}`), store,
				func(c *config.Config) { c.Engine.Pass = []string{"chat/completions"} })
			ready(t, r)
			usage.Store(`{"prompt_tokens":300,"completion_tokens":77,"input_tokens":300,"output_tokens":77}`)
			require.Equal(t, 200, r.post(`{"model":"m","input":"please"}`).status)
			want := 377
			require.Eventually(t, func() bool { return spentToday(t, r) == want }, guard, 10*time.Millisecond)
			for _, n := range []string{"9223372036854775807", "9223372036854775797", "4611686018427387903", "-5", "-9223372036854775808", "1e30", `"9223372036854775807"`} {
				for path, fields := range map[string]string{"/v1/responses": `"input":"hi","max_output_tokens":`, "/v1/chat/completions": `"messages":[],"max_tokens":`} {
					require.Contains(t, []int{400, 429}, r.call("POST", path, `{"model":"m",`+fields+n+`}`).status)
					require.Eventually(t, func() bool { return spentToday(t, r) == want }, guard, 10*time.Millisecond, "%s with %s", path, n)
				}
			}
			for _, said := range []string{`{"prompt_tokens":-1000000,"completion_tokens":-5}`, `{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}`, `{}`} {
				usage.Store(said)
				body := `{"model":"m","messages":"please","max_tokens":3}`
				require.Equal(t, 200, r.call("POST", "/v1/chat/completions", body).status)
				want += len(body)/4 + 3 // what was reserved: there is no count
				require.Eventually(t, func() bool { return spentToday(t, r) == want }, guard, 10*time.Millisecond, said)
			}
		})
	}
}

// An answer that nobody has counted has used what passed of it, by an estimate: who does not ask
// for the count, or leaves before it, pays no less.
func TestAnswersWithoutACountAreEstimated(t *testing.T) {
	const reserved = 10
	words := strings.Repeat("w ", 2000) // 1000 tokens, if one has four bytes
	usage := `"usage":{"prompt_tokens":3,"completion_tokens":700,"total_tokens":703}`
	left := make(chan struct{})
	llm := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asks := func(what string) bool { return strings.Contains(string(body), what) }
		w.Header().Set("Content-Type", "application/json")
		switch {
		case asks("whole, counted in the middle"):
			io.WriteString(w, `{"choices":[],`+usage+`,"prompt_logprobs":["`+strings.Repeat("p", 20_000)+`"]}`)
		case asks("whole, long"):
			io.WriteString(w, `{"choices":[{"message":{"content":"`+strings.Repeat("w", 300<<10)+`"}}]}`)
		case asks("whole, small"):
			io.WriteString(w, `{"id":"`+strings.Repeat("i", 2000)+`","choices":[{"message":{"role":"assistant","content":"a"}}]}`)
		case asks("whole, of words"):
			io.WriteString(w, `{"id":"`+strings.Repeat("i", 2000)+`","choices":[{"message":{"role":"assistant","content":"`+words+`"}}]}`)
		case asks("whole, an end"):
			io.WriteString(w, `{"choices":[{"message":{"content":"`+strings.Repeat("w", 300<<10)+`"}}],`+usage+`}`)
		case asks("short"):
			sending(w)(chatText("a") + chatFinish + chatDone)
		case asks("long event"):
			sending(w)(chatText(words) + chatFinish + chatDone)
		case asks("many events"):
			sending(w)(strings.Repeat(chatText("a"), 500) + chatFinish + chatDone)
		case asks("breaks off"):
			sending(w)(strings.Repeat(chatText("a"), 500))
			panic(http.ErrAbortHandler)
		case asks("counted"):
			sending(w)(chatText(words) + "data: {\"choices\":[]," + usage + "}\n\n" + chatDone)
		case asks("responses"):
			send := sending(w)
			send(strings.Repeat("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"a\",\"sequence_number\":1}\n\n", 500))
			<-left
		}
	}))
	t.Cleanup(sync.OnceFunc(func() { close(left) }))
	r := start(t, config.VLLMResponses, llm, limitsOf(t, fmt.Sprintf(`{"default_output_tokens":%d,"rules":[{"name":"all","tokens_per_day":10000000}]}`, reserved)),
		func(c *config.Config) { c.Engine.Pass = []string{"chat/completions"} })
	ready(t, r)
	spent := func() (n int64) {
		recorded(t, r)
		a := r.post(`{"model":"m","input":"hi","max_output_tokens":2147483647}`)
		require.Equal(t, 429, a.status, a.body)
		_, err := fmt.Sscanf(a.body[strings.Index(a.body, "per day, "):], "per day, %d used", &n)
		require.NoError(t, err)
		return n
	}
	cost := func(body string, ask func()) int64 {
		before := spent()
		ask()
		return spent() - before - int64(len(body)/4)
	}
	for _, c := range []struct {
		says     string
		from, to int64
	}{
		{"short", reserved, reserved}, {"long event", 1000, 1100}, {"many events", 500, 500}, {"breaks off", 500, 500},
		{"whole, long", 300 << 8, 301 << 8}, {"whole, small", reserved, reserved}, {"whole, of words", 1000, 1010},
	} {
		body := `{"model":"m","messages":[],"x":"` + c.says + `"}`
		got := cost(body, func() {
			resp := r.open("POST", "/v1/chat/completions", strings.NewReader(body))
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		})
		require.GreaterOrEqual(t, got, c.from, c.says)
		require.LessOrEqual(t, got, c.to, c.says)
	}
	for _, says := range []string{"counted", "whole, counted in the middle", "whole, an end"} {
		body := `{"model":"m","messages":[],"x":"` + says + `"}`
		require.EqualValues(t, 703, cost(body, func() { r.call("POST", "/v1/chat/completions", body) })+int64(len(body)/4), says)
	}
	body := `{"model":"m","input":"responses","stream":true}`
	require.EqualValues(t, 500, cost(body, func() {
		resp := r.open("POST", "/v1/responses", strings.NewReader(body))
		for events, seen := readEvents(t, resp.Body), 0; seen < 500; {
			if strings.Contains(events.next(), "output_text.delta") {
				seen++
			}
		}
		resp.Body.Close()
		r.log.waitFor(t, `"failure":"client_gone"`)
	}))
}

func TestChangedLimitsLoseNoCounts(t *testing.T) {
	r := startWith(t, newStopped().options(), config.VLLM, fives(t), limitsOf(t, `{"rules":[{"name":"all","requests_per_minute":10}]}`))
	ready(t, r)
	for range 4 {
		require.Equal(t, 200, r.post(ask).status)
	}
	change := func(limits string) {
		next := *r.first.cfg
		limitsOf(t, limits)(&next)
		require.NoError(t, r.change(context.Background(), &next))
	}
	change(`{"rules":[{"name":"all","requests_per_minute":5}]}`)
	require.Equal(t, "0", r.post(ask).header.Get("x-ratelimit-remaining-requests"))
	require.Equal(t, 429, r.post(ask).status)
	change(`{"rules":[]}`)
	require.Equal(t, 200, r.post(ask).status)
	change(`{"rules":[{"name":"all","requests_per_minute":6}]}`)
	require.Equal(t, []int{200, 429}, []int{r.post(ask).status, r.post(ask).status})
	change(`{"rules":[{"name":"all","tokens_per_day":1000000}]}`)
	require.Equal(t, 200, r.post(ask).status)
	change(`{"rules":[{"name":"all","requests_per_minute":7,"tokens_per_day":1000000}]}`)
	require.Equal(t, []int{200, 429}, []int{r.post(ask).status, r.post(ask).status}, "what a limit has counted that was not there for a while is there again")
}

// Another store is for the next process: until then counts stay where they are.
func TestAChangeOfTheStoreWaitsForARestart(t *testing.T) {
	const rules = `"rules":[{"name":"all","requests_per_minute":3}]}`
	r := startWith(t, newStopped().options(), config.VLLM, fives(t), limitsOf(t, `{`+rules))
	ready(t, r)
	require.Equal(t, "2", r.post(ask).header.Get("x-ratelimit-remaining-requests"))
	next := *r.first.cfg
	limitsOf(t, `{"store":"redis","on_failure":"closed","redis":{"url":"redis://127.0.0.1:1"},`+rules)(&next)
	require.Contains(t, r.first.cfg.RestartKeys(&next, config.Serve), "limits.store")
	require.NoError(t, r.change(context.Background(), &next))
	require.Equal(t, "1", r.post(ask).header.Get("x-ratelimit-remaining-requests"))
	require.Equal(t, []int{200, 429}, []int{r.post(ask).status, r.post(ask).status})
}

// waiting is an upstream whose answers wait to be released.
func waiting(t *testing.T) (url string, arrived chan struct{}, release func()) {
	arrived, released := make(chan struct{}, 100), make(chan struct{})
	once := sync.OnceFunc(func() { close(released) })
	t.Cleanup(once)
	return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-released:
		case <-r.Context().Done():
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, chatWhole)
	})), arrived, once
}

func TestAFullProcessAnswersBeforeItAsksWhoCalls(t *testing.T) {
	llm, arrived, release := waiting(t)
	r := start(t, config.VLLM, llm, limitsFor(t, twoTenants, `{"max_requests":2}`))
	ready(t, r)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { require.Equal(t, 200, r.as("alice-key", "POST", "/v1/responses", ask).status) })
		wait(t, arrived, "the request")
	}
	a := r.as("no-key", "POST", "/v1/responses", ask)
	require.Equal(t, []any{503, "1"}, []any{a.status, a.header.Get("Retry-After")}, a.body)
	_, _, code := a.errorCode(t)
	require.Equal(t, "overloaded", code)
	require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	require.EqualValues(t, 1, metric(t, r, "antwort_failures_total", `kind="overloaded"`))
	release()
	all.Wait()
	require.Equal(t, 401, r.as("no-key", "POST", "/v1/responses", ask).status)
}

func TestAFullBackendLeavesRequestsToOthers(t *testing.T) {
	one, oneArrived, release := waiting(t)
	two, twoArrived, releaseTwo := waiting(t)
	r := start(t, config.VLLM, "", func(c *config.Config) {
		c.Engine.MaxRequests = 1
		c.Routes = []config.Route{{Name: "r", Balance: config.LeastRequest, MaxLoad: 200, Backends: []config.Backend{
			{URL: one, Weight: 1, MaxRequests: 2}, {URL: two, Weight: 1, Priority: 1}}}}
	})
	ready(t, r)
	var all sync.WaitGroup
	for _, arrived := range []chan struct{}{oneArrived, oneArrived, twoArrived} {
		all.Go(func() { require.Equal(t, 200, r.post(ask).status) })
		wait(t, arrived, "the request")
	}
	for _, body := range []string{ask, askStream} {
		a := r.post(body)
		require.Equal(t, []any{503, "1"}, []any{a.status, a.header.Get("Retry-After")}, a.body)
		_, _, code := a.errorCode(t)
		require.Equal(t, "overloaded", code)
	}
	release()
	releaseTwo()
	all.Wait()
	require.Equal(t, 200, r.post(ask).status)
}

// Names that clients invent make no series, and what is kept of them is bounded.
func TestInventedNamesAddNoSeries(t *testing.T) {
	_, llm := mock(t, mockllm.Options{Tokens: 1})
	r := start(t, config.VLLM, llm, limitsFor(t, [][3]string{{"front", "*", "front-key"}},
		`{"max_counters":1000,"rules":[{"name":"tenants","per":["tenant"],"requests_per_minute":1},{"name":"models","per":["key","model"],"requests_per_minute":1},{"name":"people","per":["subject"],"tokens_per_day":5000}]}`))
	ready(t, r)
	series := func() (names []string) {
		for line := range strings.Lines(r.call("GET", "/metrics", "").body) {
			if !strings.HasPrefix(line, "antwort_state_") { // looking for background work begins at some time
				names = append(names, line[:strings.LastIndexByte(line, ' ')])
			}
		}
		return names
	}
	n := 10_000
	if testing.Short() || raceDetector {
		n = 1500
	}
	some := func(from, to int) {
		for i := from; i < to; i++ {
			r.as("front-key", "POST", "/v1/responses", fmt.Sprintf(`{"model":"invented-%d","input":"x"}`, i), "X-Antwort-Subject", fmt.Sprintf("s%d", i), "X-Antwort-Tenant", fmt.Sprintf("t%d", i))
		}
	}
	some(0, 1200)
	series() // has one of its own
	before := series()
	some(1200, n)
	require.Equal(t, before, series())
	require.LessOrEqual(t, metric(t, r, "antwort_limit_counters"), 1003.0)
	require.Positive(t, metric(t, r, "antwort_limit_refusals_total", `rule="tenants"`))
}

// inRedis has limits counted in a Redis.
func inRedis(server *redistest.Server, onFailure string) func(*config.Config) {
	return func(c *config.Config) {
		c.Limits.Store, c.Limits.OnFailure, c.Limits.Redis.URL = config.RedisLimits, onFailure, config.NewSecret(server.URL())
		c.Limits.Redis.Timeout = 5 * time.Second
	}
}

// A Redis that stands still under load, and goes on, leaves no reservation and no place taken:
// what is used is what those have used who were answered.
func TestRedisThatStandsStillUnderLoad(t *testing.T) {
	slow(t)
	server := redistest.Start(t)
	const workers = 4
	r := start(t, config.VLLM, fives(t), limitsOf(t, fmt.Sprintf(`{"default_output_tokens":10,"rules":[{"name":"all","requests_at_once":%d,"tokens_per_day":100000000}]}`, workers)),
		inRedis(server, config.Closed), func(c *config.Config) { c.Limits.Redis.Timeout = 500 * time.Millisecond })
	ready(t, r)
	up := func(want float64) {
		assert.Eventually(t, func() bool { return metric(t, r, "antwort_limit_store_up") == want }, guard, 10*time.Millisecond)
	}
	var statuses [600]atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				a := r.post(ask)
				if statuses[a.status].Add(1); a.status == 503 {
					up(1)
				}
			}
		})
	}
	for range 3 {
		answered := statuses[200].Load()
		require.Eventually(t, func() bool { return statuses[200].Load() > answered+20 }, guard, 10*time.Millisecond)
		server.Pause(t)
		up(0)
		server.Resume(t)
		up(1)
	}
	answered := statuses[200].Load()
	require.Eventually(t, func() bool { return statuses[200].Load() > answered+20 }, guard, 10*time.Millisecond)
	stop()
	all.Wait()
	require.Eventually(t, func() bool {
		a := r.post(`{"model":"m","input":"hi","max_output_tokens":2147483647}`)
		return strings.Contains(a.body, fmt.Sprintf("per day, %d used", 5*statuses[200].Load()))
	}, guard, 20*time.Millisecond)
	require.Zero(t, statuses[429].Load(), "no place stayed taken")
	require.Zero(t, metric(t, r, "antwort_limit_settlements_lost_total"))
}

// Replicas have one budget, which outlives them.
func TestReplicasShareLimitsInRedis(t *testing.T) {
	server := redistest.Start(t)
	limits := limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","requests_at_once":20,"tokens_per_day":1000}]}`)
	llm := fives(t)
	one, two := start(t, config.VLLM, llm, limits, inRedis(server, config.Open)), start(t, config.VLLM, llm, limits, inRedis(server, config.Open))
	ready(t, one)
	ready(t, two)
	for range 10 {
		require.Equal(t, 200, one.post(ask).status)
		require.Equal(t, 200, two.post(askStream).status)
	}
	require.Eventually(t, func() bool { return spentToday(t, two) == 100 }, guard, 10*time.Millisecond)
	one.stop()
	one.drained()
	three := start(t, config.VLLM, llm, limits, inRedis(server, config.Open))
	ready(t, three)
	require.EqualValues(t, 100, spentToday(t, three))
}

// While Redis is away under load, requests pass or are refused, as is configured; when it
// is back they are counted.
func TestRedisThatIsKilledAndComesBackUnderLoad(t *testing.T) {
	slow(t)
	for _, onFailure := range []string{config.Open, config.Closed} {
		t.Run(onFailure, func(t *testing.T) {
			server := redistest.Start(t)
			r := start(t, config.VLLM, fives(t), limitsOf(t, `{"default_output_tokens":10,"rules":[{"name":"all","requests_per_minute":1000000,"tokens_per_day":100000000}]}`), inRedis(server, onFailure))
			ready(t, r)
			counted := func() bool { return r.post(ask).header.Get("x-ratelimit-limit-requests") != "" }
			require.True(t, counted())
			var statuses [600]atomic.Int64
			ctx, stop := context.WithCancel(context.Background())
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for ctx.Err() == nil {
						statuses[r.post(ask).status].Add(1)
					}
				})
			}
			defer all.Wait()
			defer stop()
			server.Kill(t)
			r.log.waitFor(t, "the store of limits cannot be reached")
			require.EqualValues(t, 0, metric(t, r, "antwort_limit_store_up"))
			before := statuses[200].Load()
			result := map[string]string{config.Open: "passed", config.Closed: "refused"}[onFailure]
			require.Eventually(t, func() bool { return metric(t, r, "antwort_limit_store_failures_total", `result="`+result+`"`) > 50 }, guard, 10*time.Millisecond)
			a := r.post(ask)
			if onFailure == config.Open {
				require.Equal(t, 200, a.status)
				require.Zero(t, statuses[503].Load())
				require.Greater(t, statuses[200].Load(), before)
			} else {
				refused(t, a, 503, "", "limits_unavailable", "")
				require.Equal(t, "1", a.header.Get("Retry-After"))
			}
			server.Run(t)
			r.log.waitFor(t, "the store of limits is back")
			require.Eventually(t, counted, guard, 10*time.Millisecond)
			require.EqualValues(t, 1, metric(t, r, "antwort_limit_store_up"))
			require.Equal(t, 1, strings.Count(r.log.String(), `"msg":"the store of limits cannot be reached`), "it is said once")
		})
	}
}
