package filter

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// list is a list of texts as Envoy gives it.
func list(texts ...string) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(texts)))
	for _, text := range texts {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(text)))
		b = binary.LittleEndian.AppendUint32(b, 0)
	}
	for _, text := range texts {
		b = append(append(b, text...), 0, 0)
	}
	return b
}

func TestAudience(t *testing.T) {
	ours := []string{"antwort", "next"}
	for name, test := range map[string]struct {
		aud  []byte
		want bool
	}{
		"a text":             {[]byte("antwort"), true},
		"another text":       {[]byte("other"), false},
		"the beginning of":   {[]byte("antwort-x"), false},
		"none":               {nil, false},
		"a list":             {list("other", "next"), true},
		"a list of others":   {list("other", "third", ""), false},
		"an empty list":      {list(), false},
		"a list cut short":   {list("other", "antwort")[:24], false},
		"an object":          {[]byte("\x01\x00\x00\x00\x07\x00\x00\x00\x01\x00\x00\x00antwort\x00x\x00"), false},
		"more than there is": {[]byte("\xff\xff\xff\xff\x07\x00\x00\x00\x00\x00\x00\x00antwort\x00\x00"), false},
		"sizes without end":  {[]byte("\x01\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00antwort\x00\x00"), false},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, isFor(test.aud, ours)) })
	}
}

func FuzzAudience(f *testing.F) {
	f.Add(list("other", "antwort"))
	f.Add([]byte("antwort"))
	f.Fuzz(func(t *testing.T, aud []byte) {
		if isFor(aud, []string{"antwort"}) {
			require.Contains(t, string(aud), "antwort")
		}
	})
}
