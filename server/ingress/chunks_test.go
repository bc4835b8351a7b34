package ingress

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// Where a chunked body ends, net/http and chunks say alike, in whatever pieces it
// comes. What only net/http takes for one is broken here: it is then the
// connection's last.
func FuzzChunks(f *testing.F) {
	for _, wire := range []string{
		"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\nGET", "3;a=b\r\nabc\r\n0\r\nX: y\r\nZ: a\r\n\r\nGET", "A\r\n0123456789\r\n00\r\n\r\n", "1 \r\na\r\n0\r\n\r\n",
		"3\nabc\r\n0\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "\r\n0\r\n\r\n", "0\r\nX: y\n\n\r\n\r\n", "0\r\nX\r\n\r\n", "ffffffffffffffff\r\n", "3\r\nabc\r\n",
	} {
		f.Add([]byte(wire), 1)
		f.Add([]byte(wire), 4)
	}
	head := []byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		source := bytes.NewReader(append(bytes.Clone(head), wire...))
		buffered := bufio.NewReader(source)
		r, err := http.ReadRequest(buffered)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r.Body)
		theirs := len(wire) - buffered.Buffered() - source.Len()

		var ours chunks
		n, whole := 0, false
		for n < len(wire) && !whole && ours.state != chunksBroken {
			piece := wire[n:]
			if cut > 0 {
				piece = piece[:min(cut, len(piece))]
			}
			var m int
			m, whole = ours.read(piece)
			n += m
		}
		switch {
		case whole && err == nil:
			require.Equal(t, theirs, n)
		case err == nil:
			require.Equal(t, chunksBroken, ours.state, "net/http has seen the end")
		}
	})
}
