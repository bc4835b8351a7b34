package responses

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/assert"
)

// usageOfResponse reads the usage of an event's response.
func usageOfResponse(event []byte) (Usage, bool) {
	m := jsontext.NewBackwards(event)
	for m.Within = "usage"; m.Next(); {
		if string(m.Key) == "response" {
			return ReadUsage(m.Found())
		}
	}
	return Usage{}, false
}

func TestFindUsage(t *testing.T) {
	const all = `{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":11}`
	for name, c := range map[string]struct {
		in   string
		want Usage
		none bool
	}{
		"all of it":                 {in: `{"response":{"usage":` + all + `}}`, want: Usage{Input: 5, Cached: 2, Output: 6, Reasoning: 4, Total: 11}},
		"members before and behind": {in: `{"a":"}","response":{"b":[],"usage":` + all + ` ,"c":"usage"} , "d":{}}`, want: Usage{Input: 5, Cached: 2, Output: 6, Reasoning: 4, Total: 11}},
		"no details":                {in: `{"response":{"usage":{"input_tokens":5,"output_tokens":6}}}`, want: Usage{Input: 5, Output: 6}},
		"details of another kind":   {in: `{"response":{"usage":{"input_tokens":5,"input_tokens_details":7,"output_tokens_details":null}}}`, want: Usage{Input: 5}},
		"counts that are none":      {in: `{"response":{"usage":{"input_tokens":"5","output_tokens":6.5,"total_tokens":1e3}}}`, none: true},
		"nothing that is counted":   {in: `{"response":{"usage":{}}}`, none: true},
		"what cannot be":            {in: `{"response":{"usage":{"input_tokens":-5,"output_tokens":9223372036854775807,"total_tokens":7,"input_tokens_details":{"cached_tokens":-1}}}}`, want: Usage{Total: 7}},
		"the largest":               {in: `{"response":{"usage":{"input_tokens":9007199254740991,"output_tokens":9007199254740992}}}`, want: Usage{Input: 1<<53 - 1}},
		"of another object":         {in: `{"response":{"output":[{"usage":` + all + `}]},"usage":` + all + `}`, none: true},
		"null":                      {in: `{"response":{"usage":null}}`, none: true},
		"a list":                    {in: `{"response":{"usage":[1]}}`, none: true},
		"a document that is cut":    {in: `{"response":{"usage":` + all, none: true},
		"a document that is none":   {in: `response`, none: true},
		"longer than any":           {in: `{"response":{"usage":{"input_tokens":5,"x":"` + strings.Repeat("a", 64<<10) + `"}}}`, none: true},
		"nothing":                   {none: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := usageOfResponse([]byte(c.in))
			assert.Equal(t, !c.none, ok)
			assert.Equal(t, c.want, got)
		})
	}
}

// Of valid JSON it is what a parser reads, but for keys that are written with
// escapes or twice.
func FuzzFindUsage(f *testing.F) {
	f.Add([]byte(`{"input_tokens":5,"input_tokens_details":{"cached_tokens":2},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":4},"total_tokens":11}`))
	f.Add([]byte(`{"input_tokens_details":{"x":{"cached_tokens":1}},"total_tokens":"1"}`))
	f.Fuzz(func(t *testing.T, usage []byte) {
		document := append(append([]byte(`{"usage":`), usage...), `,"metadata":{"usage":"}{"}}`...)
		got, ok := FindUsage(document)
		var doc struct{ Usage map[string]json.RawMessage }
		if json.Unmarshal(document, &doc) != nil || bytes.ContainsAny(usage, "\\") {
			return
		}
		for _, key := range []string{"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details", "cached_tokens", "reasoning_tokens"} {
			if bytes.Count(usage, []byte(`"`+key+`"`)) > 1 {
				return
			}
		}
		is := func(object map[string]json.RawMessage, key string) (n int64, is bool) {
			is = json.Unmarshal(object[key], &n) == nil && string(object[key]) != "null" && n >= 0 && n < 1<<53
			return n, is
		}
		count := func(object map[string]json.RawMessage, key string) int64 {
			if n, ok := is(object, key); ok {
				return n
			}
			return 0
		}
		_, input := is(doc.Usage, "input_tokens")
		_, output := is(doc.Usage, "output_tokens")
		_, total := is(doc.Usage, "total_tokens")
		assert.Equal(t, input || output || total, ok)
		details := func(key string) (object map[string]json.RawMessage) {
			_ = json.Unmarshal(doc.Usage[key], &object)
			return object
		}
		assert.Equal(t, Usage{
			Input:     count(doc.Usage, "input_tokens"),
			Output:    count(doc.Usage, "output_tokens"),
			Total:     count(doc.Usage, "total_tokens"),
			Cached:    count(details("input_tokens_details"), "cached_tokens"),
			Reasoning: count(details("output_tokens_details"), "reasoning_tokens"),
		}, got)
	})
}
