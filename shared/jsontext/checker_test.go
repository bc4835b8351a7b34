package jsontext_test

import (
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

// inPieces checks a document as it comes in pieces of n bytes; failed is how much
// had come when it was wrong, -1.
func inPieces(doc string, n int, lim jsontext.Limits) (c jsontext.Checker, failed int) {
	c.Limits = lim
	for at := 0; at < len(doc); at += n {
		end := min(at+n, len(doc))
		if !c.Write([]byte(doc[at:end])) {
			return c, end
		}
	}
	return c, -1
}

var checked = []string{
	``, ` `, `{}`, `[]`, ` { } `, `[1]`, `{"a":1}`, `{"a":[1,2,{"b":null}],"c":"d"}`, `null`, `true`, `false`, `nul`, `nulll`, `tru e`,
	`0`, `-0`, `01`, `-`, `1.`, `1.5`, `1.5e`, `1e5`, `1e+5`, `1e+`, `1E-05`, `.5`, `+1`, `1 2`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`,
	`"abc"`, `"a`, `"a\n"`, "\"a\n\"", `"\u0041"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83dx"`, `"\ud83d\u0041"`, `"\x"`, `"\é"`, `"\`, `"\u12g4"`, `"\u12"`,
	`"äöü€😀"`, "\"\xff\"", "\"\xc3\"", "\"\xe2\x82\"", "\"\xed\xa0\x80\"", "\xff", "{\"\xc3\xa4\":1}", `[[[[1]]]]`, `[[[[[1]]]]]`, `{"a":{"b":{"c":{"d":{}}}}}`,
	`[1,2,3,4,5,6,7,8]`, `[1,2,3,4,5,6,7]`, `]`, `}`, `[}`, `{]`, `[1}`, `{"a":1]`, `{}x`, `{} {}`, `{"a":"` + "\\\\" + `"}`, `[-1.25e-3, true,false , null]`,
	`{"a\n\u0041":"\ud83d\ude00\n\\\"","b\/":["\t"]}`, `{"abcdefghi":1}`, `{"a\nbcdefgh":"abcdefghijkl"}`, `{"abcdefgh\x":1}`, "{\"abcdefgh\xff\":1}", `{"abcdefghi`,
	`{"long":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaäaaaaaaaaaaaaaaaaaaaaaaaa\"aaaaaaaaaaaaaaaaaaaa"}`, `["a\/b\b\f\n\r\t\\"]`, "\ufeff{}",
	`-12345678`, `[-1234567,1]`, `12345678.`, `1234567.`, `[1234567.x]`, `1234567e+`, `[1.23456e-]`, `[1.23456e-8]`, `123456789x`, `[0.1234567,"a` + "\xff" + `"]`, `{"a":1e+56789}`, `{"a":-1.5e-10,"b":-1.5e-1}`, `[12345678,123456789,1]`, `01234567890`, `-x23456789`,
	strings.Repeat("1", 64*7), strings.Repeat("1", 64*8), `[1,` + strings.Repeat("1", 64*5) + `]`, `[1,` + strings.Repeat("1", 64*6) + `]`, `{"a":-0.` + strings.Repeat("1", 64*7) + ` ,"b":1}`, `[` + strings.Repeat("1", 64*8) + `x]`, `[` + strings.Repeat("1", 64*8) + `.]`, strings.Repeat("1", 64*8) + `e`,
	strings.Repeat(" ", 32*8) + `1`, strings.Repeat("\n", 32*7) + `1`, `[1,2` + strings.Repeat(" ", 32*5) + `,3]`, `[1,2` + strings.Repeat(" ", 32*6) + `,3]`, `{"a"` + strings.Repeat("\t", 300) + `:1}`, `{"a":1` + strings.Repeat(" ", 300) + `,"abcdefghi":1}`,
	`{` + strings.Repeat(" ", 300) + `}x`, `[[[[` + strings.Repeat(" ", 300) + `]]]]`, `[1,` + strings.Repeat(" ", 31) + `2,` + strings.Repeat(" ", 31) + `3,4,5,6]`, `{"a":1}` + strings.Repeat(" ", 32*6), `{"a":1}` + strings.Repeat(" ", 32*7), `{"a":1}` + strings.Repeat(" ", 32*7) + `x`, `[1` + strings.Repeat(" ", 300) + `[[[[[1]]]]]]`, `["a` + strings.Repeat(" ", 300) + `",2,3,4,5,6]`,
	`{"` + strings.Repeat("n", 63) + `":1,"b":[2,3,4,5]}`, `{"` + strings.Repeat("n", 5*64-1) + `":1,"b":2,"c":3,"d":4}`, `{"a":1,"` + strings.Repeat("n", 8*64) + `":1}`,
}

func same(t *testing.T, doc string, n int, lim jsontext.Limits) {
	t.Helper()
	want := jsontext.Check([]byte(doc), lim)
	c, failed := inPieces(doc, n, lim)
	require.Equal(t, want == nil, c.Valid(), "%q in pieces of %d: %v", doc, n, want)
	if failed >= 0 {
		// What had come says the same as the whole does.
		require.Equal(t, want, jsontext.Check([]byte(doc[:failed]), lim), "%q in pieces of %d", doc, n)
	} else {
		failed = len(doc)
	}
	passed := max(0, failed-1) / n * n // before the last piece
	require.Equal(t, want, jsontext.CheckRest([]byte(doc[:failed]), passed, lim), "%q in pieces of %d", doc, n)
	if c.Complete() {
		require.NoError(t, want)
	}
}

func TestAPieceAtATimeIsAsAtOnce(t *testing.T) {
	for _, doc := range checked {
		for n := 1; n <= len(doc)+1; n++ {
			for _, lim := range []jsontext.Limits{{}, {Depth: 4}, {Values: 8}, {Escapes: 2}, {Escapes: 3, Name: 8}, {Name: 8}, {Number: 8}} {
				same(t, doc, n, lim)
			}
		}
	}
}

func TestACompleteDocumentNeedsNoEnd(t *testing.T) {
	for doc, complete := range map[string]bool{
		`{}`: true, `[1]`: true, `{"a":[]}`: true, ` {} `: true, `{}x`: false, `1`: false, `"a"`: false, `null`: false, `{`: false, `{"a":"}`: false, ``: false,
	} {
		c, _ := inPieces(doc, 1, jsontext.Limits{})
		require.Equal(t, complete, c.Complete(), doc)
	}
	c, _ := inPieces(`{"a":[1,2,{"b":null}]}`, 3, jsontext.Limits{})
	require.Equal(t, 6, c.Values())
}

// A parser reads a name byte by byte, and who keeps it hashes it: 24,000 names of 1 KiB
// held a worker for 170 ms.
func TestALongNameOrNumberCountsAsValues(t *testing.T) {
	for length, values := range map[int]int{0: 3, 63: 3, 64: 4, 127: 4, 128: 5, 1024: 19} {
		doc := `{"` + strings.Repeat("n", length) + `":["a"]}`
		require.Equal(t, values, jsontext.Values([]byte(doc)), length)
		c, _ := inPieces(doc, 7, jsontext.Limits{})
		require.Equal(t, values, c.Values(), length)
	}
	for length, values := range map[int]int{1: 3, 63: 3, 64: 4, 1024: 19} {
		doc := `{"n":[` + strings.Repeat("1", length) + `]}`
		require.Equal(t, values, jsontext.Values([]byte(doc)), length)
		c, _ := inPieces(doc, 7, jsontext.Limits{})
		require.Equal(t, values, c.Values(), length)
	}
	require.EqualError(t, jsontext.Check([]byte(`{"`+strings.Repeat("n", 640)+`":1}`), jsontext.Limits{Values: 10}), "more than 10 JSON values at byte 643")
}

// A number of 30 MB held a worker for 150 to 300 ms, wherever it stood.
func TestALongNumberIsRefused(t *testing.T) {
	for doc, problem := range map[string]string{
		`[` + strings.Repeat("1", 10) + `]`:       "",
		`[` + strings.Repeat("1", 11) + `]`:       "a number of more than 10 bytes at byte 1",
		`{"a":-0.` + strings.Repeat("1", 7) + `}`: "",
		`{"a":-0.` + strings.Repeat("1", 8) + `}`: "a number of more than 10 bytes at byte 5",
		`1e-` + strings.Repeat("0", 7) + `1`:      "a number of more than 10 bytes at byte 0",
		`12345678.e`:                              "invalid number at byte 9",
		`[1234567890123x]`:                        "a number of more than 10 bytes at byte 1",
	} {
		err := jsontext.Check([]byte(doc), jsontext.Limits{Number: 10})
		if problem == "" {
			require.NoError(t, err, doc)
		} else {
			require.EqualError(t, err, problem, doc)
		}
	}
}

func FuzzChecker(f *testing.F) {
	for _, doc := range checked {
		f.Add(doc, 1)
		f.Add(doc, 3)
	}
	f.Fuzz(func(t *testing.T, doc string, n int) {
		if n < 1 || len(doc) > 1<<12 {
			return
		}
		same(t, doc, n, jsontext.Limits{Depth: 6, Values: 12, Escapes: 3, Name: 9, Number: 7})
	})
}

func BenchmarkChecker(b *testing.B) {
	doc := []byte(`{"model":"m","input":[`)
	for range 2000 {
		doc = append(doc, `{"type":"message","role":"user","content":[{"type":"input_text","text":"What is the capital of France, and why?"}]},`...)
	}
	doc = append(doc, `{}]}`...)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		var c jsontext.Checker
		for at := 0; at < len(doc); at += 16 << 10 {
			c.Write(doc[at:min(at+16<<10, len(doc))])
		}
		if !c.Valid() {
			b.Fatal("it is valid")
		}
	}
}
