package websocket

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func frame(size int, masked bool) []byte {
	b := []byte{0x81}
	bit := byte(0)
	if masked {
		bit = 0x80
	}
	switch {
	case size < 126:
		b = append(b, bit|byte(size))
	case size < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bit|126), uint16(size))
	default:
		b = binary.BigEndian.AppendUint64(append(b, bit|127), uint64(size))
	}
	if masked {
		b = append(b, 1, 2, 3, 4)
	}
	return append(b, bytes.Repeat([]byte{0x88}, size)...)
}

// However the bytes of frames are cut, it is known where one ends.
func TestFramesAreFollowed(t *testing.T) {
	sizes := []int{0, 1, 125, 126, 127, 1000, 65535, 65536, 70000}
	for _, masked := range []bool{false, true} {
		for _, piece := range []int{1, 2, 3, 7, 4096, 1 << 20} {
			var all []byte
			ends := map[int]bool{0: true}
			for _, size := range sizes {
				all = append(all, frame(size, masked)...)
				ends[len(all)] = true
			}
			var f frames
			for at := 0; at < len(all); {
				p := all[at:min(at+piece, len(all))]
				f.follow(&p, false)
				at += len(p)
				require.Equal(t, ends[at], f.between(), "%d bytes a piece, at %d", piece, at)
			}
			for _, at := range []int{0, 1, 5, 130, 2000} { // cut off at the end of a frame
				f = frames{}
				p := all[:at]
				f.follow(&p, false)
				p = all[at:]
				f.follow(&p, true)
				require.True(t, f.between())
				require.True(t, ends[at+len(p)])
			}
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x81\x05hello\x88\x02\x03\xe9"), 3)
	f.Add(frame(200, true), 1)
	f.Fuzz(func(t *testing.T, all []byte, cut int) {
		if cut < 0 || cut > len(all) {
			return
		}
		var whole, pieces frames
		p := all
		whole.follow(&p, false)
		require.Len(t, p, len(all))
		for _, p := range [][]byte{all[:cut], all[cut:]} {
			n := len(p)
			pieces.follow(&p, false)
			require.Len(t, p, n)
		}
		require.Equal(t, whole.between(), pieces.between())
		if p = all; len(all) > 0 {
			var last frames
			one := all[:1]
			last.follow(&one, false)
			p = all[1:]
			if last.follow(&p, true); len(p) < len(all)-1 {
				require.True(t, last.between())
			}
		}
	})
}

// pipes are both ends of a connection.
func pipes(t *testing.T) (near, far net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	far, err = net.Dial("tcp", ln.Addr().String())
	require.NoError(t, err)
	near, err = ln.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// A connection that ends here ends after the frame that is on its way, with a reason.
func TestTunnelEndsBetweenFrames(t *testing.T) {
	for name, said := range map[string][][]byte{
		"silent":                   {nil, nil},
		"after a frame":            {frame(5, false), nil},
		"within a head":            {frame(300, false)[:2], frame(300, false)[2:]},
		"within a frame":           {frame(300, false)[:100], frame(300, false)[100:]},
		"within one, more behind":  {frame(300, false)[:100], append(frame(300, false)[100:], frame(7, false)...)},
		"within one that does not": {frame(300, false)[:100], nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, client := pipes(t)
			toBack, back := pipes(t)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			tun := &tunnel{client: near, back: toBack, left: make(chan struct{}), opt: TunnelOptions{WriteTime: time.Minute, Lifetime: time.Hour, Ending: ctx}}
			go func() {
				tun.run()
				close(done)
			}()
			_, err := back.Write(said[0])
			require.NoError(t, err)
			first := make([]byte, len(said[0]))
			_, err = io.ReadFull(client, first)
			require.NoError(t, err)
			stop()
			require.Eventually(t, tun.ending.Load, time.Minute, time.Millisecond)
			_, err = back.Write(said[1])
			require.NoError(t, err)
			want := append([]byte(nil), goingAway...)
			if len(said[1]) > 0 {
				want = append(append([]byte(nil), said[1][:len(frame(300, false))-len(said[0])]...), goingAway...)
			} else if name == "within one that does not" {
				want = []byte{} // and the client sees that it is cut
			}
			got := make([]byte, len(want))
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			require.Equal(t, want, got)
			_ = client.Close()
			<-done
			require.EqualValues(t, len(first)+max(0, len(want)-len(goingAway)), tun.sent)
			require.Len(t, goingAway, 2+int(goingAway[1]))
		})
	}
}
