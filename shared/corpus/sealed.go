package corpus

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// The key of the cases that seal, as state.keys names it, and the nonce that is injected
// where a gateway would take random bytes.
const (
	KeyVariable = "CORPUS_KEY"
	Nonce       = "a nonce of twenty-four b"
)

// KeyText is the key.
var KeyText = strings.Repeat("7a", 32)

// Keys looks the key up in the place of an environment.
func Keys(name string) (string, bool) { return KeyText, name == KeyVariable }

var sealed = regexp.MustCompile(`"encrypted_content":"(A[Q-Za-f][A-Za-z0-9_-]+)"`)

// For is what is expected where the gateway has taken the random bytes itself, of which
// got, what came out, says which: one sealing of the case, however often it is told.
func (c *Case) For(got string) Case {
	m := sealed.FindStringSubmatch(got)
	if !c.Seals || m == nil {
		return *c
	}
	raw, err := base64.RawURLEncoding.DecodeString(m[1])
	const head = 1 + 4
	if err != nil || len(raw) < head+len(Nonce) {
		return *c
	}
	like := *c
	like.Expected = c.run(string(raw[head:head+len(Nonce)]), c.Stream)
	return like
}
