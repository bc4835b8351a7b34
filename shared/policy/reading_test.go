package policy_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/stretchr/testify/require"
)

func sum(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

func read(t testing.TB, body string) *policy.Reading {
	t.Helper()
	r, err := policy.Read([]byte(body), responses.Limits{})
	require.Nil(t, err, body)
	return r
}

func TestABodyThatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","model":"a"}`:      "duplicate_parameter",
		`{"model":"a","mod\u0065l":"b"}`: "duplicate_parameter",
		`{"Model":"a"}`:                  "unknown_parameter",
		`{"model":1}`:                    "invalid_type",
		`{"model":["a"]}`:                "invalid_type",
		`["model"]`:                      "invalid_json",
		`"model"`:                        "invalid_json",
		``:                               "invalid_json",
		`{"model":"a"} x`:                "invalid_json",
		`{"model":"a"`:                   "invalid_json",
		`{"model":"` + strings.Repeat("é", 257) + `"}`:      "string_above_max_length",
		`{"model":"` + strings.Repeat(`\u0061`, 257) + `"}`: "string_above_max_length",
		`{"model":"` + strings.Repeat("a", 1<<20) + `"}`:    "string_above_max_length",
	} {
		_, err := policy.Read([]byte(body), responses.Limits{})
		require.NotNil(t, err, body)
		require.Equal(t, []any{400, want}, []any{err.Status, err.Code}, body)
	}
}

func TestOnlyTheModelIsRenamed(t *testing.T) {
	for body, want := range map[string]string{
		`{"model":"a","input":"model"}`:                      `{"model":"b\"","input":"model"}`,
		` { "input" : [ 1 ] , "model" : "x\u0041" } ` + "\n": ` { "input" : [ 1 ] , "model" : "b\"" } ` + "\n",
		`{"mod\u0065l":null,"x":{"model":"y"}}`:              `{"mod\u0065l":"b\"","x":{"model":"y"}}`,
		`{"input":"hi"}`:                                     `{"model":"b\"","input":"hi"}`,
		` { } `:                                              ` {"model":"b\"" } `,
	} {
		got := string(read(t, body).AppendRenamed(nil, `b"`))
		require.Equal(t, want, got)
		require.True(t, json.Valid([]byte(got)))
	}
	require.Equal(t, "xA", read(t, `{"model":"x\u0041"}`).Model)
	longest := strings.Repeat("\U0001F600", responses.MaxModel)
	require.Equal(t, longest, read(t, `{"model":"`+longest+`"}`).Model)
	require.Equal(t, longest, read(t, `{"model":"`+strings.Repeat(`\ud83d\ude00`, responses.MaxModel)+`"}`).Model)
}

func TestWhatChangesABackendIsNotRepeated(t *testing.T) {
	for body, repeatable := range map[string]bool{
		`{"input":"a"}`:                         true,
		`{"background":false}`:                  true,
		`{"conversation":null,"store":true}`:    true,
		`{"background":true}`:                   false,
		`{"conversation":"conv_1"}`:             false,
		`{"conversation":{"id":"conv_1"}}`:      false,
		`{"b\u0061ckground":true}`:              false,
		`{"background":true,"background":null}`: false,
	} {
		require.Equal(t, repeatable, read(t, body).Repeatable(), body)
	}
}

// All turns of a conversation have one name, however their first message is
// written; others have other names.
func TestTurnsOfAConversation(t *testing.T) {
	turns := []string{
		`{"model":"m","instructions":"be brief","input":"hello"}`,
		`{"instructions":"be brief","input":[{"role":"user","content":"hello"}],"model":"m"}`,
		`{"instructions":"be brief","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hello"}]}]}`,
		`{"instructions":"be brief","input":[{"role":"developer","content":"x"},{"type":"message","role":"user","content":"hello"},` +
			`{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]},{"role":"user","content":"and now?"}]}`,
	}
	for _, turn := range turns {
		require.Equal(t, read(t, turns[0]).Conversation(), read(t, turn).Conversation(), turn)
	}
	seen := map[uint64]string{read(t, turns[0]).Conversation(): turns[0]}
	for _, other := range []string{
		`{"instructions":"be brief","input":"hello!"}`,
		`{"instructions":"be long","input":"hello"}`,
		`{"input":"hello"}`,
		`{}`,
		`{"input":[]}`,
		`{"input":[{"type":"function_call_output","call_id":"c","output":"hello"}]}`,
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"http://x/1.png"}]}]}`,
		`{"input":[{"role":"user","content":[{"type":"input_image","image_url":"http://x/2.png"}]}]}`,
		`{"prompt_cache_key":"hello"}`,
		`{"prompt_cache_key":"other","input":"hello"}`,
	} {
		name := read(t, other).Conversation()
		require.Empty(t, seen[name], "%s and %s", seen[name], other)
		seen[name] = other
	}
	require.Equal(t, read(t, `{"prompt_cache_key":"k","input":"a"}`).Conversation(), read(t, `{"input":"b","prompt_cache_key":"k"}`).Conversation())
}

// The names are spread evenly: a choice by their upper or lower bits is fair.
func TestNamesOfConversationsAreSpread(t *testing.T) {
	var upper, lower [8]int
	const n = 8000
	for i := range n {
		name := read(t, fmt.Sprintf(`{"input":"question %d"}`, i)).Conversation()
		upper[name>>61]++
		lower[name&7]++
	}
	for i := range 8 {
		require.InDelta(t, n/8, upper[i], n/8/5)
		require.InDelta(t, n/8, lower[i], n/8/5)
	}
}

// Whatever is read: the renamed body is valid, has the new name, and leads back
// to the old one.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"model":"a","input":[{"role":"user","content":"x"}]}`))
	f.Add([]byte(` {"mod\u0065l":null}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := policy.Read(body, responses.Limits{})
		if err != nil {
			require.Equal(t, 400, err.Status)
			return
		}
		r.Conversation()
		require.GreaterOrEqual(t, r.MaxOutput(), int64(0))
		require.Less(t, r.MaxOutput(), int64(1<<31))
		renamed := r.AppendRenamed(nil, "other")
		again := read(t, string(renamed))
		require.Equal(t, "other", again.Model)
		require.Equal(t, r.Conversation(), again.Conversation())
		require.Equal(t, r.Repeatable(), again.Repeatable())
		if r.Model != "" && strings.ToValidUTF8(r.Model, "") == r.Model {
			require.Equal(t, r.Model, read(t, string(again.AppendRenamed(nil, r.Model))).Model)
		}
	})
}

func BenchmarkRead2KB(b *testing.B) {
	body := []byte(`{"model":"m","instructions":"` + strings.Repeat("be brief ", 100) + `","input":[{"role":"user","content":"` + strings.Repeat("word ", 200) + `"}]}`)
	b.ReportAllocs()
	for b.Loop() {
		r, err := policy.Read(body, responses.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		r.Conversation()
	}
}

// Any number may be written as the bound of an answer: what is read of it is one that sums can
// be made of.
func TestBoundsOfAnswersAreBounded(t *testing.T) {
	for written, want := range map[string]int64{
		`"max_output_tokens":100`: 100, `"max_output_tokens":100.0`: 100, `"max_tokens":1e3`: 1000, `"max_tokens":"100"`: 100, `"max_tokens":0.5`: 0,
		`"max_output_tokens":9223372036854775807`: 1<<31 - 1, `"max_output_tokens":99999999999999999999999`: 1<<31 - 1, `"max_tokens":1e400`: 1<<31 - 1,
		`"max_tokens":-9223372036854775808`: 0, `"max_tokens":-1e400`: 0, `"max_tokens":"NaN"`: 0, `"max_tokens":"Infinity"`: 1<<31 - 1,
		`"max_tokens":null`: 0, `"max_tokens":[7]`: 0, `"max_tokens":""`: 0, `"max_tokens":"x"`: 0, `"a":7`: 0,
		`"max_tokens":5,"max_completion_tokens":1000,"max_tokens":6`: 1000,
	} {
		require.Equal(t, want, read(t, `{`+written+`}`).MaxOutput(), written)
	}
}
