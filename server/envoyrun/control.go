package envoyrun

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"

	"antwort/server/process"
	"antwort/shared/responses"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// control answers the probes and the metrics, which Envoy passes on from its own
// port: an answer also says that Envoy is there and has compiled the filter.
type control struct {
	admin     *admin
	log       *slog.Logger
	contacted atomic.Bool
	draining  atomic.Bool
	own       http.Handler
	reloads   *process.Reloads
	provider  func() string // of the configuration in force, for a label
}

func newControl(a *admin, opt Options, provider func() string) *control {
	reg := prometheus.NewRegistry()
	own := prometheus.WrapRegistererWithPrefix("antwort_", reg)
	process.RegisterBuildInfo(own, opt.Version, prometheus.Labels{"envoy": opt.EnvoyVersion})
	return &control{admin: a, log: opt.Log, own: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), reloads: process.NewReloads(own), provider: provider}
}

// ServeHTTP answers what Envoy's routes let through: the probes, and the
// metrics at whatever path they are configured.
func (c *control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		e := responses.NewError(http.StatusMethodNotAllowed, "method_not_allowed", "this method is not allowed for "+r.URL.Path+": use GET, HEAD")
		w.Header().Set("Allow", "GET, HEAD")
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(e.Status)
		_, _ = w.Write(e.AppendBody(nil)) //nolint:gosec // it is JSON, and who has gone needs no answer
		return
	}
	switch r.URL.Path {
	case "/healthz", "/health":
		say(w, http.StatusOK, "ok\n")
	case "/readyz":
		c.readiness(w)
	default:
		c.scrape(w, r)
	}
}

// readiness is about this gateway, not the backend's present state: later
// outages are told to each request, and must not take all pods away at once.
func (c *control) readiness(w http.ResponseWriter) {
	switch {
	case c.draining.Load():
		say(w, http.StatusServiceUnavailable, "shutting down\n")
	case !c.contacted.Load():
		say(w, http.StatusServiceUnavailable, "waiting for the first contact with the upstream\n")
	default:
		say(w, http.StatusOK, "ok\n")
	}
}

// scrape writes our metrics and then Envoy's.
func (c *control) scrape(w http.ResponseWriter, r *http.Request) {
	envoys, err := c.admin.prometheus(r.Context())
	if err != nil {
		if r.Context().Err() != context.Canceled {
			c.log.Warn("no metrics of Envoy", "problem", err.Error())
		}
		say(w, http.StatusServiceUnavailable, "Envoy gives no metrics at the moment\n")
		return
	}
	r = r.Clone(r.Context())
	r.Header = http.Header{} // text, not compressed: Envoy's is appended to it
	all := &page{ResponseWriter: w}
	c.own.ServeHTTP(all, r)
	_, _ = w.Write(asServed(append(all.text, envoys...), c.provider()))
}

// page keeps what is written.
type page struct {
	http.ResponseWriter
	text []byte
}

func (p *page) Write(text []byte) (int, error) {
	p.text = append(p.text, text...)
	return len(text), nil
}

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
