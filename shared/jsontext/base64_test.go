package jsontext_test

import (
	"encoding/base64"
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

func FuzzBase64(f *testing.F) {
	f.Add([]byte(`YWJjZGVmZ2hpamtsbW5v\nYWI=`))
	f.Fuzz(func(t *testing.T, inside []byte) {
		if !jsontext.Inside(inside) {
			t.Skip()
		}
		sameBase64(t, inside)
	})
}
