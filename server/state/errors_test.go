package state

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// However many rooms an error passes, it says once that the store is away.
func TestUnavailableIsSaidOnce(t *testing.T) {
	cause := errors.New("no route")
	err := Unavailable(Unavailable(cause))
	require.EqualError(t, err, "the store cannot be reached: no route")
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, err, cause)
}
