package ingress

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever net/http takes for a request: with two lengths it is ambiguous, and
// what is not ambiguous both read alike, in whatever pieces it comes.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), 3)
	f.Add([]byte("GET /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 1)
	f.Add([]byte("GET / HTTP/1.1\nHost: x\n\n"), 7)
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n"), 30)
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"), 48)
	f.Fuzz(func(t *testing.T, wire []byte, cut int) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil || r.ProtoMajor != 1 {
			return
		}
		var h, pieces header
		n, whole := h.read(wire)
		problem := h.differs(r)
		at := 0
		for at < len(wire) && cut > 0 {
			piece := wire[at:min(len(wire), at+cut)]
			m, ended := pieces.read(piece)
			at += m
			if ended {
				require.Equal(t, [2]any{n, whole}, [2]any{at, true})
				require.Equal(t, problem, pieces.differs(r))
				break
			}
			require.Equal(t, len(piece), m)
		}
		lines := strings.Split(strings.ToLower(string(wire[:n])), "\r\n")
		has := func(name string) bool {
			return slices.ContainsFunc(lines[1:], func(line string) bool { return strings.HasPrefix(line, name+":") })
		}
		if has("content-length") && has("transfer-encoding") {
			require.NotEmpty(t, problem)
		}
		if problem == "" {
			require.True(t, whole)
			require.False(t, slices.ContainsFunc(lines, func(line string) bool { return strings.Contains(line, "\n") || strings.HasPrefix(line, " ") }))
			require.False(t, has("transfer-encoding") && !r.ProtoAtLeast(1, 1))
		}
	})
}

func BenchmarkHeader(b *testing.B) {
	wire := []byte("POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + strings.Repeat("k", 600) + "\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.0\r\n" +
		strings.Repeat("X-Stainless-Lang: python\r\n", 8) + "Content-Length: 26\r\n\r\n" + `{"model":"m","input":"hi"}`)
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		var h header
		h.read(wire)
		if problem := h.differs(r); problem != "" {
			b.Fatal(problem)
		}
	}
}
