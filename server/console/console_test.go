package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"antwort/server/observe"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

const guard = 30 * time.Second

// window is a console that is served.
type window struct {
	*Console
	t   *testing.T
	url string
	cfg *config.Config
}

func open(t *testing.T, change ...func(*Options, *config.Config)) *window {
	t.Helper()
	cfg, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://b.example:1"}}`)})
	require.NoError(t, err)
	opt := Options{
		Local: true, Version: "v1", Now: time.Now, Observer: observe.New(slog.New(slog.DiscardHandler), "vllm"),
		Config:   func() *config.Config { return cfg },
		Backends: func() []byte { return []byte("{\n  \"routes\": []\n}\n") },
	}
	for _, c := range change {
		c(&opt, cfg)
	}
	c := New(opt)
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	return &window{c, t, s.URL, cfg}
}

func withToken(o *Options, c *config.Config) {
	o.Local, c.Server.Admin.Token = false, config.NewSecret("the-token")
}

// ask sends a question as the page does, but for the given fields.
func (w *window) ask(method, path, body string, fields ...string) (*http.Response, string) {
	w.t.Helper()
	req, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	require.NoError(w.t, err)
	req.Header.Set(asker, "1")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(fields); i += 2 {
		if req.Header.Set(fields[i], fields[i+1]); fields[i+1] == "" {
			req.Header.Del(fields[i])
		}
	}
	answer, err := http.DefaultClient.Do(req)
	require.NoError(w.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(w.t, err)
	return answer, string(text)
}

func TestThePageIsItsOwnFilesOnly(t *testing.T) {
	w := open(t)
	answer, html := w.ask("GET", Path, "")
	require.Equal(t, 200, answer.StatusCode)
	require.NotRegexp(t, `(?i)<style|style=|\son[a-z]+=|<script[^>]*>[^<]|https?://`, html, "nothing inline, nothing from elsewhere")
	for _, path := range regexp.MustCompile(`(?:src|href)="(console/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		found, _ := w.ask("GET", "/"+path[1], "")
		require.Equal(t, 200, found.StatusCode, path[1])
	}
	files, err := fs.ReadDir(page, "page")
	require.NoError(t, err)
	for _, f := range files {
		text, err := page.ReadFile("page/" + f.Name())
		require.NoError(t, err)
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function`, string(text), f.Name())
		for _, name := range regexp.MustCompile(`from "\./([^"]+)"`).FindAllSubmatch(text, -1) {
			found, _ := w.ask("GET", Path+"/"+string(name[1]), "")
			require.Equal(t, "text/javascript; charset=utf-8", found.Header.Get("Content-Type"), string(name[1]))
		}
	}
}

// Whatever is answered, no other page frames it, reads it or brings something in.
func TestEveryAnswerIsClosedToOtherPages(t *testing.T) {
	w := open(t)
	for _, path := range []string{Path, Path + "/console.css", Path + "/api/about", Path + "/api/none", Path + "/"} {
		answer, _ := w.ask("GET", path, "", "Origin", w.url)
		h := answer.Header
		require.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.Contains(t, h.Get("Content-Security-Policy"), "frame-ancestors 'none'", path)
		require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", path)
		require.Equal(t, "nosniff", h.Get("X-Content-Type-Options"), path)
		require.Equal(t, "same-origin", h.Get("Cross-Origin-Resource-Policy"), path)
		require.Empty(t, h.Get("Access-Control-Allow-Origin"), path)
	}
}

func TestWhoMayAsk(t *testing.T) {
	for name, c := range map[string]struct {
		token  bool
		fields []string
		status int
	}{
		"the page":                          {false, nil, 200},
		"the page, says the browser":        {false, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		"a page of another site":            {false, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a page of another port":            {false, []string{"Sec-Fetch-Site", "same-site"}, 403},
		"a page of another origin":          {false, []string{"Origin", "https://evil.example"}, 403},
		"a page of nowhere":                 {false, []string{"Origin", "null"}, 403},
		"a form, or an old browser":         {false, []string{asker, ""}, 403},
		"the right token":                   {true, []string{"Authorization", "Bearer the-token"}, 200},
		"the right token, in small letters": {true, []string{"Authorization", "bearer the-token"}, 200},
		"no token":                          {true, nil, 401},
		"a wrong token":                     {true, []string{"Authorization", "Bearer the-tokem"}, 401},
		"a part of the token":               {true, []string{"Authorization", "Bearer the-toke"}, 401},
		"another scheme":                    {true, []string{"Authorization", "Basic the-token"}, 401},
		"an empty token":                    {true, []string{"Authorization", "Bearer "}, 401},
		"the right token, from elsewhere":   {true, []string{"Authorization", "Bearer the-token", "Origin", "https://evil.example"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t)
			if c.token {
				w = open(t, withToken)
			}
			for _, path := range []string{"/api/about", "/api/feed"} {
				ctx, leave := context.WithCancel(t.Context())
				req, err := http.NewRequestWithContext(ctx, "GET", w.url+Path+path, nil)
				require.NoError(t, err)
				req.Header.Set(asker, "1")
				for i := 0; i < len(c.fields); i += 2 {
					if req.Header.Set(c.fields[i], c.fields[i+1]); c.fields[i+1] == "" {
						req.Header.Del(c.fields[i])
					}
				}
				answer, err := http.DefaultClient.Do(req)
				require.NoError(t, err)
				require.Equal(t, c.status, answer.StatusCode, path)
				if c.status == 401 {
					require.Equal(t, "Bearer", answer.Header.Get("WWW-Authenticate"))
				}
				leave()
				answer.Body.Close()
			}
		})
	}
}

func TestWithoutATokenThereIsNoConsoleForOthers(t *testing.T) {
	w := open(t, func(o *Options, _ *config.Config) { o.Local = false })
	answer, body := w.ask("GET", Path+"/api/about", "")
	require.Equal(t, 403, answer.StatusCode)
	require.Contains(t, body, "server.admin.token_file")
}

// Where there is a token it is asked for on a loopback address too.
func TestTheTokenIsAskedForEverywhere(t *testing.T) {
	w := open(t, withToken, func(o *Options, _ *config.Config) { o.Local = true })
	answer, _ := w.ask("GET", Path+"/api/about", "")
	require.Equal(t, 401, answer.StatusCode)
}

func TestTheFeedTellsWhatHappens(t *testing.T) {
	w := open(t)
	now := time.Now()
	w.opt.Now = func() time.Time { return now }
	sample := func() {
		now = now.Add(every * time.Second)
		w.sample()
	}
	sample()
	exchange := func(r *observe.Record) {
		r.Start, r.Endpoint = time.Now(), "/v1/responses"
		w.opt.Observer.Begin(r)
		w.opt.Observer.End(r)
	}
	exchange(&observe.Record{ID: "req_1", Status: 200, Outcome: responses.Outcome{HasUsage: true, Usage: responses.Usage{Input: 50, Output: 10}}})
	sample()
	req, err := http.NewRequest("GET", w.url+Path+"/api/feed", nil)
	require.NoError(t, err)
	req.Header.Set(asker, "1")
	answer, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, "text/event-stream", answer.Header.Get("Content-Type"))
	events := bufio.NewReader(answer.Body)
	next := func(name string) (data json.RawMessage) {
		line, err := events.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "event: "+name+"\n", line)
		line, err = events.ReadString('\n')
		require.NoError(t, err)
		_, err = events.ReadString('\n')
		require.NoError(t, err)
		return json.RawMessage(line[len("data: "):])
	}
	var hour struct{ Samples [][]float64 }
	require.NoError(t, json.Unmarshal(next("hour"), &hour))
	require.Len(t, hour.Samples, 1)
	require.Equal(t, []float64{0.2, 0, 10, 2}, hour.Samples[0][1:5])
	require.JSONEq(t, `[]`, string(next("flights")))
	require.JSONEq(t, `{"routes":[]}`, string(next("backends")))
	require.JSONEq(t, `{"seen":0,"last":[]}`, string(next("failures")))

	const hostile = `<img src=x onerror=alert(1)>`
	exchange(&observe.Record{ID: "req_2", Status: 404, Model: hostile, Failure: failure.NoRoute, Cause: errors.New("not for pages")})
	running := &observe.Record{ID: "req_3", Start: now.Add(-2 * time.Second), Endpoint: "/v1/responses", Model: hostile}
	w.opt.Observer.Begin(running)
	w.opt.Observer.Sends(running, "r")
	running.Wrote(5)
	w.tell()
	require.Contains(t, string(next("now")), `"failures":1`)
	flying := string(next("flights"))
	require.Contains(t, flying, `[{"id":"req_3","endpoint":"/v1/responses","model":"`)
	require.Contains(t, flying, `"route":"r","age":2,"sent":5}]`)
	require.NotContains(t, flying, "<img", "nobody takes it for markup")
	w.opt.Observer.End(running)
	next("backends") // for those who were there
	said := string(next("failures"))
	require.Contains(t, said, `"id":"req_2"`)
	require.Contains(t, said, `"kind":"no_route"`)
	require.NotContains(t, said, "<img", "nobody takes it for markup")
	require.NotContains(t, said, "not for pages")
	w.tell()
	next("now")
	require.JSONEq(t, `[]`, string(next("flights")))
	sample()
	require.Contains(t, string(next("sample")), ",0.4,0.2,")
}

func TestTheFeedIsForSoManyPages(t *testing.T) {
	w := open(t)
	for range maxPages {
		require.NotNil(t, w.feed.join())
	}
	answer, _ := w.ask("GET", Path+"/api/feed", "")
	require.Equal(t, 503, answer.StatusCode)
}

// A page that does not read is let go, and holds up nobody.
func TestAPageThatDoesNotReadIsLetGo(t *testing.T) {
	w := open(t)
	slow, fast := w.feed.join(), w.feed.join()
	for range cap(slow) + 1 {
		w.feed.say([]byte("x"))
		<-fast
	}
	for range cap(slow) {
		<-slow
	}
	_, more := <-slow
	require.False(t, more)
	require.True(t, w.feed.watched())
}

func TestTheFeedEndsWithTheServer(t *testing.T) {
	w := open(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { w.Run(ctx); close(done) }()
	page := w.feed.join()
	stop()
	select {
	case <-done:
	case <-time.After(guard):
		t.Fatal("it goes on")
	}
	for range page { //nolint:revive // until it is closed
	}
	require.Nil(t, w.feed.join())
}

func TestSamplesTakeNoMoreMemory(t *testing.T) {
	var s samples
	at := time.Now()
	for range 3 * maxSamples {
		at = at.Add(every * time.Second)
		s.take(at, observe.Totals{})
	}
	all := s.all()
	require.Len(t, all, maxSamples)
	require.Equal(t, at, all[maxSamples-1].at)
	require.Equal(t, at.Add(-(maxSamples-1)*every*time.Second), all[0].at)
}

func TestQuantiles(t *testing.T) {
	var none, some observe.Spread
	require.True(t, quantile(0.5, &none, &none) != quantile(0.5, &none, &none), "not a number")
	some[4] = 10 // from 50 to 100 ms
	require.InDelta(t, 0.075, quantile(0.5, &some, &none), 1e-9)
	require.InDelta(t, 0.0975, quantile(0.95, &some, &none), 1e-9)
	some[16] = 10
	require.InDelta(t, 600, quantile(0.95, &some, &none), 1e-9)
	before := some
	before[16] = 0
	require.InDelta(t, 600, quantile(0.5, &some, &before), 1e-9)
	text, err := json.Marshal(sample{at: time.UnixMilli(5), first: [2]float64{quantile(0.5, &none, &none), 1}})
	require.NoError(t, err)
	require.True(t, bytes.HasPrefix(text, []byte("[5,0,0,0,0,null,1,")), string(text))
}

func BenchmarkASecondWithTenPages(b *testing.B) {
	observer := observe.New(slog.New(slog.DiscardHandler), "vllm")
	c := New(Options{Now: time.Now, Observer: observer, Backends: func() []byte { return []byte("{}") }})
	for range 10 {
		page := c.feed.join()
		go func() {
			for range page { //nolint:revive // as fast as it comes
			}
		}()
	}
	b.ReportAllocs()
	for b.Loop() {
		c.tell()
	}
	c.feed.close()
}

func TestTheBenchExplainsARequest(t *testing.T) {
	w := open(t)
	answer, body := w.ask("POST", Path+"/api/explain", `{"body":"{\"model\":\"m\",\"input\":\"hi\",\"max_output_tokens\":20}","as":{}}`)
	require.Equal(t, 200, answer.StatusCode)
	require.Contains(t, body, `"outcome":"translated"`)
	require.Contains(t, body, `"field":"max_output_tokens"`)
	_, body = w.ask("POST", Path+"/api/explain", `{"body":"{\"model\":\"m\",\"input\":\"hi\",\"temperature\":9}","as":{}}`)
	require.Contains(t, body, `"param":"temperature"`)
	answer, _ = w.ask("POST", Path+"/api/explain", `not JSON`)
	require.Equal(t, 400, answer.StatusCode)
}

// Nobody but the bench looks at the fields that it is given: what is none in a message must
// not become one.
func TestTheBenchSendsFieldsOnly(t *testing.T) {
	w := open(t)
	for _, field := range []string{
		`["X\r\nX-Antwort-Tenant","t"]`, `["transfer-encoding ","chunked"]`, `["a:b","c"]`, `["","c"]`, `["é","c"]`,
		`["CDN-Loop","x\r\nX-Antwort-Subject: admin"]`, `["a","b\u0000"]`, `["a","b\n"]`, `["a","b\u007f"]`,
	} {
		for _, question := range []string{"trial", "explain"} {
			answer, body := w.ask("POST", Path+"/api/"+question, `{"body":"{\"model\":\"m\",\"input\":\"hi\"}","as":{},"headers":[`+field+`]}`)
			require.Equal(t, 400, answer.StatusCode, "%s %s", question, field)
			require.Contains(t, body, "no header can have the field")
		}
	}
	answer, _ := w.ask("POST", Path+"/api/explain", `{"body":"{\"model\":\"m\",\"input\":\"hi\"}","as":{},"headers":[["X-Team","a\tb é"]]}`)
	require.Equal(t, 200, answer.StatusCode)
}
