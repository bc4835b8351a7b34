// Package seal is the one door through which a text goes that somebody else keeps for
// us and must neither read nor change: a thought that a client sends back, the memory
// of a long conversation, what a database holds.
//
//	plain text ─ Sealer.AppendText ─► base64url( version 1 | key 4 | nonce 24 | XChaCha20-Poly1305 )
//	             Sealer.Append     ─► the same as bytes
//
// Keys, plain texts and a source of random bytes enter. Each purpose has a key of its
// own, by HKDF-SHA256, and each text is bound to its purpose and to whom it belongs:
// for another purpose or owner it does not open. Nothing is compressed: the filter has
// no room for that, and every tier opens what any other sealed.
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is how many bytes a key has.
const KeySize = chacha20poly1305.KeySize

// A Purpose is what a text is sealed for.
type Purpose int

// The purposes that there are.
const (
	Thought    Purpose = iota // of a model, in a reasoning item
	Compaction                // the memory of a conversation, in a compaction item
	Row                       // what a store holds
	purposes
)

// labels part the keys of the purposes. They are in texts that clients keep: none may
// ever change.
var labels = [purposes]string{"antwort thought", "antwort compaction", "antwort row"}

// keyLabel is for the name that a key has in what it seals.
const keyLabel = "antwort key"

const (
	version = 1
	nameEnd = 1 + 4
	head    = nameEnd + chacha20poly1305.NonceSizeX
)

// Overhead is how much longer than a text it is when it is sealed, as bytes.
const Overhead = head + chacha20poly1305.Overhead

// A Sealer seals with its first key and opens with all. It may be used by concurrent
// goroutines.
type Sealer struct {
	keys   []key
	random func([]byte)
}

type key struct {
	name  [nameEnd - 1]byte
	aeads [purposes]cipher.AEAD
}

// New returns a sealer. Each key has KeySize bytes, and there is at least one; random
// fills a slice with random bytes, of which two sealings must never have the same.
func New(keys [][]byte, random func([]byte)) *Sealer {
	s := &Sealer{keys: make([]key, len(keys)), random: random}
	for i, secret := range keys {
		k := &s.keys[i]
		copy(k.name[:], derive(secret, keyLabel, len(k.name)))
		for p, label := range labels {
			aead, err := chacha20poly1305.NewX(derive(secret, label, KeySize))
			if err != nil {
				panic(err) // the key has the right length
			}
			k.aeads[p] = aead
		}
	}
	return s
}

// derive makes a key of another one. What it is for parts it from all others.
func derive(secret []byte, label string, size int) []byte {
	made, err := hkdf.Key(sha256.New, secret, nil, label, size)
	if err != nil {
		panic(err) // only for what is too long
	}
	return made
}

// Append appends plain, sealed for a purpose and bound to what it is given again when
// it is opened.
func (s *Sealer) Append(dst []byte, p Purpose, bound, plain []byte) []byte {
	k, at := &s.keys[0], len(dst)
	dst = append(append(dst, version), k.name[:]...)
	dst = append(dst, make([]byte, head-nameEnd)...)
	nonce := dst[at+nameEnd:]
	s.random(nonce)
	return k.aeads[p].Seal(dst, nonce, plain, about(p, bound))
}

// Open opens what Append has made. It is false for what was changed, sealed for
// something else or bound to something else, or with a key that is not here.
func (s *Sealer) Open(p Purpose, bound, sealed []byte) (plain []byte, ok bool) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, false
	}
	for i := range s.keys {
		if k := &s.keys[i]; string(k.name[:]) == string(sealed[1:nameEnd]) {
			plain, err := k.aeads[p].Open(nil, sealed[nameEnd:head], sealed[head:], about(p, bound))
			if err == nil {
				return plain, true
			}
		}
	}
	return nil, false
}

// about is what goes with a sealed text without being in it.
func about(p Purpose, bound []byte) []byte {
	b := append(make([]byte, 0, 1+len(labels[p])+1+len(bound)), version)
	b = append(append(b, labels[p]...), 0)
	return append(b, bound...)
}

// encoding has one text for each sequence of bytes: a changed letter never means the
// same.
var encoding = base64.RawURLEncoding.Strict()

// AppendText appends plain, sealed for a purpose and an owner, in characters that need
// no escape in JSON.
func (s *Sealer) AppendText(dst []byte, p Purpose, owner [16]byte, plain []byte) []byte {
	return encoding.AppendEncode(dst, s.Append(make([]byte, 0, len(plain)+Overhead), p, owner[:], plain))
}

// OpenText opens what AppendText has made.
func (s *Sealer) OpenText(p Purpose, owner [16]byte, sealed []byte) (plain []byte, ok bool) {
	b, err := encoding.AppendDecode(nil, sealed)
	if err != nil {
		return nil, false
	}
	return s.Open(p, owner[:], b)
}
