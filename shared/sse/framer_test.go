package sse

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type event struct{ name, data string }

func frame(t require.TestingT, chunks ...[]byte) (events []event, raw []byte) {
	var f Framer
	for _, c := range chunks {
		p := slices.Clone(c)
		f.Write(p)
		for {
			ev, ok, err := f.Next()
			require.NoError(t, err)
			if !ok {
				break
			}
			raw = append(raw, ev.Raw...)
			if ev.Data != nil {
				events = append(events, event{string(ev.Name), string(ev.Data)})
			}
		}
		f.Release()
		for i := range p {
			p[i] = '\n' // the caller reads into it again
		}
	}
	return events, append(raw, f.Rest()...)
}

const stream = "\ufeffdata: {\"a\":1}\n\n: comment\n\nevent: x\ndata:no space\nid: 1\nretry\n\n\n\ndata: two\ndata:  lines\ndata\n\ndata: [DONE]\n\ndata: cut"

var want = []event{{"", `{"a":1}`}, {"x", "no space"}, {"", "two\n lines\n"}, {"", "[DONE]"}}

func TestEverySplitAndLineEndGivesTheSameEvents(t *testing.T) {
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		in := []byte(strings.ReplaceAll(stream, "\n", eol))
		for i := 0; i <= len(in); i++ {
			for _, j := range []int{i, min(i+1, len(in)), min(i+7, len(in))} {
				got, raw := frame(t, in[:i], in[i:j], in[j:])
				require.Equal(t, want, got, "eol %q, cut at %d and %d", eol, i, j)
				require.Equal(t, string(in), string(raw), "raw bytes, eol %q, cut at %d and %d", eol, i, j)
			}
		}
		got, _ := frame(t, slices.Collect(slices.Chunk(in, 1))...)
		require.Equal(t, want, got, "eol %q, byte by byte", eol)
	}
}

func TestLinesOfEveryLength(t *testing.T) {
	for n := range 1100 {
		text := strings.Repeat("x", n)
		for _, eol := range []string{"\n", "\r\n", "\r"} {
			got, _ := frame(t, []byte("event:"+text+eol+"data:"+text+eol+"data:"+text+eol+eol))
			require.Equal(t, []event{{text, text + "\n" + text}}, got, "eol %q, %d bytes", eol, n)
		}
	}
}

// The work for an event is proportional to its length, however many lines it has:
// else this takes seconds, and in a VM that others wait for many times as long.
func TestManyLines(t *testing.T) {
	const lines = 1 << 17
	for _, eol := range []string{"\n", "\r\n", "\r"} {
		for _, size := range []int{1 << 10, 1 << 20} {
			in := []byte(strings.Repeat("data:"+eol, lines) + eol)
			got, _ := frame(t, slices.Collect(slices.Chunk(in, size))...)
			require.Equal(t, []event{{"", strings.Repeat("\n", lines-1)}}, got, "eol %q, %d bytes at a time", eol, size)
		}
	}
}

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		name, in string
		err      error
	}{
		{"as long as the limit", "data: 1234567890\n\n", nil},
		{"over the limit", "data: 12345678901\n\n", ErrTooLong},
		{"over the limit before its end", "data: 1234567890123", ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := Framer{Max: 18}
			f.Write([]byte("data: before\n\n"))
			_, ok, err := f.Next()
			require.True(t, ok)
			require.NoError(t, err)
			f.Write([]byte(c.in))
			_, ok, err = f.Next()
			require.Equal(t, c.err, err)
			require.Equal(t, c.err == nil, ok)
		})
	}
}

func TestAppend(t *testing.T) {
	b := Append([]byte(": hi\n\n"), "response.created", []byte(`{"n":1}`))
	require.Equal(t, ": hi\n\nevent: response.created\ndata: {\"n\":1}\n\n", string(b))
	got, _ := frame(t, b)
	require.Equal(t, []event{{"response.created", `{"n":1}`}}, got)
}

func FuzzFramer(f *testing.F) {
	f.Add([]byte(stream), 3)
	f.Add([]byte("data: a\r\n\r\ndata: b\r\r"), 9)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		if len(in) > 1<<16 {
			return
		}
		at = max(0, min(at, len(in)))
		whole, raw := frame(t, in)
		require.Equal(t, string(in), string(raw))
		split, raw := frame(t, in[:at], in[at:])
		require.Equal(t, whole, split)
		require.Equal(t, string(in), string(raw))
	})
}

func BenchmarkFramer(b *testing.B) {
	in := []byte("data: " + strings.Repeat("x", 230) + "\n\n")
	var f Framer
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		f.Write(in)
		if _, ok, _ := f.Next(); !ok {
			b.Fatal("no event")
		}
	}
}

func TestEventsHaveNotTooManyLines(t *testing.T) {
	for lines, want := range map[int]error{maxLines: nil, maxLines + 1: ErrTooLong} {
		f := Framer{Max: 8 << 20}
		f.Write([]byte(strings.Repeat("data:\n", lines) + "\n"))
		_, ok, err := f.Next()
		require.Equal(t, want, err)
		require.Equal(t, want == nil, ok)
	}
}

// Blank lines say nothing, and were an event each.
func TestManyBlankLinesAreFewEvents(t *testing.T) {
	for _, eol := range []string{"\n", "\r\n", "\r", "\r\r\n", "\n\r"} {
		in := []byte(strings.Repeat(eol, 1000) + "data: a" + eol + eol + strings.Repeat(eol, 1000) + "data: b" + eol + eol)
		for _, size := range []int{1, 2, 3, 100, 511, 512, 513, len(in)} {
			got, raw := frame(t, slices.Collect(slices.Chunk(in, size))...)
			require.Equal(t, []event{{"", "a"}, {"", "b"}}, got, "eol %q, %d bytes at a time", eol, size)
			require.Equal(t, string(in), string(raw), "eol %q, %d bytes at a time", eol, size)
		}
		f, n, last := Framer{Max: 600}, 0, byte(0)
		f.Write(append([]byte("\n"), in...)) // so that the ends lie otherwise
		for {
			ev, ok, err := f.Next()
			require.NoError(t, err)
			if !ok {
				break
			}
			require.LessOrEqual(t, len(ev.Raw), 600)
			require.False(t, last == '\r' && ev.Raw[0] == '\n', "a line end is parted")
			last = ev.Raw[len(ev.Raw)-1]
			n++
		}
		require.Less(t, n, 20, "eol %q", eol)
	}
}
