// Package explain says what the gateway makes of one request, and why: it does to the
// request what the server does, with a trail, and asks nobody. It holds no knowledge of
// its own about any field.
//
//	configuration, caller, header ─ shared/policy ──────────────► Caller, Limits, Route
//	body ─ shared/translate, traced ─► chat request, notes ─────► Fields, Added, Chat
//	                        └────────► resource, errors ────────► Fields (echoed), Defaults, Refusal
//	recorded answer ─ shared/translate ─► events ─ streamcheck ─► Answer
//
// A Question enters, with a configuration whose secrets are resolved; a Report comes out,
// to be written as a table or as JSON. Stores, backends and issuers of tokens are not
// asked: what they would say is named, or brought by whoever asks.
//
// The JSON of a Report is stable: members are added, none changes its meaning.
//
//	{"outcome":  "translated", "forwarded" or "refused",
//	 "caller":   {"asked", "subject", "tenant", "key", "models": [pattern]},
//	 "limits":   [{"rule", "per": [what], "requests_at_once", "requests_per_minute", "tokens_per_minute", "tokens_per_day", "tokens_per_month"}],
//	 "route":    {"name", "model", "provider", "balance", "backends": [{"url", "provider", "model", "weight", "priority"}]},
//	 "routes":   [{"name", "chosen", "fits", "conditions": [{"what", "fits"}]}],
//	 "refusal":  {"status", "type", "code", "param", "message"},
//	 "stream":   whether the answer is one,
//	 "fields":   [{"field", "value", "fates": [fate], "to": [path], "why"}],
//	 "added":    [{"to", "value", "why"}],
//	 "defaults": [{"field", "value"}],
//	 "notes":    [text],
//	 "chat":     the chat request,
//	 "answer":   {"steps": [{"chat", "events": [{"type", "data"}]}], "response", "refusal", "text", "verdict": {"ok", "problems": [{"event", "rule", "text"}]}}}
//
// Members that say nothing are left out. Paths are those of FIELDS.md
// (input[0].content[1].text, messages[2].content); a value is compact JSON, cut where it
// is long. The fates are those of FIELDS.md (mapped, passed, echoed, read, lossy,
// refused), dropped for what was left out for a reason that "why" says, and unread for
// what was not looked at since something before it was refused. Added is what of the
// chat request comes from no field, defaults what the answer's resource shows although
// the request does not have it.
package explain

import (
	"bytes"
	"encoding/json"
	"strconv"

	"antwort/shared/compaction"
	"antwort/shared/config"
	"antwort/shared/history"
	"antwort/shared/policy"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/translate"
)

// A Question is a request, and who sends it.
type Question struct {
	Config *config.Config
	Caller *policy.Identity // nil: nobody is named
	// Field returns all values of a header field, by its name in lower case; nil: there is
	// none but the content type of JSON.
	Field func(name string) []string
	Body  []byte
	// Past is what a store adds; nil: what the configuration and the request say of it,
	// without the items, as no store is asked.
	Past *translate.Past
}

// A Report says what becomes of a request. The package documentation says what its
// members mean.
type Report struct {
	Outcome  Outcome         `json:"outcome"`
	Caller   *Caller         `json:"caller,omitempty"`
	Limits   []Limit         `json:"limits,omitempty"`
	Route    *Route          `json:"route,omitempty"`
	Routes   []Candidate     `json:"routes,omitempty"`
	Refusal  *Refusal        `json:"refusal,omitempty"`
	Stream   bool            `json:"stream,omitempty"`
	Fields   []Field         `json:"fields,omitempty"`
	Added    []Addition      `json:"added,omitempty"`
	Defaults []Default       `json:"defaults,omitempty"`
	Notes    []string        `json:"notes,omitempty"`
	Chat     json.RawMessage `json:"chat,omitempty"`
	Answer   *Answer         `json:"answer,omitempty"`

	translator translate.Owned
	past       *translate.Past
	body       []byte // that was translated
	resource   []byte // that the answer begins with
	ownKey     bool   // backends get a key of the gateway's own
}

// Outcome is what becomes of a request as a whole.
type Outcome string

// The outcomes.
const (
	Translated Outcome = "translated" // it becomes a chat request
	Forwarded  Outcome = "forwarded"  // it goes on as it came
	Refused    Outcome = "refused"    // it is answered with an error
)

// Refusal is an error that the client would get.
type Refusal struct {
	Status  int    `json:"status"`
	Type    string `json:"type"`
	Code    string `json:"code,omitempty"`
	Param   string `json:"param,omitempty"`
	Message string `json:"message"`
}

// What answers say of themselves where nothing is random and no time passes.
const (
	id  = "explained"
	now = 0
)

// Request explains a request for a response.
func Request(q *Question) *Report {
	r := &Report{Outcome: Refused, body: q.Body}
	options := translate.OptionsOf(q.Config)
	if err := responses.Check(q.Body, options.Limits); err != nil {
		return r.refuse(err)
	}
	caller, err := r.identify(q)
	if err != nil {
		return r.refuse(err)
	}
	d, f := decide(q, caller)
	if f == nil && d.Need == policy.Translation {
		r.translate(q, caller, &d, options)
	} else if f == nil {
		r.forward()
	} else {
		r.refuse(f.Reply)
	}
	r.arrive(q, caller, &d)
	if r.Refusal != nil && r.Fields == nil {
		r.Fields = newAccount(r.body, &translate.Trail{}, nil).refused(r.Refusal.Param)
	}
	return r
}

func (r *Report) refuse(e *responses.Error) *Report {
	r.Outcome, r.Refusal = Refused, &Refusal{Status: e.Status, Type: e.Type, Code: e.Code, Param: e.Param, Message: e.Message}
	return r
}

// translate does with the request what the server does, and tells of it.
func (r *Report) translate(q *Question, caller *policy.Identity, d *policy.Decision, options translate.Options) {
	if err := r.expand(q, caller); err != nil {
		r.refuse(err)
		return
	}
	r.past = r.before(q)
	options.Sealer = policy.Sealer(q.Config, zeros)
	options.ContinuousUsage = rules(q.Config).CountTokens()
	r.translator = translate.New(options).For(policy.SealsFor(q.Config, caller))
	var trail translate.Trail
	chat, turn, err := r.translator.Tracing(&trail).Continued(nil, r.body, len(r.body), r.past, id, now)
	if err != nil {
		r.refuse(err)
		return
	}
	defer turn.Free()
	r.Outcome, r.Stream, r.Chat, r.resource = Translated, turn.Streaming(), chat, turn.AppendResource(nil)
	account := newAccount(r.body, &trail, r.resource)
	r.Fields, r.Added, r.Defaults = account.fields(chat), account.added(), account.defaults()
	if r.past != nil && r.past.Stored {
		r.note("the answer is stored (state.type " + q.Config.StateType() + ")")
	}
	if f := d.Translated(turn.Model(), r.body, nil); f != nil {
		r.refuse(f.Reply)
	}
}

// zeros stand for the random bytes of what is sealed: nobody opens it.
func zeros(b []byte) { clear(b) }

// forward says that the request goes on as it came.
func (r *Report) forward() {
	account := newAccount(r.body, &translate.Trail{}, nil)
	r.Outcome, r.Stream, r.Fields = Forwarded, account.body.GetBool("stream"), account.forwarded()
}

// before is what a store adds to the request, as far as nobody has to be asked.
func (r *Report) before(q *Question) *translate.Past {
	if q.Past != nil || q.Config.StateType() == config.NoState {
		return q.Past
	}
	asked := history.Read(r.body)
	past := &translate.Past{Stored: asked.Store == history.Yes || asked.Store == history.Unsaid && q.Config.State.DefaultStore}
	if asked.Background {
		past.Background, past.Stored = true, true
	}
	if past.Conversation = asked.Conversation; asked.Conversation != "" {
		r.note("the items of conversation " + asked.Conversation + " stand before the input: the store has them, and was not asked")
	} else if asked.Previous != "" {
		r.note("the input and output of " + asked.Previous + ", and of what that went on from, stand before the input: the store has them, and was not asked")
	}
	return past
}

// expand puts what compactions stand for in their place, as the server does.
func (r *Report) expand(q *Question, caller *policy.Identity) *responses.Error {
	if !q.Config.Compacts() || !compaction.Concerns(r.body) {
		return nil
	}
	ask, err := compaction.ReadAsk(r.body)
	if err != nil {
		return err
	}
	sealer := policy.Sealer(q.Config, zeros)
	open := func(sealed []byte) ([]byte, bool) {
		if sealer == nil {
			return nil, false
		}
		return sealer.OpenText(seal.Compaction, policy.Owner(q.Config, caller), sealed)
	}
	expanded, err := ask.Expand(nil, history.Previous, open)
	if err != nil {
		if sealer == nil {
			r.note("without state.keys compactions are sealed with a key of the store, which was not asked: the server may open them")
		}
		return err
	}
	if ask.Triggers {
		r.note("the answer is a compaction: the conversation is summed up by the model, and that is not shown here")
	}
	if ask.Threshold > 0 {
		r.note("a conversation of more than " + strconv.FormatInt(ask.Threshold, 10) + " tokens is summed up before it is answered (context_management)")
	}
	if !bytes.Equal(expanded.Body, r.body) {
		r.note("what concerns compactions was carried out: the fields are those of the request after that")
	}
	r.body = expanded.Body
	return nil
}

func (r *Report) note(text string) { r.Notes = append(r.Notes, text) }
