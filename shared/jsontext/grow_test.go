package jsontext_test

import (
	"testing"

	"antwort/shared/jsontext"

	"github.com/stretchr/testify/require"
)

func TestGrowMakesJustTheRoom(t *testing.T) {
	for _, text := range []string{"", "a", "some text"} {
		for _, n := range []int{0, 1, 7, 100, 1 << 20} {
			was := append([]byte(nil), text...)
			b := jsontext.Grow(was, n)
			require.Equal(t, text, string(b))
			if n <= cap(was)-len(was) {
				require.Equal(t, cap(was), cap(b))
				continue
			}
			require.Equal(t, len(text)+n, cap(b))
			for range n {
				b = append(b, 'x')
			}
			require.Equal(t, text, string(b[:len(text)]))
			require.Equal(t, len(text)+n, cap(b), "it has not grown again")
		}
	}
	require.Equal(t, 1.0, testing.AllocsPerRun(10, func() { jsontext.Grow(nil, 1<<20) }))
}

func TestGrowTwiceMakesRoomForMore(t *testing.T) {
	b := append(make([]byte, 0, 8), "12345678"...)
	require.Equal(t, 8, cap(jsontext.GrowTwice(b[:4], 4)))
	for n, room := range map[int]int{1: 16, 8: 16, 100: 114} {
		grown := jsontext.GrowTwice(b, n)
		require.Equal(t, "12345678", string(grown))
		require.Equal(t, room, cap(grown))
	}
}
