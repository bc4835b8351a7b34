package console

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"antwort/server/limits"
	"antwort/shared/config"
)

// Bounds of the view of limits.
const (
	maxUses = 100             // rows
	askTime = 5 * time.Second // for a store
	sameUse = time.Second     // so long all pages are told the same
)

// Limiter is what the view of limits asks.
type Limiter interface {
	Look(ctx context.Context, most int) (uses []limits.Use, all int, err error)
}

// used is what the pages were told of limits last.
type used struct {
	mu     sync.Mutex
	rules  Limiter // that were asked
	at     time.Time
	answer json.RawMessage
}

// rule is a rule of limits as the page has it.
type rule struct {
	Name     string   `json:"name"`
	Per      []string `json:"per"`
	Subjects []string `json:"subjects"`
	Tenants  []string `json:"tenants"`
	Models   []string `json:"models"`
	Limits   [5]int64 `json:"limits"` // 0: none
}

// use is what somebody uses as the page has it.
type use struct {
	Rule    string   `json:"rule"`
	Key     string   `json:"key,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Tenant  string   `json:"tenant,omitempty"`
	Model   string   `json:"model,omitempty"`
	Others  bool     `json:"others,omitempty"`
	Unnamed bool     `json:"unnamed,omitempty"`
	Used    [5]int64 `json:"used"`
	Limits  [5]int64 `json:"limits"`
}

// limits answers with the rules of the configuration in force, and who uses how much.
func (c *Console) limits(w http.ResponseWriter, r *http.Request) {
	u := &c.used
	u.mu.Lock()
	defer u.mu.Unlock()
	rules := c.opt.Limits()
	if now := c.opt.Now(); u.answer == nil || u.rules != rules || now.Sub(u.at) >= sameUse || now.Before(u.at) {
		answer, err := json.Marshal(c.limited(r.Context(), rules))
		if err != nil {
			fail(w, http.StatusInternalServerError, "this cannot be shown")
			return
		}
		u.rules, u.at, u.answer = rules, now, answer
	}
	c.answer(w, u.answer)
}

func (c *Console) limited(ctx context.Context, rules Limiter) map[string]any {
	cfg := c.opt.Config()
	known := []rule{}
	for _, l := range cfg.Limits.Rules.All() {
		known = append(known, rule{l.Name, l.Per, l.Match.Subjects, l.Match.Tenants, l.Match.Models,
			[5]int64{l.RequestsAtOnce, l.RequestsPerMinute, l.TokensPerMinute, l.TokensPerDay, l.TokensPerMonth}})
	}
	answer := map[string]any{"rules": known, "shared": cfg.Limits.Store != config.MemoryLimits}
	if len(known) == 0 {
		return answer
	}
	// The answer is for all pages: the one that asks first may leave.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
	defer cancel()
	found, all, err := rules.Look(ctx, maxUses)
	if err != nil {
		answer["problem"] = "The store of limits cannot be asked."
		return answer
	}
	uses := make([]use, len(found))
	for i, u := range found {
		uses[i] = use(u)
	}
	answer["uses"], answer["all"] = uses, all
	return answer
}
