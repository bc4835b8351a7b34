package jsontext_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

// sameBase64 holds what is decoded against what encoding/base64 makes of the text.
func sameBase64(t *testing.T, inside []byte) {
	want, wrong := base64.StdEncoding.AppendDecode([]byte("before"), jsontext.Decode(nil, inside))
	got, err := jsontext.AppendBase64([]byte("before"), inside)
	require.Equal(t, wrong == nil, err == nil, "%q", inside)
	if err == nil {
		require.Equal(t, string(want), string(got), "%q", inside)
	}
}

func TestBase64(t *testing.T) {
	for n := range 70 {
		plain := make([]byte, n)
		for i := range plain {
			plain[i] = byte(rand.Uint32())
		}
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding} {
			text := encoding.EncodeToString(plain)
			sameBase64(t, []byte(text))
			for i := range text {
				for _, c := range []string{`\n`, `\r`, `\/`, `\u0041`, `\\`, `\t`, " ", "=", "+", "_", "é"} {
					sameBase64(t, []byte(text[:i]+c+text[i:]))
					sameBase64(t, []byte(text[:i]+c+text[i+1:]))
					sameBase64(t, []byte(strings.ReplaceAll(text, text[i:i+1], c+text[i:i+1])))
				}
			}
		}
	}
}

// What is wrong, or an escape that need not be there, may stand far before the end.
func TestLongBase64(t *testing.T) {
	plain := make([]byte, 5_000)
	for i := range plain {
		plain[i] = byte(rand.Uint32())
	}
	text := base64.StdEncoding.EncodeToString(plain)
	for _, all := range []string{"+", "/", "A", "0"} {
		sameBase64(t, []byte(strings.ReplaceAll(text, all, fmt.Sprintf(`\u%04x`, all[0]))))
	}
	for _, c := range []string{`\u000a`, `\u000D`, `\n`, `\u2028`, `\ud83d\ude00`, `\"`, `\b`, "=", "==", "!", "\u00e9"} {
		for _, i := range []int{0, 1, 2, 3, 400, 401, 5_000, len(text) - 2} {
			sameBase64(t, []byte(text[:i]+c+text[i:]))
			sameBase64(t, []byte(text[:i]+strings.Repeat(c, 2_000)+text[i:]))
		}
	}
}

func FuzzBase64(f *testing.F) {
	f.Add([]byte(`YWJjZGVmZ2hpamtsbW5v\nYWI=`))
	f.Fuzz(func(t *testing.T, inside []byte) {
		if !jsontext.Inside(inside) {
			t.Skip()
		}
		sameBase64(t, inside)
	})
}
