package policy

import (
	"strings"
	"testing"

	"antwort/shared/config"
	"antwort/shared/seal"

	"github.com/stretchr/testify/require"
)

func TestASealerHasTheKeysOfItsConfiguration(t *testing.T) {
	c := config.Default()
	random := func(b []byte) { clear(b) }
	require.Nil(t, Sealer(c, random), "without keys nothing is sealed")
	one, two := strings.Repeat("1", seal.KeySize), strings.Repeat("2", seal.KeySize)
	c.State.Keys = []config.SealingKey{{ID: "one", Key: config.NewSecret(one)}, {ID: "two", Key: config.NewSecret(two)}}
	owner := Owner(c, nil)
	sealed := Sealer(c, random).AppendText(nil, seal.Thought, owner, []byte("Hm."))
	plain, ok := seal.New([][]byte{[]byte(one)}, random).OpenText(seal.Thought, owner, sealed)
	require.True(t, ok, "the first seals")
	require.Equal(t, "Hm.", string(plain))
	_, ok = Sealer(c, random).OpenText(seal.Thought, owner, seal.New([][]byte{[]byte(two)}, random).AppendText(nil, seal.Thought, owner, nil))
	require.True(t, ok, "all open")
}
