package envoyrun

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"antwort/shared/config"
)

// contactDelay is the longest wait between two tries to reach the backend, and
// for the answer of one.
const contactDelay = 5 * time.Second

// contact asks the backends for their models until one of any route answers:
// anything but a failure of its own is a contact. A route whose backends are away
// must not take the others out of service. It asks through Envoy, so that name,
// TLS and authorities are those of the requests to come.
func (g *gateway) contact(ctx context.Context) {
	client := unixClient(g.path(upstreamSocket))
	defer client.CloseIdleConnections()
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, contactDelay) {
		if g.greetAll(ctx, client) {
			g.control.contacted.Store(true)
			g.log.Info("upstream answers: ready")
			return
		}
		if ctx.Err() != nil || !sleep(ctx, delay/2+rand.N(delay/2)) { //nolint:gosec // a pause is no secret
			return
		}
	}
}

// greetAll asks all routes at once and reports whether one has answered.
func (g *gateway) greetAll(ctx context.Context, client *http.Client) bool {
	routes := g.current().cfg.AllRoutes()
	within, stop := context.WithCancel(ctx)
	defer stop()
	problems := make(chan string, len(routes))
	for i := range routes {
		go func() { problems <- greet(within, client, &routes[i]) }()
	}
	said := make([]string, 0, len(routes))
	for range routes {
		problem := <-problems
		if problem == "" {
			return true
		}
		said = append(said, problem)
	}
	if ctx.Err() == nil {
		g.log.Warn("no contact with the upstream yet", "backend_url", routes[0].Backends[0].URL, "problem", said[0])
	}
	return false
}

// greet returns what is wrong, "" when a backend of the route answered.
func greet(ctx context.Context, client *http.Client, route *config.Route) string {
	ctx, cancel := context.WithTimeout(ctx, contactDelay)
	defer cancel()
	base, err := url.Parse(route.Backends[0].URL)
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream"+base.EscapedPath()+"/v1/models", nil)
	if err != nil {
		return err.Error()
	}
	req.Header.Set("X-Antwort-Route", route.Name) // for Envoy
	if key := route.Backends[0].APIKey; key.IsSet() {
		req.Header.Set("Authorization", "Bearer "+key.Reveal())
	}
	req.Header.Set("User-Agent", "antwort")
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode < 500 {
		return ""
	}
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // a hint for the log
	return strings.TrimSpace(fmt.Sprintf("status %s: %s", resp.Status, said))
}
