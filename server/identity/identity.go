// Package identity finds out who calls: by API keys that the configuration knows,
// or by tokens that an issuer has signed.
//
//	request's credential ─► Callers ─┬─► policy.Identity
//	                                 └─► failure: 401, or 503 while nobody can tell
//
// Requests enter by their header only. What a caller may do is not decided here.
package identity

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"antwort/server/identity/token"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"

	"github.com/prometheus/client_golang/prometheus"
)

// Callers are those whom one configuration lets in.
type Callers struct {
	access *policy.Access  // nil: everybody may call
	tokens *token.Verifier // nil: callers have API keys, or nothing
}

// New makes the callers of a configuration. They may share the issuer's keys with
// those of before, which may be nil.
func New(cfg *config.Config, before *Callers, log *slog.Logger) (*Callers, error) {
	c := &Callers{access: policy.NewAccess(cfg)}
	if !c.access.ByToken() {
		return c, nil
	}
	var err error
	c.tokens, err = token.New(&cfg.Auth.JWT, c.access, before.verifier(), token.Options{Log: log, Now: time.Now})
	return c, err
}

func (c *Callers) verifier() *token.Verifier {
	if c == nil {
		return nil
	}
	return c.tokens
}

// PassOn reports whether a client's credential is for the upstream too: nobody
// here asked for it, or it is said to be.
func (c *Callers) PassOn() bool { return c.access == nil || c.access.Forward }

// Identify finds out who sent a request; nil when nobody is asked.
func (c *Callers) Identify(r *http.Request) (*policy.Identity, *failure.Failure) {
	if c.access == nil {
		return nil, nil
	}
	authorization, apiKey := r.Header["Authorization"], r.Header["X-Api-Key"]
	if c.tokens == nil {
		caller, err := c.access.Identify(authorization, apiKey, policy.Told{Subject: r.Header["X-Antwort-Subject"], Tenant: r.Header["X-Antwort-Tenant"]})
		switch {
		case err == nil:
			return caller, nil
		case err.Status == http.StatusForbidden:
			return nil, failure.Of(failure.Unauthorized, err)
		}
		return nil, failure.Of(failure.Unauthorized, err).With(fieldOf(policy.Challenge(err)))
	}
	caller, err, cause := c.tokens.Identify(r.Context(), authorization, apiKey)
	switch {
	case err == nil:
		return caller, nil
	case err.Status == http.StatusUnauthorized:
		return nil, failure.Of(failure.Unauthorized, err).Because(cause).With(fieldOf(policy.Challenge(err)))
	default:
		return nil, failure.Of(failure.AuthUnavailable, err).Because(cause)
	}
}

// Expires is from when on the credential of a request that was just identified is not good
// any more; zero when it does not expire.
func (c *Callers) Expires(r *http.Request) time.Time {
	if c.tokens == nil {
		return time.Time{}
	}
	return c.tokens.Expires(r.Header["Authorization"], r.Header["X-Api-Key"])
}

func fieldOf(f [2]string) (name, value string) { return f[0], f[1] }

// Start begins to fetch the issuer's keys.
func (c *Callers) Start() {
	if c.tokens != nil {
		c.tokens.Start()
	}
}

// Succeed starts what the callers of before do not have, once it has keys: without
// them a changed configuration would let nobody in.
func (c *Callers) Succeed(ctx context.Context, before *Callers) error {
	if c.tokens == nil || c.tokens.Shares(before.tokens) {
		return nil
	}
	if err := c.tokens.Await(ctx); err != nil {
		c.tokens.Stop()
		return err
	}
	c.tokens.Start()
	return nil
}

// Stop ends what next, which may be nil, does not share.
func (c *Callers) Stop(next *Callers) {
	if c.tokens != nil && (next == nil || !next.tokens.Shares(c.tokens)) {
		c.tokens.Stop()
	}
}

// Ready reports whether anybody can be told from others yet.
func (c *Callers) Ready() bool { return c.tokens == nil || c.tokens.HadKeys() }

// gauge is the age of the issuer's keys.
type gauge struct {
	inForce func() *Callers
	age     *prometheus.Desc
}

// NewGauge returns the metric about the keys of the callers in force.
func NewGauge(inForce func() *Callers) prometheus.Collector {
	return &gauge{inForce, prometheus.NewDesc("issuer_keys_age_seconds", "Time since the keys of the tokens' issuer were fetched.", nil, nil)}
}

func (g *gauge) Describe(out chan<- *prometheus.Desc) { out <- g.age }

func (g *gauge) Collect(out chan<- prometheus.Metric) {
	if c := g.inForce(); c != nil && c.tokens != nil {
		if age, had := c.tokens.KeysAge(); had {
			out <- prometheus.MustNewConstMetric(g.age, prometheus.GaugeValue, age.Seconds())
		}
	}
}
