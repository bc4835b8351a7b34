package server

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// namesIn are the words of this form in the first columns of the tables of a page, or, with
// everywhere, in the page.
func namesIn(t *testing.T, page string, form *regexp.Regexp, everywhere bool) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	require.NoError(t, err)
	names := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if everywhere {
			cells = []string{"", line, ""}
		}
		if len(cells) < 3 {
			continue
		}
		for _, name := range form.FindAllString(cells[1], -1) {
			names[name] = true
		}
	}
	return names
}

// Every metric that the pages name is in a scrape of a server that had something to do, and
// the pages name every one of ours.
func TestDocumentedMetrics(t *testing.T) {
	form := regexp.MustCompile(`\b(antwort|gen_ai)_[a-z_]+[a-z]\b`)
	documented := namesIn(t, "server.md", form, false)
	maps.Copy(documented, namesIn(t, "observability.md", form, false))
	maps.Copy(documented, namesIn(t, "state.md", form, false))
	maps.Copy(documented, namesIn(t, "limits.md", regexp.MustCompile(`\bantwort_limit_[a-z_]+[a-z]\b`), true))

	collector := testkit.NewCollector(t)
	scraped := map[string]bool{}
	scrape := func(r *running) {
		for line := range strings.Lines(r.call("GET", "/metrics", "").body) {
			if rest, is := strings.CutPrefix(line, "# TYPE "); is {
				if name, _, _ := strings.Cut(rest, " "); form.MatchString(name) {
					scraped[name] = true
				}
			}
		}
	}
	_, llm := mock(t, mockllm.Options{Tokens: 5, OpenTemplate: true})
	refused := "http://" + testkit.Refused(t).String()
	back := start(t, config.VLLM, llm, traced(collector), limitsOf(t, `{"rules":[{"name":"all","requests_per_minute":3}]}`), func(c *config.Config) {
		c.Translation.UnsupportedTools = config.Drop
		c.Routes = []config.Route{{Name: "r", Balance: config.LeastRequest, Backends: []config.Backend{{URL: refused, Priority: 0}, {URL: llm, Priority: 1}}}}
		c.Routing.EjectAfter = 1
		c.Server.TLS = config.TLS{}
	})
	ready(t, back)
	require.Equal(t, 200, back.post(`{"model":"/mnt/models","input":"hi","stream":true,"tools":[{"type":"web_search"}]}`).status)
	require.Equal(t, 200, back.post(`{"model":"/mnt/models","input":"hi"}`).status)
	require.Equal(t, 200, back.post(`{"model":"/mnt/models","input":"hi"}`).status)
	require.Equal(t, 429, back.post(`{"model":"/mnt/models","input":"hi"}`).status)
	scrape(back)

	is := newIssuer(t)
	signed := key("k")
	is.publish(signed)
	c := newCertified(t, "antwort")
	secure := c.start(t, config.VLLM, llm, is.asked)
	over := c.over(t, secure, false)
	require.Eventually(t, func() bool { // once the issuer's keys are there
		scrape(over)
		return scraped["antwort_issuer_keys_age_seconds"]
	}, guard, 10*time.Millisecond)
	require.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(scraped)))
}

// Every attribute that the page names is in a span of a real run, and the page names every
// one that is.
func TestDocumentedAttributes(t *testing.T) {
	form := regexp.MustCompile(`\b(gen_ai|http|server|error|antwort|url)\.[a-z_.]+[a-z]\b`)
	documented := namesIn(t, "observability.md", form, false)
	collector := testkit.NewCollector(t)
	usage := upstreamOf(t, chats(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.Replace(chatWhole, `"total_tokens":5`, `"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":1}`, 1))
	}))
	refused := "http://" + testkit.Refused(t).String()
	r := start(t, config.VLLM, usage, traced(collector), limitsOf(t, `{"rules":[{"name":"all","requests_per_minute":2}]}`), func(c *config.Config) {
		c.Routes = []config.Route{{Name: "r", Balance: config.LeastRequest, Backends: []config.Backend{{URL: refused, Priority: 0}, {URL: usage, Priority: 1}}}}
		c.Observability.Capture = 100
	})
	ready(t, r)
	require.Equal(t, 200, r.post(ask).status)
	_, llm := mock(t, mockllm.Options{})
	s := start(t, config.VLLM, llm, traced(collector))
	require.Equal(t, 200, s.post(`{"model":"/mnt/models","stream":true,"input":"hi"}`).status)
	r.post(ask)
	require.Equal(t, 429, r.post(ask).status)
	spansOf(t, collector, 3+2+3+1)
	seen := map[string]bool{}
	for _, span := range collector.Spans() {
		for name := range attributesOf(span) {
			seen[name] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(seen)))
}

// Whatever 10,000 clients make up, no metric has a series more.
func TestInventedNamesMakeNoSeries(t *testing.T) {
	collector := testkit.NewCollector(t)
	llm := upstreamOf(t, chats(answering200))
	r := start(t, config.VLLM, llm, traced(collector), func(c *config.Config) { c.Observability.Tracing.SampleRatio = 0 }, limitsOf(t, `{"rules":[{"name":"models","per":["model"],"requests_per_minute":1000000,"tokens_per_minute":1000000}]}`))
	ready(t, r)
	series := func() (names []string) {
		for line := range strings.Lines(r.call("GET", "/metrics", "").body) {
			own := strings.HasPrefix(line, "antwort_state_") || strings.Contains(line, `endpoint="/metrics"`) // what the store does by itself, and this
			if !own && !strings.HasPrefix(line, "#") && (strings.HasPrefix(line, "antwort_") || strings.HasPrefix(line, "gen_ai_")) {
				names = append(names, line[:strings.LastIndexByte(line, ' ')])
			}
		}
		return names
	}
	invent := func(i int) {
		name := fmt.Sprintf("invented-%d", i)
		r.post(`{"model":"`+name+`","input":"hi","safety_identifier":"`+name+`"}`, "Authorization", "Bearer "+name, "X-Antwort-Tenant", name, "X-Antwort-Subject", name, "Traceparent", "00-"+name)
		r.call("GET", "/v1/"+name, "")
		r.call(fmt.Sprintf("M%d", i), "/v1/responses", "")
	}
	invent(0)
	before := series()
	for i := range 3333 {
		invent(1 + i)
	}
	require.Equal(t, before, series())
	require.NotContains(t, r.call("GET", "/metrics", "").body, "invented")
}
