package testkit

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddress(t *testing.T) {
	a := Refused(t)
	for range 100 { // more would not make another port likelier
		_, err := net.Dial("tcp", a.String())
		require.Error(t, err, "somebody listens at %s", a)
	}
	_, err := net.Listen("tcp", a.String())
	require.Error(t, err, "%s is anybody's", a)

	ln, err := a.Listen()
	require.NoError(t, err)
	defer ln.Close()
	conn, err := net.Dial("tcp", a.String())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}
