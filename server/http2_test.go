package server

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// Frames of HTTP/2 (RFC 9113 section 6) as a client writes them that keeps to no
// limit; those of libraries do.

const (
	dataFrame, headersFrame, resetFrame, settingsFrame, goAwayFrame, continuationFrame = 0x0, 0x1, 0x3, 0x4, 0x7, 0x9

	endStream, endHeaders = 0x1, 0x4

	noError, protocolError, compressionError = 0x0, 0x1, 0x9
)

func frame(kind, flags byte, stream uint32, payload string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = binary.BigEndian.AppendUint32(append(b, flags), stream)
	return string(b) + payload
}

// field is one of a header, without indexing (RFC 7541 section 6.2.2).
func field(name, value string) string { return "\x00" + hpackText(name) + hpackText(value) }

func hpackText(s string) string {
	if len(s) < 127 {
		return string(rune(len(s))) + s
	}
	return "\x7f" + string(binary.AppendUvarint(nil, uint64(len(s)-127))) + s
}

// greeting begins a connection.
const greeting = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

func requestFields(method, path string) string {
	return field(":method", method) + field(":scheme", "https") + field(":authority", "x") + field(":path", path)
}

type http2Client struct{ *rawClient }

// frame is the next one from the server. Settings and windows are not told.
func (c http2Client) frame() (kind byte, stream uint32, payload string, err error) {
	for {
		var head [9]byte
		if _, err := io.ReadFull(c.r, head[:]); err != nil {
			return 0, 0, "", err
		}
		body := make([]byte, int(binary.BigEndian.Uint32(head[:4])>>8))
		if _, err := io.ReadFull(c.r, body); err != nil {
			return 0, 0, "", err
		}
		switch kind = head[3]; kind {
		case dataFrame, headersFrame, resetFrame, goAwayFrame:
			return kind, binary.BigEndian.Uint32(head[5:]), string(body), nil
		}
	}
}

// goneAway reads to the connection's end: what came as headers, and the code that
// it was ended with.
func (c http2Client) goneAway() (headers string, code uint32) {
	code = 1 << 31
	for {
		kind, _, payload, err := c.frame()
		switch {
		case err != nil:
			return headers, code
		case kind == headersFrame:
			headers += payload
		case kind == goAwayFrame:
			code = binary.BigEndian.Uint32([]byte(payload)[4:])
		}
	}
}

// overFrames dials a server in clear and one with TLS.
func overFrames(t *testing.T, provider config.Provider, backend string, edit func(*config.Config)) map[string]func() http2Client {
	c := newCertified(t, "antwort")
	plain, secure := start(t, provider, backend, edit), c.start(t, provider, backend, edit)
	ready(t, plain)
	ready(t, secure)
	return map[string]func() http2Client{
		"plain": func() http2Client { return http2Client{dial(t, plain)} },
		"TLS": func() http2Client {
			conn, err := tls.Dial("tcp", secure.addr, &tls.Config{RootCAs: c.roots(t), NextProtos: []string{"h2"}})
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			require.NoError(t, conn.SetDeadline(time.Now().Add(guard)))
			return http2Client{&rawClient{t, net.Conn(conn), bufio.NewReader(conn)}}
		},
	}
}

// A header over the limit is refused before anybody reads it: its stream ends
// with 431, or the connection, depending on how far over it is.
func TestHeadersOfHTTP2ThatAreTooLong(t *testing.T) {
	t.Parallel()
	up := &targets{}
	dials := overFrames(t, config.VLLMResponses, upstreamOf(t, up), func(c *config.Config) { c.Server.MaxHeaderBytes = 8 << 10 })
	some := field("x", strings.Repeat("y", 1000))
	get := requestFields("GET", "/v1/models")
	dialed := map[string]http2Client{} // all at first: net/http closes a second after its last word
	cases := map[string]struct {
		wire string
		more string // is sent until the connection ends
		code uint32 // that it ends with
		only bool   // the stream ends, not the connection
	}{
		"a little":            {wire: frame(headersFrame, endStream|endHeaders, 1, get+strings.Repeat(some, 10)), only: true},
		"a little, in pieces": {wire: frame(headersFrame, endStream, 1, get+strings.Repeat(some, 5)) + frame(continuationFrame, endHeaders, 1, strings.Repeat(some, 4)), only: true},
		"far":                 {wire: frame(headersFrame, endStream|endHeaders, 1, get+strings.Repeat(some, 40)), code: protocolError},
		"one field":           {wire: frame(headersFrame, endStream|endHeaders, 1, get+field("x", strings.Repeat("y", 12<<10))), code: compressionError},
		"a name":              {wire: frame(headersFrame, endStream|endHeaders, 1, get+field(strings.Repeat("y", 12<<10), "x")), code: compressionError},
		"without an end":      {wire: frame(headersFrame, endStream, 1, get), more: frame(continuationFrame, 0, 1, some), code: protocolError},
		"of empty fields":     {wire: frame(headersFrame, endStream, 1, get), more: frame(continuationFrame, 0, 1, strings.Repeat(field("x", ""), 100)), code: protocolError},
	}
	for name, test := range cases {
		for kind, connect := range dials {
			conn := connect()
			conn.send(greeting + test.wire)
			go conn.keepSending(test.more, time.Microsecond)
			dialed[name+"/"+kind] = conn
		}
	}
	for name, conn := range dialed {
		t.Run(name, func(t *testing.T) {
			test := cases[name[:strings.LastIndexByte(name, '/')]]
			if !test.only {
				headers, code := conn.goneAway()
				require.Equal(t, test.code, code)
				require.Empty(t, headers)
				return
			}
			kind, stream, payload, err := conn.frame()
			require.NoError(t, err)
			require.Equal(t, []any{byte(headersFrame), uint32(1)}, []any{kind, stream})
			require.Contains(t, payload, "431")
			conn.send(frame(headersFrame, endStream|endHeaders, 3, requestFields("GET", "/healthz")))
			for stream != 3 {
				kind, stream, payload, err = conn.frame()
				require.NoError(t, err)
			}
			require.Equal(t, byte(headersFrame), kind)
			require.Equal(t, "\x88", payload[:1], "the connection does not go on: :status 200 is field 8 of the static table")
		})
	}
	require.Empty(t, up.take(), "a header over the limit reached the backend")
}

// Who sends slowly is let go over HTTP/2 too. A connection whose header does not
// come has no request: it is idle.
func TestSlowClientsOfHTTP2(t *testing.T) {
	t.Parallel()
	dials := overFrames(t, config.VLLM, upstreamOf(t, &targets{}), slowness)
	post := requestFields("POST", "/v1/responses") + field("content-type", "application/json")
	dialed := map[string]http2Client{}
	cases := map[string]struct {
		begin, drip string
		status      string // that the request is answered with; "": it is not
	}{
		"a header":       {frame(headersFrame, endStream, 1, requestFields("GET", "/healthz")), frame(continuationFrame, 0, 1, field("x", "y")), ""},
		"a frame":        {frame(headersFrame, endStream, 1, strings.Repeat("\x00", 1000))[:9], "\x00", ""},
		"the next frame": {"", frame(settingsFrame, 0, 0, ""), ""},
		"a body":         {frame(headersFrame, endHeaders, 1, post), frame(dataFrame, 0, 1, " "), "408"},
		"trailers":       {frame(headersFrame, endHeaders, 1, post) + frame(headersFrame, endStream, 1, ""), frame(continuationFrame, 0, 1, field("x", "y")), "408"},
	}
	for name, test := range cases {
		for kind, connect := range dials {
			conn := connect()
			conn.send(greeting + test.begin)
			go conn.keepSending(test.drip, 20*time.Millisecond)
			dialed[name+"/"+kind] = conn
		}
	}
	for name, conn := range dialed {
		t.Run(name, func(t *testing.T) {
			headers, code := conn.goneAway()
			require.Equal(t, uint32(noError), code)
			if test := cases[name[:strings.LastIndexByte(name, '/')]]; test.status == "" {
				require.Empty(t, headers)
			} else {
				require.Contains(t, headers, test.status)
			}
		})
	}
}
