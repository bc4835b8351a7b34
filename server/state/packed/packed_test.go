package packed

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTextsComeBack(t *testing.T) {
	noise := make([]byte, 5000)
	_, _ = rand.Read(noise)
	for name, c := range map[string]struct {
		text  []byte
		first byte
	}{
		"empty":        {[]byte{}, plain},
		"short":        {bytes.Repeat([]byte("a"), least-1), plain},
		"long":         {bytes.Repeat([]byte("a"), least), compressed},
		"large":        {bytes.Repeat([]byte("and so on"), 1<<20), compressed},
		"incompressed": {noise, plain},
	} {
		packed := Pack(c.text)
		assert.Equal(t, c.first, packed[0], name)
		size, err := Size(packed)
		require.NoError(t, err, name)
		assert.Equal(t, len(c.text), size, name)
		got, err := Unpack(packed)
		require.NoError(t, err, name)
		assert.Equal(t, c.text, got, name)
		assert.LessOrEqual(t, len(packed), 1+len(c.text), name)
	}
}

func TestBrokenBlobsAreRefused(t *testing.T) {
	whole := Pack(bytes.Repeat([]byte("a"), 5000))
	for name, packed := range map[string][]byte{"nothing": nil, "sealed": {2, 1}, "no frame": {1, 2, 3}, "half a frame": whole[:len(whole)-3]} {
		_, err := Unpack(packed)
		assert.ErrorIs(t, err, ErrBroken, name)
	}
}
