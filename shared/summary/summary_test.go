package summary_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"antwort/shared/jsontext"
	"antwort/shared/responses"
	"antwort/shared/seal"
	"antwort/shared/streamcheck"
	"antwort/shared/summary"
	"antwort/shared/translate"

	"github.com/stretchr/testify/require"
)

var (
	limits     = responses.Limits{Depth: 64, Values: 10_000}
	sealer     = seal.New([][]byte{bytes.Repeat([]byte{1}, seal.KeySize)}, func(b []byte) { copy(b, "a nonce of twenty-four b") })
	alice, bob = [16]byte{1}, [16]byte{2}
)

const answer = `{"choices":[{"message":{"content":"In short."}}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}`

func summarizer() *summary.Summarizer {
	return &summary.Summarizer{Translator: translate.New(translate.Options{Limits: limits, Sealer: sealer}), Sealer: sealer, Limits: limits, MaxTokens: 64}
}

func ask(body string, owner [16]byte, window bool) summary.Request {
	return summary.Request{Body: []byte(body), Owner: owner, Window: window, ID: "id", Now: 1}
}

// What was sealed for one owner opens for that one alone, and the body of a request may be
// used again once it is translated.
func TestSummaryIsItsOwners(t *testing.T) {
	s := summarizer()
	r := ask(`{"model":"m","input":[{"role":"user","content":"secret"},{"type":"compaction_trigger"}]}`, alice, false)
	chat, _, p, err := s.Request(nil, r)
	require.Nil(t, err)
	require.Contains(t, string(chat), "secret")
	clear(r.Body)
	out, err := p.Answer(nil, []byte(answer), 2)
	require.Nil(t, err)
	require.Equal(t, int64(7), p.Usage().Total)
	var got struct{ Output []json.RawMessage }
	require.NoError(t, json.Unmarshal(out, &got))
	require.Len(t, got.Output, 1)
	back := `{"model":"m","input":[` + string(got.Output[0]) + `,{"role":"user","content":"go"}]}`
	chat, turn, p, err := s.Request(nil, ask(back, alice, false))
	require.Nil(t, err)
	require.Nil(t, p, "an answer follows")
	require.NotNil(t, turn)
	require.Contains(t, string(chat), "In short.")
	require.Contains(t, string(chat), "secret")
	_, _, _, err = s.Request(nil, ask(back, bob, false))
	require.Equal(t, [2]string{"invalid_encrypted_content", "input[0]"}, [2]string{err.Code, err.Param})
}

// In the filter a worker waits for it.
func TestWhatIsSummedUpAtOnceHasABound(t *testing.T) {
	s := summarizer()
	s.TextBytes = 13_336 // three quarters are 10,002
	s.Limits.Items, s.Limits.Escapes = 20, 200
	message := func(text string) string { return `{"role":"user","content":"` + text + `"}` }
	call := func(n int) string {
		return `{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"` + strings.Repeat("x", n) + `\"}"}`
	}
	items := func(n int) string { return strings.TrimSuffix(strings.Repeat(message("a")+",", n), ",") }
	_, _, p, err := s.Request(nil, ask(`{"model":"m","input":"a"}`, alice, true))
	require.Nil(t, err)
	out, err := p.Answer(nil, []byte(answer), 2)
	require.Nil(t, err)
	var window struct{ Output []json.RawMessage }
	require.NoError(t, json.Unmarshal(out, &window))
	sealed := string(window.Output[1])
	for name, c := range map[string]struct {
		input   string
		window  bool
		problem string
	}{
		"a text":                {message(strings.Repeat("x", 9_900)), true, ""},
		"a long one":            {message(strings.Repeat("x", 10_000)), true, "10002 bytes"},
		"a long one to answer":  {message(strings.Repeat("x", 10_000)) + `,{"type":"compaction_trigger"}`, false, "10002 bytes"},
		"a long one to go on":   {sealed + "," + message(strings.Repeat("x", 10_000)), false, ""},
		"a longer one to go on": {sealed + "," + message(strings.Repeat("x", 20_000)), false, "20004 bytes"},
		"items":                 {items(10), true, ""},
		"many items":            {items(11), true, "10 items"},
		"many items to go on":   {sealed + "," + items(15), false, ""},
		"calls":                 {message("a") + "," + call(3_000), true, ""},
		"long calls":            {message("a") + "," + call(3_400), true, "3334 bytes of calls"},
		"escapes":               {message(strings.Repeat(`\n`, 100)), true, ""},
		"many escapes":          {message(strings.Repeat(`\n`, 101)), true, "100 escapes"},
	} {
		t.Run(name, func(t *testing.T) {
			r := ask(`{"model":"m","input":[`+c.input+`]}`, alice, c.window)
			r.Passed = &jsontext.Checker{Limits: s.Limits.Text()}
			require.True(t, r.Passed.Write(r.Body))
			_, _, _, err := s.Request(nil, r)
			if c.problem == "" {
				require.Nil(t, err)
				return
			}
			require.NotNil(t, err)
			require.Equal(t, [2]string{"input", "limit_exceeded"}, [2]string{err.Param, err.Code})
			require.Contains(t, err.Message, c.problem)
		})
	}
}

// What a compaction stands for may be longer than it, and is held to the same bound.
func TestWhatStandsForACompactionHasABound(t *testing.T) {
	s := summarizer()
	call := `{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"` + strings.Repeat(`\\\"`, 1_700) + `\"}"}`
	_, _, p, err := s.Request(nil, ask(`{"model":"m","input":[{"role":"user","content":"a"},`+call+`]}`, alice, true))
	require.Nil(t, err)
	out, err := p.Answer(nil, []byte(answer), 2)
	require.Nil(t, err)
	var window struct{ Output []json.RawMessage }
	require.NoError(t, json.Unmarshal(out, &window))
	sealed := string(window.Output[len(window.Output)-1])
	s.TextBytes = 13_336
	for more, refused := range map[int]bool{1: false, 6_600: true} {
		body := `{"model":"m","input":[` + sealed + `,{"role":"user","content":"` + strings.Repeat("x", more) + `"}]}`
		require.Less(t, len(body), 20_004)
		_, _, _, err = s.Request(nil, ask(body, alice, false))
		require.Equal(t, refused, err != nil)
	}
	_, _, _, err = s.Request(nil, ask(`{"model":"m","input":[`+sealed+`,{"role":"user","content":"a"},{"type":"compaction_trigger"}]}`, alice, false))
	require.NotNil(t, err)
	require.Contains(t, err.Message, "10002 bytes")
	s.TextBytes = 12_000
	_, _, _, err = s.Request(nil, ask(`{"model":"m","input":[`+sealed+`,{"role":"user","content":"a"}]}`, alice, false))
	require.NotNil(t, err)
	require.Equal(t, "invalid_encrypted_content", err.Code, "it is longer than any that this one makes")
}

// Whatever comes is refused, or becomes a question whose answer is what clients understand.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{"model":"m","input":[{"role":"user","content":"a"},{"type":"compaction_trigger"}]}`, `{"model":"m"}`, `{"model":"m","input":"x","stream":true}`,
		`{"model":"m","input":[{"type":"compaction","encrypted_content":"AQAA"}]}`, `{"model":"m","input":"x","context_management":[{"type":"compaction","compact_threshold":5}]}`,
		`{"model":"m","stream":true,"input":[{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"compaction_trigger"}]}`, `[]`, `{`,
	} {
		f.Add([]byte(body), false)
		f.Add([]byte(body), true)
	}
	s := summarizer()
	f.Fuzz(func(t *testing.T, body []byte, window bool) {
		chat, _, p, err := s.Request(nil, ask(string(body), alice, window))
		if err != nil {
			require.GreaterOrEqual(t, err.Status, 400)
			return
		}
		require.True(t, json.Valid(chat), "%s", chat)
		if p == nil {
			return
		}
		for _, said := range []string{answer, `{}`} {
			out, err := p.Answer(nil, []byte(said), 2)
			if err != nil {
				out = p.Failed(nil, err, 2)
			}
			if p.Streaming() {
				require.Empty(t, streamcheck.Check(strings.NewReader(string(out))))
				return
			}
			require.True(t, json.Valid(out), "%s", out)
		}
	})
}
