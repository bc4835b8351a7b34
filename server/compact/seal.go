package compact

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
)

// A Sealer seals what clients keep of a conversation, with a key of the process's own:
// who has it can neither read nor change it, and nobody else can use it. After the
// process has ended nobody can.
type Sealer struct{ aead cipher.AEAD }

// purpose parts what is sealed here from all else.
const purpose = "compaction\n"

// NewSealer makes a sealer with a new key.
func NewSealer() *Sealer {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails, says its documentation
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // the key's length is right
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size
	}
	return &Sealer{aead}
}

// Seal seals for an owner, in characters that JSON leaves as they are.
func (s *Sealer) Seal(owner [16]byte, plain []byte) []byte {
	sealed := s.aead.Seal(nil, nil, plain, append([]byte(purpose), owner[:]...)) //nolint:gosec // the cipher makes its nonce itself
	return base64.RawURLEncoding.AppendEncode(nil, sealed)
}

// Open opens what was sealed for the owner, and for nobody else.
func (s *Sealer) Open(owner [16]byte, sealed []byte) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.AppendDecode(nil, sealed)
	if err != nil {
		return nil, false
	}
	plain, err := s.aead.Open(nil, nil, raw, append([]byte(purpose), owner[:]...))
	return plain, err == nil
}
