package envoy

import (
	"errors"
	"fmt"
	"math"
	"strconv"

	"antwort/shared/config"
)

// most a bucket of Envoy's can hold.
const mostRequests = math.MaxUint32

// Unkept are the limits of callers that an Envoy would not keep to, each by its key, and why.
func Unkept(c *config.Config) (problems []error) {
	say := func(key, why string) { problems = append(problems, errors.New(key+": "+why)) }
	rules, shared := c.Limits.Rules.All(), areShared(c)
	if len(rules) > 0 && shared && c.Limits.Service == "" {
		say("limits.store", "an Envoy asks no Redis: set limits.service to an envoyproxy/ratelimit that has it, let each Envoy count for itself (memory), or leave this to an antwort serve behind it")
	}
	for i := range rules {
		l, at := &rules[i], "limits.rules["+strconv.Itoa(i)+"]"
		if l.RequestsAtOnce > 0 {
			say(at+".requests_at_once", "Envoy knows of requests at once of a cluster, not of a caller: leave this to an antwort serve behind it")
		}
		for _, of := range limitsOf(l) {
			switch {
			case of.tokens && !shared:
				say(at+"."+of.name, "Envoy counts requests, and a request's tokens are known when its answer has ended: set limits.service, or leave this to an antwort serve behind it")
			case of.unit == "":
				say(at+"."+of.name, "the month of envoyproxy/ratelimit has 30 days: leave this to an antwort serve behind it")
			case of.limit > mostRequests:
				say(at+"."+of.name, "Envoy counts to "+strconv.Itoa(mostRequests)+" at most")
			}
		}
		if l.NeedsModel() && c.Filter.Profile != config.Gated {
			say(at, "depends on the model, which Envoy learns with filter.profile "+config.Gated+" only")
		}
	}
	return problems
}

// limitOf is a limit of a rule: by its name, and the unit of time in which a service counts it.
type limitOf struct {
	name   string
	limit  int64
	unit   string // "": none that is the calendar's
	tokens bool
}

// limitsOf are the limits that a rule has, but for requests at once.
func limitsOf(l *config.LimitRule) (all []limitOf) {
	for _, of := range []limitOf{
		{"requests_per_minute", l.RequestsPerMinute, "minute", false},
		{"tokens_per_minute", l.TokensPerMinute, "minute", true},
		{"tokens_per_day", l.TokensPerDay, "day", true},
		{"tokens_per_month", l.TokensPerMonth, "", true},
	} {
		if of.limit > 0 {
			all = append(all, of)
		}
	}
	return all
}

// areShared reports whether somebody counts for several Envoys.
func areShared(c *config.Config) bool { return c.Limits.Store == config.RedisLimits }

// unkept refuses what Unkept names.
func unkept(c *config.Config) error {
	if problems := Unkept(c); len(problems) > 0 {
		return fmt.Errorf("envoy does not keep to it: %w", errors.Join(problems...))
	}
	return nil
}

// untraced refuses what Envoy cannot do of observability.otlp; secrets are known to one that
// is supervised.
func untraced(c *config.Config, supervised bool) error {
	o := &c.Observability.OTLP
	switch {
	case o.Endpoint == "":
		return nil
	case o.CAFile != "":
		return errors.New("observability.otlp.ca_file: Envoy trusts the system's authorities: leave it out")
	case c.Observability.Capture > 0:
		return errors.New("observability.capture: Envoy's spans have nothing of what people write: leave it out")
	case !supervised && (o.Headers.IsSet() || o.HeadersFile != "" || o.HeadersEnv != ""):
		return errors.New("observability.otlp.headers: secrets are never printed: let a collector beside this Envoy have the key")
	}
	_, err := parseBackend(o.Endpoint)
	return err
}
