package chat_test

import (
	"strings"
	"testing"
	"time"

	"antwort/shared/chat"
	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

func split(doc string, n int) (rest string, entries []string, complete bool) {
	var s chat.Splitter
	s.Reset(func(entry []byte) bool {
		entries = append(entries, string(entry))
		return true
	})
	for at := 0; at < len(doc); at += n {
		s.Write([]byte(doc[at:min(at+n, len(doc))]))
	}
	return string(s.Rest()), entries, s.Complete()
}

func TestWhatIsLongIsParted(t *testing.T) {
	for name, c := range map[string]struct{ doc, rest, entries string }{
		"nothing of it":        {`{"choices":[{"message":{"content":"a,b]}"}}]}`, `{"choices":[{"message":{"content":"a,b]}"}}]}`, ``},
		"entries":              {`{"choices":[{"logprobs":{"content":[{"a":[1,2]}, {"b":"]"}]},"index":0}],"usage":{"x":1}}`, `{"choices":[{"logprobs":{"content":[]},"index":0}],"usage":{"x":1}}`, `{"a":[1,2]}|{"b":"]"}`},
		"entries that are not": {`{"choices":[{"logprobs":{"content":[1,null,"a",[2]]}}]}`, `{"choices":[{"logprobs":{"content":[]}}]}`, `[2]`},
		"no entries":           {`{"choices":[{"logprobs":{"content":[]}}]}`, `{"choices":[{"logprobs":{"content":[]}}]}`, ``},
		"null":                 {`{"choices":[{"logprobs":null}]}`, `{"choices":[{"logprobs":null}]}`, ``},
		"of the refusal":       {`{"choices":[{"logprobs":{"refusal":[1,2],"content":[{}]}}]}`, `{"choices":[{"logprobs":{"refusal":null,"content":[]}}]}`, `{}`},
		"of another choice":    {`{"choices":[{"index":0},{"logprobs":{"content":[{}]}},7]}`, `{"choices":[{"index":0},null,7]}`, ``},
		"elsewhere":            {`{"x":{"choices":[{"logprobs":{"content":[{}]}}]}}`, `{"x":null}`, ``},
		"unknown":              {`{"a":[1,2],"b":{"c":[]},"usage":{"c":[]},"error":[1],"d":"e"}`, `{"a":null,"b":null,"usage":{"c":[]},"error":[1],"d":"e"}`, ``},
		"unknown of a choice":  {`{"choices":[{"token_ids":[1,2],"delta":{"a":[3]}}]}`, `{"choices":[{"token_ids":null,"delta":{"a":[3]}}]}`, ``},
		"names with escapes":   {`{"choice\u0073":[1],"a\"b":[2]}`, `{"choice\u0073":[1],"a\"b":[2]}`, ``},
		"a long name":          {`{"` + strings.Repeat("choices", 9) + `":[1]}`, `{"` + strings.Repeat("choices", 9) + `":null}`, ``},
		"white space":          {" { \"choices\" : [ { \"logprobs\" : { \"content\" : [ {} , {} ] } } ] } ", " { \"choices\" : [ { \"logprobs\" : { \"content\" : [] } } ] } ", `{}|{}`},
		"an array":             {`[{"choices":[]}]`, `[{"choices":[]}]`, ``},
		"escapes in a string":  {`{"choices":[{"message":{"content":"\\\"]}\\"}}]}`, `{"choices":[{"message":{"content":"\\\"]}\\"}}]}`, ``},
		"strings left out":     {`{"a":["short","]","\"]","longer than a short string, with an end","\\"],"b":{"c":{"d":"}"},"e":[]}}`, `{"a":null,"b":null}`, ``},
		"text":                 {`no "JSON`, `no "JSON`, ``},
		"cut":                  {`{"choices":[{"logprobs":{"content":[{"a":`, `{"choices":[{"logprobs":{"content":[`, ``},
		"two of a name":        {`{"choices":[{"logprobs":{"content":[{}]}}],"choices":[{}]}`, `{"choices":[{"logprobs":{"content":[]}}],"choices":[{}]}`, `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= len(c.doc); n++ {
				rest, entries, complete := split(c.doc, n)
				require.Equal(t, c.rest, rest, "in pieces of %d", n)
				require.Equal(t, c.entries, strings.Join(entries, "|"), "in pieces of %d", n)
				require.Equal(t, strings.Count(c.doc, "{")+strings.Count(c.doc, "[") > 1 && name != "cut" && name != "text", complete, "in pieces of %d", n)
			}
		})
	}
}

// Where the long strings are of what is left, that are values, is known when they are there.
func TestLongStringsAreKnownAsTheyCome(t *testing.T) {
	long := strings.Repeat(`long \"é`, jsontext.LongString/8)
	for name, c := range map[string]struct {
		doc    string
		values int
		broken bool
	}{
		"a value":            {`{"choices":[{"message":{"content":"@"}}]}`, 1, false},
		"two":                {`{"choices":[{"message":{"content":"@","b":["c","@"]}}]}`, 2, false},
		"a name":             {`{"choices":[{"message":{"@" : "a"}}]}`, 0, false},
		"a name and a value": {`{"choices":[{"message":{"@":"@"}}]}`, 1, false},
		"left out":           {`{"x":["@"],"choices":[{"y":{"@":1},"message":{"content":"@"}}]}`, 1, false},
		"of logprobs":        {`{"choices":[{"logprobs":{"content":[{"token":"@"},"@"]}}],"a":"@"}`, 1, false},
		"short ones":         {`{"choices":[{"message":{"content":"a"}}]}`, 0, false},
		"without an end":     {`{"choices":[{"message":{"content":"@`, 0, false},
		"a wrong escape":     {`{"a":"@\x","b":"@"}`, 2, true},
		"half a character":   {"{\"a\":\"@\xc3\"}", 1, true},
		"half a pair":        {`{"a":"@\ud83d"}`, 1, true},
		"a line end":         {"{\"a\":\"@\n\"}", 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			doc := strings.ReplaceAll(c.doc, "@", long)
			for _, n := range []int{7, 1000, jsontext.LongString + 1, len(doc)} {
				var s chat.Splitter
				s.Reset(func([]byte) bool { return true })
				for at := 0; at < len(doc); at += n {
					s.Write([]byte(doc[at:min(at+n, len(doc))]))
				}
				spans, ok := s.Long()
				require.Len(t, spans, c.values, "in pieces of %d", n)
				require.Equal(t, c.broken, !ok, "in pieces of %d", n)
				for _, span := range spans {
					require.True(t, strings.HasPrefix(string(s.Rest()[span.From:]), long))
					require.Equal(t, `"`, string(s.Rest()[span.To]))
					if inside := s.Rest()[span.From:span.To]; ok {
						n, _ := jsontext.Escapes(inside, 0)
						require.Equal(t, n, span.Escapes, "in pieces of %d", n)
					}
				}
			}
		})
	}
}

// The end of a text is not looked for anew behind each of its escapes.
func TestEscapesAreNotLongWork(t *testing.T) {
	var s chat.Splitter
	s.Reset(func([]byte) bool { return true })
	doc := []byte(`{"choices":[{"message":{"content":"` + strings.Repeat(`a\n`, 2<<20) + `"}}]}`)
	begun := time.Now()
	s.Write(doc)
	require.Less(t, time.Since(begun), 5*time.Second) // it was a minute, and is a hundredth of a second
	require.True(t, s.Complete())
	require.Len(t, s.Rest(), len(doc))
}

func TestASplitterStopsWhenItIsTold(t *testing.T) {
	var s chat.Splitter
	n := 0
	s.Reset(func([]byte) bool { n++; return n < 2 })
	s.Write([]byte(`{"choices":[{"logprobs":{"content":[{},{},{},{}]}}]}`))
	require.Equal(t, 2, n)
	longest := 0
	s.Reset(func(entry []byte) bool { longest = len(entry); return false })
	s.Write([]byte(`{"choices":[{"logprobs":{"content":[{"token":"`))
	for range 10 {
		s.Write([]byte(strings.Repeat("a", chat.EntryBytes)))
	}
	require.Greater(t, longest, chat.EntryBytes)
	require.Less(t, longest, 3*chat.EntryBytes)
}

func TestValuesAreCounted(t *testing.T) {
	var s chat.Splitter
	s.Reset(func([]byte) bool { return true })
	s.Write([]byte(`{"a":[1,2,3,4,5,6],"choices":[{"logprobs":{"content":[{"a":1,"b":[1,2,3]}]},"message":{"c":[1,2,3]}}]}`))
	rest, entries := s.Values()
	require.GreaterOrEqual(t, rest, 8)
	require.Less(t, rest, 20)
	require.GreaterOrEqual(t, entries, 5)
}
