package envoy

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

// contact asks the backend for its models until it answers: anything but a
// failure of its own is a contact. It asks through Envoy, so that name, TLS and
// authorities are those of the requests to come.
func (g *gateway) contact(ctx context.Context) {
	client := unixClient(g.path(upstreamSocket))
	defer client.CloseIdleConnections()
	for delay := 100 * time.Millisecond; ; delay = min(2*delay, contactDelay) {
		problem := greet(ctx, client, g.current().cfg)
		if problem == "" {
			g.control.contacted.Store(true)
			g.log.Info("upstream answers: ready")
			return
		}
		if ctx.Err() != nil {
			return
		}
		g.log.Warn("no contact with the upstream yet", "backend_url", g.current().cfg.Engine.BackendURL, "problem", problem)
		if !sleep(ctx, delay/2+rand.N(delay/2)) {
			return
		}
	}
}

// greet returns what is wrong, "" when the backend answered.
func greet(ctx context.Context, client *http.Client, cfg *config.Config) string {
	ctx, cancel := context.WithTimeout(ctx, contactDelay)
	defer cancel()
	base, err := url.Parse(cfg.Engine.BackendURL)
	if err != nil {
		return err.Error()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://upstream"+base.EscapedPath()+"/v1/models", nil)
	if err != nil {
		return err.Error()
	}
	if key := cfg.Engine.APIKey; key.IsSet() {
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
