package envoy

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"antwort/shared/config"
	"antwort/shared/policy"
)

// A counted is how requests come to a counter of a rule, and how the counter is found: what
// the actions say of a request is what the entries ask for. When the request has ended, its
// header is not what it was: then the afterwards say the same by what is remembered of it.
type counted struct{ actions, afterwards, entries list }

func (w *counted) add(action, afterwards object, key string, value any) {
	w.actions = append(w.actions, action)
	w.afterwards = append(w.afterwards, afterwards)
	w.entries = append(w.entries, object{{"key", key}, {"value", value}})
}

// matches says name, which is no -, of requests that fulfil all conditions, or of those that do not.
func (w *counted) matches(key, name string, all []condition, expect bool) {
	fields, terms := list{}, []string{}
	for _, c := range all {
		fields = append(fields, c.matcher())
		terms = append(terms, c.term())
	}
	text := strings.Join(terms, " && ")
	if !expect {
		text = "!(" + text + ")"
	}
	w.add(object{{"header_value_match", object{{"descriptor_key", key}, {"descriptor_value", name}, {"expect_match", expect}, {"headers", fields}}}},
		object{{"extension", extension("envoy.rate_limit_descriptors.expr", "envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor",
			object{{"descriptor_key", key}, {"text", text + " ? " + strconv.Quote(name) + " : '-'"}})}}, key, name)
}

// apart counts by the value of a field.
func (w *counted) apart(key, field string) {
	w.add(object{{"request_headers", object{{"header_name", field}, {"descriptor_key", key}}}},
		object{{"metadata", object{{"descriptor_key", key}, {"metadata_key", object{{"key", memory}, {"path", list{object{{"key", field}}}}}}}}}, key, nil)
}

// A condition is that a request has a field, and perhaps which value it has.
type condition struct{ field, regex string }

func (c condition) matcher() object {
	if c.regex == "" {
		return object{{"name", c.field}, {"present_match", true}}
	}
	return object{{"name", c.field}, {"string_match", object{{"safe_regex", object{{"regex", c.regex}}}}}}
}

// term is the condition of what is remembered of a request, in CEL.
func (c condition) term() string {
	all := "metadata.filter_metadata['" + memory + "']"
	has := "'" + c.field + "' in " + all
	if c.regex == "" {
		return has
	}
	return has + " && " + all + "['" + c.field + "'].matches(" + strconv.Quote("^(?:"+c.regex+")$") + ")"
}

// memory is where Envoy remembers of a request what the plugin has said of it.
const memory = "antwort.limits"

// remembered is the filter that remembers it, where something is counted when a request has ended.
func remembered(c *config.Config) list {
	rules := c.Limits.Rules.All()
	if !areShared(c) || !slices.ContainsFunc(rules, func(l config.LimitRule) bool { return l.CountsTokens() }) {
		return nil
	}
	var fields list
	for _, field := range []string{policy.KeyField, policy.SubjectField, policy.TenantField, policy.ModelField} {
		fields = append(fields, object{{"header", field}, {"on_header_present", object{{"metadata_namespace", memory}, {"key", field}, {"type", "STRING"}}}})
	}
	return list{extension("envoy.filters.http.header_to_metadata", "envoy.extensions.filters.http.header_to_metadata.v3.Config", object{{"request_rules", fields}})}
}

// waysOf are those of the requests that rule i holds for: it fits, and none does of those in
// front of it that count for the same. With per tenant there are two: who has no tenant is
// counted alone. Of all that is counted key names the rule's.
func waysOf(key string, rules []config.LimitRule, i int) []counted {
	l := &rules[i]
	var w counted
	w.matches(key, l.Name, append([]condition{isLimited}, fits(&l.Match)...), true)
	for j := range i {
		if before := &rules[j]; slices.Equal(before.Per, l.Per) {
			w.matches("not", before.Name, fits(&before.Match), false)
		}
	}
	has := func(what string) bool { return slices.Contains(l.Per, what) }
	if has(config.PerKey) {
		w.apart("key", policy.KeyField)
	}
	if has(config.PerModel) {
		w.apart("model", policy.ModelField)
	}
	if !has(config.PerTenant) {
		if has(config.PerSubject) {
			w.apart("subject", policy.SubjectField)
		}
		return []counted{w}
	}
	alone := counted{slices.Clone(w.actions), slices.Clone(w.afterwards), slices.Clone(w.entries)}
	alone.matches("without", "tenant", []condition{{policy.TenantField, ""}}, false)
	alone.apart("subject", policy.SubjectField)
	w.apart("tenant", policy.TenantField)
	if has(config.PerSubject) {
		w.apart("subject", policy.SubjectField)
	}
	if len(l.Match.Tenants) > 0 { // who has none does not fit
		return []counted{w}
	}
	return []counted{w, alone}
}

// isLimited are the requests that models answer, which the plugin marks with their caller's key.
var isLimited = condition{policy.KeyField, ""}

// fits are the conditions of what a rule is for.
func fits(m *config.LimitMatch) (all []condition) {
	for _, of := range []struct {
		field string
		names []string
	}{{policy.SubjectField, m.Subjects}, {policy.TenantField, m.Tenants}, {policy.ModelField, m.Models}} {
		if len(of.names) == 0 {
			continue
		}
		patterns := make([]string, len(of.names))
		for i, name := range of.names {
			patterns[i] = regexp.QuoteMeta(name)
			if of.field == policy.ModelField {
				patterns[i] = strings.ReplaceAll(patterns[i], `\*`, ".*")
			}
		}
		all = append(all, condition{of.field, strings.Join(patterns, "|")})
	}
	return all
}
