package filter

import (
	"encoding/binary"
	"math/rand/v2"
)

// idLetters are 32, so that 5 bits make a letter.
const idLetters = "abcdefghijklmnopqrstuvwxyz234567"

// nonce fills b, which has whole groups of 8 bytes, with random bytes of the same
// source. Nobody must be unable to guess them, only must none come twice.
func nonce(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, rand.Uint64()) //nolint:gosec // ChaCha8 with the host's seed, as said below
	}
}

// newID returns the random part of a response's ids: 160 bits as 32 letters and
// digits. They are of the Go runtime's ChaCha8, which is seeded once per VM with
// 256 random bits of the host (WASI random_get): no host call per id, and
// without crypto/rand, which is 1 MB of code.
func newID() string {
	var id [32]byte
	for i := 0; i < len(id); i += 8 {
		bits := rand.Uint64() //nolint:gosec // ChaCha8 with the host's seed, as said above
		for j := range 8 {
			id[i+j] = idLetters[bits>>(5*j)&31]
		}
	}
	return string(id[:])
}
