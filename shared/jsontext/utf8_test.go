package jsontext

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// It says what the standard library says, wherever what is broken stands.
func TestIsUTF8(t *testing.T) {
	pieces := []string{"", "a", "seven b", "eight by", "\u00fc", "\u20ac", "\ud7ff", "\ue000", "\U0001f600", "\xff", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x9f\x98", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\x80"}
	for _, a := range pieces {
		for _, b := range pieces {
			for _, c := range pieces {
				for _, text := range []string{a + b + c, a + strings.Repeat("x", 9) + b + c + strings.Repeat("\u00fc", 5)} {
					require.Equal(t, utf8.ValidString(text), isUTF8([]byte(text)), "%q", text)
				}
			}
		}
	}
}
