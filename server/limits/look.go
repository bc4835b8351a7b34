package limits

import (
	"context"
	"strconv"
	"strings"

	"antwort/server/limits/meter"
)

// Use is what somebody uses of a rule.
type Use struct {
	Rule                        string
	Key, Subject, Tenant, Model string // who is counted apart; "": not by this
	Others                      bool   // those who are not counted apart: nobody is asked who they are, or they came when there was no room
	Unnamed                     bool   // somebody whose name is too long for a counter
	Used, Limits                [meter.Kinds]int64
}

// Look returns so many uses at most, those first that have used the most of a limit, and
// how many there are. With a Redis they are of those whom this process has seen lately.
func (r *Rules) Look(ctx context.Context, most int) (uses []Use, all int, err error) {
	look := meter.Looking{Most: most, Of: func(counter string) *meter.Limits {
		if l, _ := r.read(counter); l != nil {
			return l.limits
		}
		return nil
	}}
	if err := r.store.Look(ctx, &look); err != nil {
		return nil, 0, err
	}
	for _, u := range look.Found() {
		_, use := r.read(u.Counter)
		use.Used, use.Limits = u.Used, *u.Limits
		uses = append(uses, use)
	}
	return uses, look.All, nil
}

// read finds out whose a counter is by its name; nil: no rule has it.
func (r *Rules) read(counter string) (*rule, Use) {
	name, rest, _ := strings.Cut(counter, " ")
	if parts, ok := partsOf(rest); ok {
		if l, p := r.called(name); l != nil {
			if use, ok := p.read(parts); ok {
				use.Rule = name
				return l, use
			}
			return nil, Use{}
		}
	}
	if digest := len(counter) - 32; digest > 0 {
		if l, _ := r.called(counter[:digest]); l != nil {
			return l, Use{Rule: l.name, Unnamed: true}
		}
	}
	return nil, Use{}
}

// called finds a rule that limits something.
func (r *Rules) called(name string) (*rule, *per) {
	for i := range r.groups {
		g := &r.groups[i]
		for k := range g.rules {
			if l := &g.rules[k]; l.name == name && l.limits != nil {
				return l, &g.per
			}
		}
	}
	return nil, nil
}

// partsOf undoes part, again and again; the first space is gone.
func partsOf(text string) (parts []string, ok bool) {
	for text != "" {
		size, rest, found := strings.Cut(text, ":")
		n, err := strconv.Atoi(size)
		if !found || err != nil || n < 0 || n > len(rest) {
			return nil, false
		}
		parts, text = append(parts, rest[:n]), rest[n:]
		if text != "" && text[0] != ' ' {
			return nil, false
		}
		text = strings.TrimPrefix(text, " ")
	}
	return parts, true
}

// read says who is counted apart, as name has written it.
func (p *per) read(parts []string) (use Use, ok bool) {
	next := func() (text string) {
		if len(parts) == 0 {
			ok = false
			return ""
		}
		text, parts = parts[0], parts[1:]
		return text
	}
	ok = true
	callers := p.key || p.subject || p.tenant
	models := 0
	if p.model {
		models = 1
	}
	switch {
	case len(parts) == 0 && (callers || p.model):
		use.Others = true
		return use, true
	case callers && len(parts) == models:
		use.Others = true
	default:
		if p.key {
			use.Key = next()
		}
		if p.tenant {
			use.Tenant = next()
		}
		if p.subject || p.tenant && use.Tenant == "" {
			use.Subject = next()
		}
	}
	if p.model {
		use.Model = next()
	}
	return use, ok && len(parts) == 0
}
