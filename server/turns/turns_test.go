package turns

import (
	"context"
	"errors"
	"strings"
	"testing"

	"antwort/server/state"
	"antwort/shared/config"
	"antwort/shared/failure"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

// scripted is a store whose commits end as the test says, the last one again and again.
type scripted struct {
	Store
	commits []error
	kept    []state.Record
	asked   int
	ready   error
	over    bool
}

func (s *scripted) Ready(context.Context) error { return s.ready }

func (s *scripted) Over(state.Owner, int64) bool { return s.over }

func (s *scripted) Commit(_ context.Context, r *state.Record) error {
	err := s.commits[min(s.asked, len(s.commits)-1)]
	if s.asked++; err == nil {
		s.kept = append(s.kept, *r)
	}
	return err
}

func (s *scripted) Get(context.Context, state.Owner, string) (*state.Record, error) {
	return nil, state.Unavailable(errors.New("HUSH"))
}

func (s *scripted) Chain(ctx context.Context, _ state.Owner, _ string, _ state.Bounds) ([]state.Turn, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, state.Unavailable(errors.New("HUSH"))
}

// room is memory without an end, or without any.
type room bool

func (r room) Hold(int) bool { return bool(r) }

func (room) LetGo(int) {}

func (room) Refusal() *failure.Failure { return failure.Of(failure.Overloaded, policy.Overloaded()) }

const id = "0123456789012345678901234567"

func begin(t *testing.T, s *scripted, body string, edit func(*config.Config)) (*Turn, *failure.Failure) {
	t.Helper()
	cfg := config.Default()
	edit(cfg)
	return New(cfg, s).Begin(t.Context(), &Ask{ID: id, Created: 7, Body: []byte(body), Memory: room(true)})
}

// What is told when a commit does not succeed.
func TestCommitting(t *testing.T) {
	down := state.Unavailable(errors.New("HUSH"))
	for name, c := range map[string]struct {
		commits []error
		status  string
		answer  bool
		kept    bool
		failed  string
	}{
		"at once":                      {commits: []error{nil}, status: "completed", kept: true},
		"not":                          {commits: []error{down}, status: "completed", failed: "state_unavailable"},
		"not, but it is answered":      {commits: []error{down}, status: "completed", answer: true},
		"not, and it has failed":       {commits: []error{down}, status: "failed"},
		"the chain is gone":            {commits: []error{&state.MissingError{ID: "x"}}, status: "completed"},
		"it is too large":              {commits: []error{state.ErrTooLarge}, status: "completed"},
		"a fault":                      {commits: []error{errors.New("odd")}, status: "incomplete", failed: "state_unavailable"},
		"an answer that has not ended": {commits: []error{down}, status: "", kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scripted{commits: c.commits}
			u, f := begin(t, s, `{"input":"a"}`, func(cfg *config.Config) {
				if c.answer {
					cfg.State.OnFailure = config.AnswerOnFailure
				}
			})
			require.Nil(t, f)
			u.Streams()
			kept, failed := u.Keep(responses.Outcome{Status: c.status, Resource: []byte(`{"id":"x","output":[{"a":1}],"b":2}`), OutputBytes: 7})
			require.Equal(t, c.kept, kept)
			require.Equal(t, c.failed != "", failed != nil)
			if failed != nil {
				require.Equal(t, c.failed, failed.Code)
				require.Equal(t, 503, failed.Status)
				require.NotContains(t, failed.Message, "HUSH")
			}
			if len(s.kept) > 0 {
				r := s.kept[0]
				require.Equal(t, `[{"a":1}]`, string(r.Output))
				require.Equal(t, `{"id":"x","output":,"b":2}`, string(r.Shell))
				require.Equal(t, `{"id":"x","output":[{"a":1}],"b":2}`, string(r.AppendResource(nil)))
				require.Equal(t, `[{"id":"msg_`+id+`i00","type":"message","role":"user","content":"a"}]`, string(r.Input))
				require.Equal(t, state.Streamed, r.Flags)
				require.NoError(t, r.Check())
			}
		})
	}
}

// What the store is asked before a model is, and what is refused then.
func TestBeginning(t *testing.T) {
	previous := `"previous_response_id":"resp_` + id + `",`
	down := state.Unavailable(errors.New("HUSH"))
	for name, c := range map[string]struct {
		body   string
		store  scripted
		edit   func(*config.Config)
		status int
		stored bool
	}{
		"stored":                         {body: `{"input":"a"}`, stored: true},
		"not wanted":                     {body: `{"store":false,"input":"a"}`},
		"not wanted, while it is away":   {body: `{"store":false,"input":"a"}`, store: scripted{ready: down}},
		"away":                           {body: `{"input":"a"}`, store: scripted{ready: down}, status: 503},
		"away, and that is no matter":    {body: `{"input":"a"}`, store: scripted{ready: down}, edit: func(c *config.Config) { c.State.OnFailure = config.AnswerOnFailure }},
		"away, and asked for":            {body: `{"store":true,"input":"a"}`, store: scripted{ready: down}, edit: func(c *config.Config) { c.State.OnFailure = config.AnswerOnFailure }, status: 503},
		"away, and continued":            {body: `{` + previous + `"store":false,"input":"a"}`, store: scripted{ready: down}, edit: func(c *config.Config) { c.State.OnFailure = config.AnswerOnFailure }, status: 503},
		"goes away":                      {body: `{` + previous + `"input":"a"}`, status: 503},
		"goes away before the reference": {body: `{"input":[{"type":"item_reference","id":"msg_` + id + `00"}]}`, status: 503},
		"not by default":                 {body: `{"input":"a"}`, edit: func(c *config.Config) { c.State.DefaultStore = false }},
		"too much of it":                 {body: `{"input":"a"}`, store: scripted{over: true}},
		"too much of it, and asked for":  {body: `{"store":true,"input":"a"}`, store: scripted{over: true}, status: 429},
		"too large":                      {body: `{"input":"` + strings.Repeat("a", 2000) + `"}`, edit: func(c *config.Config) { c.State.MaxInputBytes = 1024 }},
		"too large, and asked for":       {body: `{"store":true,"input":"` + strings.Repeat("a", 2000) + `"}`, edit: func(c *config.Config) { c.State.MaxInputBytes = 1024 }, status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			if c.edit == nil {
				c.edit = func(*config.Config) {}
			}
			u, f := begin(t, &c.store, c.body, c.edit)
			if c.status != 0 {
				require.Equal(t, c.status, f.Reply.Status)
				require.NotContains(t, f.Reply.Message, "HUSH")
				return
			}
			require.Nil(t, f)
			require.Equal(t, c.stored, u.Stored())
			require.Equal(t, c.stored, u.Past.Stored)
		})
	}
}

func TestNoRoom(t *testing.T) {
	_, f := New(config.Default(), &scripted{}).Begin(t.Context(), &Ask{ID: id, Body: []byte(`{"input":"a"}`), Memory: room(false)})
	require.Equal(t, failure.Overloaded, f.Kind)
}

// A client that leaves meanwhile is told nothing.
func TestClientLeavesWhileTheStoreIsAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, f := New(config.Default(), &scripted{}).Begin(ctx, &Ask{ID: id, Body: []byte(`{"previous_response_id":"resp_` + id + `","input":"a"}`), Memory: room(true)})
	require.Equal(t, failure.ClientGone, f.Kind)
	require.Nil(t, f.Reply)
}

func TestWithoutAStoreNothingIsAsked(t *testing.T) {
	turns := New(config.Default(), nil)
	require.False(t, turns.Stores())
	u, f := turns.Begin(t.Context(), &Ask{ID: id, Body: []byte(`{"previous_response_id":"resp_x"}`)})
	require.Nil(t, f)
	require.Nil(t, u.Past)
	require.Nil(t, u.History())
	kept, failed := u.Keep(responses.Outcome{Status: "completed"})
	require.True(t, kept)
	require.Nil(t, failed)
}

// full is a store with one response.
type full struct {
	scripted
	record state.Record
}

func (s *full) Get(context.Context, state.Owner, string) (*state.Record, error) {
	return &s.record, nil
}

func TestWhatIsReadAgainIsHeldMemory(t *testing.T) {
	s := &full{record: state.Record{Input: []byte(`[]`), Output: []byte(`[]`), Shell: []byte(`{}`), Cut: 1}}
	for _, endpoint := range []*policy.Endpoint{policy.Stored, policy.InputItems} {
		_, f := New(config.Default(), s).Answer(t.Context(), &Question{Endpoint: endpoint, Method: "GET", Path: "/v1/responses/resp_" + id, Memory: room(false)})
		require.NotNil(t, f)
		require.Equal(t, failure.Overloaded, f.Kind)
	}
}
