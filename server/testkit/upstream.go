// Package testkit has what tests of several packages put in the place of a
// backend: upstreams that write what they like, and addresses that refuse
// connections. Only tests import it.
package testkit

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// Serve gives each connection of a listener to handle, on a goroutine of its
// own, and closes it afterwards. The listener is closed at the test's end.
func Serve(t testing.TB, ln net.Listener, handle func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				handle(conn)
			}()
		}
	}()
}

// Connections starts an upstream that leaves each connection to handle, and
// gives its base URL.
func Connections(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	Serve(t, ln, handle)
	return "http://" + ln.Addr().String()
}

// Requests starts an upstream that reads the header of a connection's first
// request, leaves everything else to handle, and gives its base URL. The reader
// has what came behind the header, and is what the request's body reads.
func Requests(t testing.TB, handle func(net.Conn, *bufio.Reader, *http.Request)) string {
	t.Helper()
	return Connections(t, func(conn net.Conn) {
		r := bufio.NewReaderSize(conn, 512)
		if req, err := http.ReadRequest(r); err == nil {
			handle(conn, r, req)
		}
	})
}

// Answers starts an upstream that answers each request of a connection with the
// next of these texts, and closes it after the last, and gives its base URL.
func Answers(t testing.TB, answers ...string) string {
	t.Helper()
	return Connections(t, func(conn net.Conn) {
		r := bufio.NewReader(conn)
		for _, answer := range answers {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, req.Body) // what does not come whole
			_, _ = io.WriteString(conn, answer)  // or cannot be sent, the client knows of
		}
	})
}
