package filter

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocumentEnds(t *testing.T) {
	for _, c := range []struct {
		name, in string
		ends     bool
	}{
		{"object", `{"a":1}`, true},
		{"white space around", " \n{} \r\n\t", true},
		{"array", `[[],{}]`, true},
		{"brackets in a string", `{"a":"}]"}`, true},
		{"escaped quotes", `{"a":"\"}","b":"\\"}`, true},
		{"unended string", `{"a":"}`, false},
		{"unended string after escapes", `{"a":"\\\"}`, false},
		{"unended object", `{"a":{}`, false},
		{"scalar", `12`, false},
		{"nothing", ``, false},
		{"garbage behind", `{} x`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for split := range len(c.in) {
				var d document
				ended := d.ended([]byte(c.in[:split])) // before only when white space is all that follows
				require.Equal(t, c.ends, ended && c.ends || d.ended([]byte(c.in)), "split at %d", split)
			}
		})
	}
}

// The work is proportional to the body, whatever is in it and however it is cut: else
// this takes minutes, in which no other request of the VM goes on.
func TestDocumentEndsSoon(t *testing.T) {
	const n = 1 << 20
	for name, text := range map[string]string{
		"escapes":     `{"a":"` + strings.Repeat(`\n`, n) + `"}`,
		"strings":     `["` + strings.Repeat(`","`, n) + `"]`,
		"white space": `{` + strings.Repeat(" ", n) + `}`,
	} {
		in := []byte(text)
		for _, step := range []int{32, len(in)} {
			var d document
			for at := step; at < len(in); at += step {
				require.False(t, d.ended(in[:at]), name)
			}
			require.True(t, d.ended(in), name)
		}
	}
}

// However a valid document is cut, it ends at its end and not before.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`{"a":["\\\"",{}],"b":"}"}`), byte(3))
	f.Fuzz(func(t *testing.T, b []byte, step byte) {
		if !json.Valid(b) || len(b) == 0 || b[0] != '{' && b[0] != '[' {
			return
		}
		var d document
		for n := 0; n < len(b); n += int(step)%7 + 1 {
			if d.ended(b[:n]) != json.Valid(b[:n]) {
				if n > 0 && json.Valid(b[:n]) {
					return // ended before, as only white space follows
				}
				t.Fatalf("%q of %q: expected %v", b[:n], b, json.Valid(b[:n]))
			}
			if json.Valid(b[:n]) {
				return
			}
		}
		if !d.ended(b) {
			t.Fatalf("%q has not ended", b)
		}
	})
}
