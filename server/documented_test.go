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
	"antwort/shared/failure"
)

// namesIn are the words of this form in the first columns of the tables of a page.
func namesIn(t *testing.T, page string, form *regexp.Regexp) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	require.NoError(t, err)
	names := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range form.FindAllString(cells[1], -1) {
			names[name] = true
		}
	}
	return names
}

// labelled are the labels of a metric, each with the values that are listed or were seen.
type labelled map[string]map[string]bool

func (l labelled) add(name string, values ...string) {
	if l[name] == nil {
		l[name] = map[string]bool{}
	}
	for _, v := range values {
		l[name][v] = true
	}
}

var (
	ofMetrics = regexp.MustCompile(`\b(?:antwort|gen_ai)_[a-z_]+[a-z]\b`)
	quoted    = regexp.MustCompile("`([a-z0-9_]+)`")
	sample    = regexp.MustCompile(`(?m)^((?:antwort|gen_ai)_[a-z_]+?)(?:_(?:bucket|sum|count))?(?:\{(.*)\})? [0-9.e+-]+(?:NaN)?$`)
	ofSample  = regexp.MustCompile(`([a-z_]+)="((?:[^"\\]|\\.)*)"`)
)

// metricsIn are those in the first columns of the tables of a page that have this beginning,
// with the labels in their second columns: `one`, `another`; `third`: `value`, `value`.
func metricsIn(t *testing.T, page, beginning string) map[string]labelled {
	t.Helper()
	text, err := os.ReadFile("../docs/" + page)
	require.NoError(t, err)
	all := map[string]labelled{}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 {
			continue
		}
		for _, name := range ofMetrics.FindAllString(cells[1], -1) {
			if !strings.HasPrefix(name, beginning) {
				continue
			}
			labels := labelled{}
			if strings.HasPrefix(name, "antwort_") {
				labels.add("provider")
			} else {
				labels.add("gen_ai_operation_name")
				labels.add("gen_ai_provider_name")
				labels.add("gen_ai_request_model")
			}
			for part := range strings.SplitSeq(cells[2], ";") {
				names, values, _ := strings.Cut(part, ":")
				for _, name := range quoted.FindAllStringSubmatch(names, -1) {
					labels.add(name[1])
					for _, value := range quoted.FindAllStringSubmatch(values, -1) {
						labels.add(name[1], value[1])
					}
				}
			}
			all[name] = labels
		}
	}
	return all
}

// scrapedInto adds what a server's metrics are.
func scrapedInto(all map[string]labelled, r *running) {
	for _, line := range sample.FindAllStringSubmatch(r.call("GET", "/metrics", "").body, -1) {
		name := line[1]
		if all[name] == nil {
			all[name] = labelled{}
		}
		for _, label := range ofSample.FindAllStringSubmatch(line[2], -1) {
			if label[1] != "le" {
				all[name].add(label[1], label[2])
			}
		}
	}
}

// Every metric that the pages name is in a scrape of a server that had something to do, with
// the labels that they name, and the pages name every one of ours. Where they list values
// there are no others.
func TestDocumentedMetrics(t *testing.T) {
	documented := metricsIn(t, "server.md", "")
	maps.Copy(documented, metricsIn(t, "observability.md", ""))
	maps.Copy(documented, metricsIn(t, "state.md", ""))
	maps.Copy(documented, metricsIn(t, "limits.md", "antwort_limit_"))
	documented["antwort_failures_total"].add("kind", slices.Collect(maps.Keys(documentedKinds(t)))...)

	collector := testkit.NewCollector(t)
	scraped := map[string]labelled{}
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
	recorded(t, back)
	scrapedInto(scraped, back)

	is := newIssuer(t)
	signed := key("k")
	is.publish(signed)
	c := newCertified(t, "antwort")
	secure := c.start(t, config.VLLM, llm, is.asked)
	over := c.over(t, secure, false)
	require.Eventually(t, func() bool { // once the issuer's keys are there
		scrapedInto(scraped, over)
		return scraped["antwort_issuer_keys_age_seconds"] != nil
	}, guard, 10*time.Millisecond)
	require.Equal(t, slices.Sorted(maps.Keys(documented)), slices.Sorted(maps.Keys(scraped)))
	// Those whose values are there from the start, or all used here.
	whole := []string{"antwort_tokens_total", "antwort_request_duration_seconds", "antwort_config_reloads_total", "antwort_limit_store_failures_total", "antwort_trace_spans_total", "gen_ai_client_token_usage"}
	for name, want := range documented {
		got := scraped[name]
		require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)), "labels of %s", name)
		for label, values := range want {
			if len(values) > 0 {
				require.Subset(t, slices.Collect(maps.Keys(values)), slices.Collect(maps.Keys(got[label])), "%s of %s", label, name)
			}
			if slices.Contains(whole, name) && len(values) > 0 {
				require.Equal(t, slices.Sorted(maps.Keys(values)), slices.Sorted(maps.Keys(got[label])), "%s of %s", label, name)
			}
		}
	}
}

// documentedKinds are the kinds of failures that the page of the server lists.
func documentedKinds(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("../docs/server.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), "\n### Kinds of failures\n")
	require.True(t, found)
	kinds := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(section, -1) {
		for _, kind := range quoted.FindAllStringSubmatch(row[1], -1) {
			kinds[kind[1]] = true
		}
	}
	return kinds
}

// The page lists every kind of failure but those that only an Envoy can tell.
func TestDocumentedKinds(t *testing.T) {
	want := map[string]bool{}
	for _, kind := range failure.All() {
		if kind != failure.Cut && kind != failure.Ungated {
			want[kind.String()] = true
		}
	}
	require.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(documentedKinds(t))))
}

// Every attribute that the page names is in a span of a real run, and the page names every
// one that is.
func TestDocumentedAttributes(t *testing.T) {
	form := regexp.MustCompile(`\b(gen_ai|http|server|error|antwort|url)\.[a-z_.]+[a-z]\b`)
	documented := namesIn(t, "observability.md", form)
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
	slow(t)
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
	n := 3333
	if raceDetector {
		n /= 10 // goroutines do the same in all of them, and other runs are without it
	}
	for i := range n {
		invent(1 + i)
	}
	require.Equal(t, before, series())
	require.NotContains(t, r.call("GET", "/metrics", "").body, "invented")
}
