package cli

import (
	"strconv"
	"strings"

	"antwort/server/render/envoy"
	"antwort/shared/config"
)

// overload says how many requests there may be at once.
func overload(c *config.Config) string {
	text := "any number of requests at once"
	if n := c.Limits.MaxRequests; n > 0 {
		text = strconv.Itoa(n) + " requests at once, more are answered 503"
	}
	var bounded []string
	for _, route := range c.AllRoutes() {
		for _, b := range route.Backends {
			if b.MaxRequests > 0 {
				bounded = append(bounded, strconv.Itoa(b.MaxRequests)+" at "+b.URL)
			}
		}
	}
	if bounded != nil {
		text += "; of them " + strings.Join(bounded, ", ")
	}
	if bounded != nil || c.Limits.MaxRequests > 0 {
		text += "; in antwort envoy they are its circuit breakers'"
	}
	return text + "; in memory " + inFlight(c) + "; " + inVM(c)
}

// inVM says what each worker of an Envoy with the filter holds, and what it grows by.
func inVM(c *config.Config) string {
	need := c.Limits.FilterMemory()
	if need > config.MaxFilterMemory {
		return "antwort envoy refuses limits by which a worker's VM would need " + config.InMiB(need) + ", more than " + config.InMiB(config.MaxFilterMemory)
	}
	return "in antwort envoy " + config.InMiB(c.Limits.InFlight(true)) + " for each worker, which grows to " + config.InMiB(need+need/2) + " at most"
}

func inFlight(c *config.Config) string {
	return config.InMiB(c.Limits.InFlight(false)) + " at most"
}

// limits says how much callers may use, a line for each rule.
func limits(c *config.Config) []statement {
	rules := c.Limits.Rules.All()
	if len(rules) == 0 {
		return []statement{{"limits", "none: every caller may use as much as it likes"}}
	}
	var all []statement
	for i := range rules {
		all = append(all, statement{"limit", limit(&rules[i])})
	}
	where := "in this process: it forgets them when it ends, and each replica counts for itself"
	if c.Limits.Store == config.RedisLimits {
		where = "in Redis, for all replicas with the same limits.redis.url and the prefix " + c.Limits.Redis.Prefix + "; while it cannot be reached requests pass uncounted"
		if c.Limits.OnFailure == config.Closed {
			where = strings.Replace(where, "pass uncounted", "are answered 503", 1)
		}
	}
	all = append(all, statement{"limits", "counted " + where + "; reserved for an answer are its max_output_tokens, or " +
		strconv.Itoa(c.Limits.DefaultOutputTokens) + "; of several rules for the same the first that fits holds"})
	return append(all, inEnvoy(c)...)
}

// inEnvoy says whether antwort envoy keeps to the rules, and to what it does not, a line for each.
func inEnvoy(c *config.Config) []statement {
	problems := envoy.Unkept(c)
	if problems == nil && c.Limits.Store == config.RedisLimits {
		return []statement{{"in Envoy", "antwort envoy keeps to them too, by the service at " + c.Limits.Service + ", which counts for all Envoys, in whole minutes and days; tokens when an answer has ended"}}
	}
	if problems == nil {
		return []statement{{"in Envoy", "antwort envoy keeps to them too, by Envoy's rate limit: each Envoy counts for itself, and forgets when it ends or the rules change"}}
	}
	all := []statement{{"in Envoy", "antwort envoy refuses them:"}}
	for _, p := range problems {
		all = append(all, statement{"", p.Error()})
	}
	return all
}

func limit(l *config.LimitRule) string {
	var much []string
	for _, n := range []struct {
		limit int64
		of    string
	}{{l.RequestsAtOnce, "requests at once"}, {l.RequestsPerMinute, "requests a minute"}, {l.TokensPerMinute, "tokens a minute"},
		{l.TokensPerDay, "tokens a day"}, {l.TokensPerMonth, "tokens a month"}} {
		if n.limit > 0 {
			much = append(much, strconv.FormatInt(n.limit, 10)+" "+n.of)
		}
	}
	text := l.Name + ": "
	if much == nil {
		text += "no limit"
	} else {
		text += strings.Join(much, ", ")
	}
	if len(l.Per) > 0 {
		text += " for each " + strings.Join(l.Per, " and ")
	} else {
		text += " for all together"
	}
	var whose []string
	for _, m := range []struct {
		what  string
		names []string
	}{{"subject", l.Match.Subjects}, {"tenant", l.Match.Tenants}, {"model", l.Match.Models}} {
		if len(m.names) > 0 {
			whose = append(whose, m.what+" "+strings.Join(m.names, " or "))
		}
	}
	if whose != nil {
		text += ", of requests with " + strings.Join(whose, " and ")
	}
	return text
}
