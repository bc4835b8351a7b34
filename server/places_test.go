package server

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/server/testkit"
	"antwort/shared/config"
)

// placeRequests is how many requests TestPlacesAreGivenBack makes; TEST_SOAK
// changes it.
const placeRequests = 600

// Requests of all kinds over both versions of HTTP, clients that leave, backends
// that fail, and a configuration that changes all the while: at the end no
// backend of any of the configurations counts a request, and each of the
// balancer's places was given back once.
func TestPlacesAreGivenBack(t *testing.T) {
	slow(t)
	requests := int32(soak(placeRequests))
	if raceDetector {
		requests = int32(soak(placeRequests / 3))
	}
	_, llm := mock(t, mockllm.Options{})
	back := start(t, config.VLLM, llm)
	ready(t, back)
	dead := "http://" + testkit.Refused(t).String()
	var chats, responses []string
	for i := range 3 {
		chats = append(chats, moody(t, uint64(i), llm))
		responses = append(responses, moody(t, uint64(i), back.url))
	}
	routes := func(balance string, n int) func(*config.Config) {
		list := func(urls []string, provider string) string {
			text := fmt.Sprintf(`{"url":%q,"provider":%q,"model":"/mnt/models","priority":1}`, dead, provider)
			for i, url := range urls[:n] {
				text += fmt.Sprintf(`,{"url":%q,"provider":%q,"priority":%d,"weight":%d}`, url, provider, i/2, i+1)
			}
			return text
		}
		return withRoutes(t, fmt.Sprintf(`[
			{"name":"chat","match":{"headers":{"x-to":"chat"}},"balance":%q,"backends":[%s]},
			{"name":"either","match":{"models":["/mnt/*"],"headers":{"x-to":"either"}},"balance":%q,"backends":[%s]},
			{"name":"rest","balance":%q,"backends":[%s]}]`,
			balance, list(chats, "vllm"), balance, list(chats, "vllm"), balance, list(responses, "vllm-responses")))
	}
	r := start(t, config.VLLM, "", routes(config.LeastRequest, 3), func(c *config.Config) {
		c.Routing.EjectAfter, c.Routing.EjectTime, c.Routing.MaxEjectTime = 2, time.Millisecond, 5*time.Millisecond
		c.Server.KeepAliveInterval = 5 * time.Millisecond
		c.Engine.Retry.MaxDelay = 2 * time.Millisecond
		c.Server.DrainTimeout = time.Minute
	})
	ready(t, r)

	// Each generation of each pool is looked at in the end.
	generations := slices.Clone(r.first.pools.All())
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var sent atomic.Int32
	var all sync.WaitGroup
	all.Go(func() {
		for turn := 0; sent.Load() < requests; turn++ {
			next := *r.first.cfg
			routes([]string{config.LeastRequest, config.Affinity}[turn%2], 1+turn%3)(&next)
			if err := r.change(ctx, &next); err != nil {
				t.Error(err)
				return
			}
			generations = append(generations, r.inForce.Load().pools.All()...)
			time.Sleep(5 * time.Millisecond)
		}
	})
	lines := []string{"tokens=5", "tokens=20 delay=1ms", "cut-after=3", "drop", "status=500", "status=429", "end-after=2", "error-after=0", "garbage-after=1", "header-delay=10ms"}
	one := func(client *running) {
		where := []string{"chat", "either", ""}[rand.N(3)]
		method, path := http.MethodPost, "/v1/responses"
		body := fmt.Sprintf(`{"model":"/mnt/models","stream":%t,"input":"hello\nmock: %s"}`, rand.N(3) > 0, lines[rand.N(len(lines))])
		switch rand.N(12) {
		case 0:
			method, path, body = http.MethodGet, "/v1/models", ""
		case 1:
			method, path, body = http.MethodGet, "/v1/models/%2fmnt%2fmodels", ""
		case 2:
			method, path, body = http.MethodGet, "/v1/responses/resp_1", ""
		case 3:
			path, body = "/v1/responses/resp_1/cancel", strings.Repeat("x", 200<<10)
		case 4:
			body = fmt.Sprintf(`{"model":"/mnt/models","input":"%s"}`, strings.Repeat("x", 300<<10))
		case 5:
			body = `{"model":`
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if rand.N(3) == 0 {
			time.AfterFunc(time.Duration(rand.N(20))*time.Millisecond, cancel)
		}
		resp, err := client.do(ctx, method, path, strings.NewReader(body), "X-To", where)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	clients := []*running{r, r.overHTTP2()}
	for n := range 24 {
		all.Go(func() {
			for sent.Add(1) <= requests {
				one(clients[n%2])
			}
		})
	}
	all.Wait()
	require.Eventually(t, func() bool { return metric(t, r, "antwort_requests_in_flight") == 1 }, guard, 10*time.Millisecond, "but for the scrape")
	for _, p := range generations {
		for _, s := range p.Status() {
			require.Zero(t, s.Active, "route %s, backend %s", p.Name, s.Name)
		}
	}
	require.Zero(t, metric(t, r, "antwort_panics_total"))
	require.Zero(t, metric(t, r, "antwort_streams_in_flight"))
}
