package digest

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The examples of FIPS 180-4 and the vectors of NIST's validation system.
func TestSum(t *testing.T) {
	for text, want := range map[string]string{
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		strings.Repeat("a", 1_000_000):                             "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
		"\xd3":                                                     "28969cdfa74a12c82f3bad960b0b000aca2ac329deea5c2328ebc6f2ba9802c1",
	} {
		got := sum(text)
		assert.Equal(t, want, hex.EncodeToString(got[:]), "%.60q", text)
	}
}

func TestSumIsThatOfTheStandardLibraryForAllLengths(t *testing.T) {
	text := strings.Repeat("\x00\x7f\xffantwort", 40)
	for n := range len(text) {
		assert.Equal(t, sha256.Sum256([]byte(text[:n])), sum(text[:n]), "%d bytes", n)
	}
}

func FuzzSum(f *testing.F) {
	f.Add("sk-key")
	f.Fuzz(func(t *testing.T, text string) {
		assert.Equal(t, sha256.Sum256([]byte(text)), sum(text))
	})
}
