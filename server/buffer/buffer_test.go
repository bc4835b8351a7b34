package buffer

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestReadAll(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		r    io.Reader
		want string
		err  error
	}{
		"all":             {strings.NewReader("12345"), "12345", nil},
		"byte by byte":    {iotest.OneByteReader(strings.NewReader("12345")), "12345", nil},
		"over the limit":  {strings.NewReader("123456"), "", ErrTooLarge},
		"it breaks":       {io.MultiReader(strings.NewReader("1"), iotest.ErrReader(broken)), "1", broken},
		"nothing to read": {strings.NewReader(""), "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := Get()
			defer b.Put()
			err := b.ReadAll(c.r, 5)
			require.ErrorIs(t, err, c.err)
			if !errors.Is(err, ErrTooLarge) {
				require.Equal(t, c.want, string(b.B))
			}
		})
	}
}

// account is a meter with so many bytes.
type account struct{ left int }

func (a *account) Hold(n int) bool {
	if n > a.left {
		return false
	}
	a.left -= n
	return true
}

func (a *account) LetGo(n int) { a.left += n }

// A buffer takes no memory that its meter does not have, and gives all back.
func TestAMeteredBufferIsAccountedFor(t *testing.T) {
	const all = 100 << 10
	a := &account{left: all}
	b := Metered(a)
	require.True(t, b.Grow(20<<10))
	require.LessOrEqual(t, a.left, all-20<<10)
	require.False(t, b.Grow(all))
	require.NotPanics(t, func() { b.B = append(b.B, 1) })
	b.Put()
	require.Equal(t, all, a.left)
	var none *Buffer
	none.Put()
}
