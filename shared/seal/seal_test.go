package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	oldKey, newKey = bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, KeySize)
	alice, bob     = [16]byte{1}, [16]byte{2}
)

func random(b []byte) { _, _ = rand.Read(b) }

func sealer(keys ...[]byte) *Sealer { return New(keys, random) }

func TestWhatIsSealedIsOpened(t *testing.T) {
	s := sealer(newKey)
	for p := range purposes {
		for _, text := range []string{"", "Hm.", "é😀\n\"\\\x00", string(make([]byte, 1<<20))} {
			sealed := s.AppendText([]byte("x"), p, alice, []byte(text))
			require.Equal(t, "x", string(sealed[:1]))
			got, ok := sealer(newKey).OpenText(p, alice, sealed[1:])
			require.True(t, ok, "another process with the key opens it")
			require.Equal(t, text, string(got))
			if text != "" {
				require.NotContains(t, string(sealed), base64.RawURLEncoding.EncodeToString([]byte(text)))
			}
		}
	}
}

func TestBytesAreBoundToWhatTheyAreGiven(t *testing.T) {
	s := sealer(newKey)
	sealed := s.Append([]byte("x"), Row, []byte("resp_1 input"), []byte("text"))[1:]
	require.Len(t, sealed, len("text")+Overhead)
	plain, ok := s.Open(Row, []byte("resp_1 input"), sealed)
	require.True(t, ok)
	require.Equal(t, "text", string(plain))
	for _, bound := range []string{"", "resp_2 input", "resp_1 output", "resp_1 input "} {
		_, ok = s.Open(Row, []byte(bound), sealed)
		require.False(t, ok, bound)
	}
}

func TestOnlyItsOwnerAndPurposeOpenIt(t *testing.T) {
	s := sealer(newKey)
	sealed := s.AppendText(nil, Thought, alice, []byte("Hm."))
	for name, open := range map[string]func() ([]byte, bool){
		"another owner":   func() ([]byte, bool) { return s.OpenText(Thought, bob, sealed) },
		"another purpose": func() ([]byte, bool) { return s.OpenText(Compaction, alice, sealed) },
		"another key":     func() ([]byte, bool) { return sealer(oldKey).OpenText(Thought, alice, sealed) },
		"no key":          func() ([]byte, bool) { return sealer().OpenText(Thought, alice, sealed) },
	} {
		plain, ok := open()
		assert.False(t, ok, name)
		assert.Nil(t, plain, name)
	}
}

// A key is added behind the first everywhere, then made the first, then the old one
// is removed: at no time there is a tier that cannot open what another sealed.
func TestKeysAreRotated(t *testing.T) {
	steps := []*Sealer{sealer(oldKey), sealer(oldKey, newKey), sealer(newKey, oldKey), sealer(newKey)}
	for i, from := range steps {
		sealed := from.AppendText(nil, Thought, alice, []byte("Hm."))
		for j := max(0, i-1); j <= min(len(steps)-1, i+1); j++ {
			_, ok := steps[j].OpenText(Thought, alice, sealed)
			assert.True(t, ok, "sealed at step %d, opened at step %d", i, j)
		}
	}
	_, ok := steps[3].OpenText(Thought, alice, steps[0].AppendText(nil, Thought, alice, []byte("Hm.")))
	assert.False(t, ok, "with a key that is gone")
}

func TestEveryChangedLetterIsNoticed(t *testing.T) {
	s := sealer(newKey)
	for _, text := range []string{"They want", "They want ", "They want t"} { // every number of bytes in the last letters
		whole := s.AppendText(nil, Thought, alice, []byte(text))
		for i := range whole {
			for _, letter := range []byte("AQgwz_\n= ") {
				changed := bytes.Clone(whole)
				if changed[i] == letter {
					continue
				}
				changed[i] = letter
				_, ok := s.OpenText(Thought, alice, changed)
				require.False(t, ok, "letter %d as %q", i, letter)
			}
			_, ok := s.OpenText(Thought, alice, whole[:i])
			require.False(t, ok, "cut at %d", i)
		}
		_, ok := s.OpenText(Thought, alice, append(whole, 'A'))
		require.False(t, ok, "with something behind")
	}
}

// The form is what clients keep for years: it does not change.
func TestTheForm(t *testing.T) {
	s := New([][]byte{oldKey}, func(nonce []byte) { copy(nonce, "nonce of 24 bytes, fixed") })
	require.Equal(t, form, string(s.AppendText(nil, Thought, alice, []byte("Hm."))))
	require.NotEqual(t, form, string(sealer(oldKey).AppendText(nil, Thought, alice, []byte("Hm."))), "with another nonce")
	plain, ok := sealer(oldKey).OpenText(Thought, alice, []byte(form))
	require.True(t, ok)
	require.Equal(t, "Hm.", string(plain))
}

func FuzzOpenText(f *testing.F) {
	s := sealer(newKey, oldKey)
	f.Add([]byte(""), []byte("Hm."))
	f.Add([]byte(form), []byte("\x00"))
	f.Add(s.AppendText(nil, Compaction, alice, []byte("Hm.")), []byte("é"))
	f.Fuzz(func(t *testing.T, sealed, text []byte) {
		if _, ok := s.OpenText(Thought, bob, sealed); ok {
			t.Fatalf("%q was sealed by nobody", sealed)
		}
		plain, ok := s.OpenText(Thought, alice, s.AppendText(nil, Thought, alice, text))
		require.True(t, ok)
		require.Equal(t, string(text), string(plain))
	})
}

func BenchmarkSealer(b *testing.B) {
	s, text := sealer(newKey), bytes.Repeat([]byte("A thought. "), 3500/11)
	sealed := s.AppendText(nil, Thought, alice, text)
	b.Run("seal", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			sealed = s.AppendText(sealed[:0], Thought, alice, text)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, ok := s.OpenText(Thought, alice, sealed); !ok {
				b.Fatal("not opened")
			}
		}
	})
}

// form is a thought as it is sealed with fixed key and nonce.
const form = "AQpt9D9ub25jZSBvZiAyNCBieXRlcywgZml4ZWSOjFiQODnlhhYke3o5kTsZOhFb"
