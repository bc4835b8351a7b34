package thought

import (
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestACopyIsReadBack(t *testing.T) {
	for _, text := range []string{"", "Hm.", "é😀\n\"\\\x00"} {
		coded := AppendCopy([]byte("x"), []byte(text))
		require.Equal(t, "x", string(coded[:1]))
		got, ok := Open(coded[1:])
		require.True(t, ok)
		require.Equal(t, text, string(got))
	}
}

// Line breaks in a copy are passed over, wherever they are.
func TestLineBreaksAreNoPartOfACopy(t *testing.T) {
	coded := string(AppendCopy(nil, []byte("Hm.")))
	for at := range len(coded) {
		for _, breaks := range []string{"\n", "\r\n", "\n\n\n", "\n\n\n\n"} {
			got, ok := Open([]byte(coded[:at] + breaks + coded[at:]))
			require.True(t, ok, "%q at %d", breaks, at)
			require.Equal(t, "Hm.", string(got))
		}
	}
}

func TestWhatIsNoCopyIsNotOpened(t *testing.T) {
	whole := AppendCopy(nil, []byte("They want the weather."))
	for name, coded := range map[string]string{
		"empty":                   "",
		"of another maker":        "gAAAAABm-base64-of-fernet_",
		"not base64":              "a b",
		"cut":                     string(whole[:len(whole)-2]),
		"changed":                 string(whole[:10]) + "A" + string(whole[11:]),
		"of another version":      base64.RawURLEncoding.EncodeToString([]byte{1, 0x81, 0x1c, 0x9d, 0xc5}),
		"with something behind":   string(whole) + "AAAA",
		"with padding and blanks": string(whole) + "= ",
	} {
		_, ok := Open([]byte(coded))
		require.False(t, ok, name)
	}
}

func FuzzOpen(f *testing.F) {
	f.Add(AppendCopy(nil, []byte("Hm.")))
	f.Fuzz(func(t *testing.T, coded []byte) {
		if text, ok := Open(coded); ok {
			again, ok := Open(AppendCopy(nil, text))
			require.True(t, ok)
			require.Equal(t, text, again)
		}
	})
}
