package packed

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"testing"

	"antwort/server/state"
	"antwort/shared/seal"

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
		packed := new(Packer).Pack(Place{}, c.text)
		assert.Equal(t, c.first, packed[0], name)
		size, err := Opened(packed).Size()
		require.NoError(t, err, name)
		assert.Equal(t, len(c.text), size, name)
		got, err := new(Packer).Unpack(Place{}, packed)
		require.NoError(t, err, name)
		assert.Equal(t, c.text, got, name)
		assert.LessOrEqual(t, len(packed), 1+len(c.text), name)
	}
}

// The texts of a chain share memory, and nobody who has one can tell.
func TestTurnsAreTheCallersOwn(t *testing.T) {
	var memory Memory
	var turns []state.Turn
	var want []string
	p, room := new(Packer), func(int) error { return nil }
	for i := range 60 {
		text := bytes.Repeat([]byte{byte(i)}, i*i*i%(2*mostPiece)) // short and long, compressed and not
		input, output := p.Pack(Place{}, text), p.Pack(Place{}, append(text, '.'))
		var turn state.Turn
		require.NoError(t, p.UnpackTurn(room, &memory, state.Owner{}, &turn, input, output))
		clear(input)
		clear(output)
		turns, want = append(turns, turn), append(want, string(text))
	}
	for i := range turns {
		_, _ = append(turns[i].Input, "overwritten"...), append(turns[i].Output, "overwritten"...)
	}
	for i := range turns {
		assert.Equal(t, want[i], string(turns[i].Input), i)
		assert.Equal(t, want[i]+".", string(turns[i].Output), i)
	}
}

func TestBrokenBlobsAreRefused(t *testing.T) {
	whole := new(Packer).Pack(Place{}, bytes.Repeat([]byte("a"), 5000))
	for name, packed := range map[string][]byte{"nothing": nil, "sealed": {2, 1}, "of a later antwort": {4, 1}, "no block": {3, 0xff}, "no frame": {1, 2, 3}, "half a frame": whole[:len(whole)-3]} {
		_, err := new(Packer).Unpack(Place{}, packed)
		assert.ErrorIs(t, err, state.ErrUnreadable, name)
	}
}

// Databases that were written before have texts in zstd.
func TestTextsInZstandardAreRead(t *testing.T) {
	packed, err := hex.DecodeString("0128b52ffd6098079d000058616e6420736f206f6e2c2001540b032f8a70")
	require.NoError(t, err)
	size, err := Opened(packed).Size()
	require.NoError(t, err)
	require.Equal(t, 2200, size)
	text, err := new(Packer).Unpack(Place{}, packed)
	require.NoError(t, err)
	require.Equal(t, bytes.Repeat([]byte("and so on, "), 200), text)
	for cut := range packed {
		_, err := new(Packer).Unpack(Place{}, packed[:cut])
		require.ErrorIs(t, err, state.ErrUnreadable)
	}
}

func TestTextsAreSealedForTheirPlace(t *testing.T) {
	key := bytes.Repeat([]byte{1}, seal.KeySize)
	keys := seal.New([][]byte{key}, func(b []byte) { _, _ = rand.Read(b) })
	p, off, none := new(Packer), new(Packer), new(Packer)
	p.Use(keys, true)
	off.Use(keys, false)
	none.Use(nil, true)
	at := Place{Owner: state.Owner{1}, ID: "a", Column: Item, Part: "b"}
	for name, text := range map[string][]byte{"empty": {}, "short": []byte("Hm."), "compressed": bytes.Repeat([]byte("Hm. "), 1000)} {
		packed := p.Pack(at, text)
		assert.EqualValues(t, sealed, packed[0], name)
		assert.NotContains(t, string(packed), "Hm", name)
		for _, opener := range []*Packer{p, off} {
			got, err := opener.Unpack(at, packed)
			require.NoError(t, err, name)
			assert.Equal(t, string(text), string(got), name)
		}
		for what, other := range map[string]Place{
			"owner": {Owner: state.Owner{2}, ID: "a", Column: Item, Part: "b"}, "id": {Owner: state.Owner{1}, ID: "b", Column: Item, Part: "b"},
			"column": {Owner: state.Owner{1}, ID: "a", Column: Input, Part: "b"}, "part": {Owner: state.Owner{1}, ID: "a", Column: Item},
		} {
			_, err := p.Unpack(other, packed)
			assert.ErrorIs(t, err, state.ErrUnreadable, "%s: another %s", name, what)
		}
		_, err := none.Unpack(at, packed)
		assert.ErrorIs(t, err, state.ErrUnreadable, name)
		assert.Equal(t, none.Pack(at, text), off.Pack(at, text), name)
	}
}

// The form and what it is bound to are in databases: neither changes.
func TestTheFormOfSealedRows(t *testing.T) {
	p := new(Packer)
	p.Use(seal.New([][]byte{bytes.Repeat([]byte{1}, seal.KeySize)}, func(nonce []byte) { copy(nonce, "nonce of 24 bytes, fixed") }), true)
	at := Place{Owner: state.Owner{1}, ID: "a", Column: Item, Part: "b"}
	assert.Equal(t, form, hex.EncodeToString(p.Pack(at, []byte("Hm."))))
	assert.Equal(t, "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00events\x00a\x007", string(bound(EventsAt(state.Owner{1}, "a", 7))))
	for column, name := range map[Column]string{Input: "input", Output: "output", Shell: "shell", Request: "request", Events: "events", Metadata: "metadata", Item: "item"} {
		assert.Equal(t, name, string(column))
	}
}

func bound(at Place) []byte { return at.bound() }

const form = "02010a6df43f6e6f6e6365206f662032342062797465732c20666978656482f269822b123ee9d473b37b0960deb5aa2a6703"
