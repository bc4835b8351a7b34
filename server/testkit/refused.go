package testkit

import (
	"net"
	"testing"
)

// An Address is one of the loopback interface that refuses connections. Its port
// belongs to a connection that was bound to it, so that nobody else can have it.
type Address struct {
	held   *net.TCPConn
	others []interface{ Close() error }
}

// Refused reserves an address where nobody listens, until the test's end or until
// Listen. The port of a listener that was closed will not do, for it is anybody's:
// another test may get it, even the one under test for its own listener, or a
// client's own end, which then talks to itself.
func Refused(t testing.TB) *Address {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bound := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}}
	held, err := bound.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a := &Address{held.(*net.TCPConn), []interface{ Close() error }{peer, ln}}
	t.Cleanup(a.release)
	return a
}

// String is host and port.
func (a *Address) String() string { return a.held.LocalAddr().String() }

// Listen ends the refusing: connections are the listener's.
func (a *Address) Listen() (net.Listener, error) {
	a.release()
	return net.Listen("tcp", a.String())
}

// release leaves nothing of the connection behind, which would keep the port.
func (a *Address) release() {
	_ = a.held.SetLinger(0)
	_ = a.held.Close()
	for _, other := range a.others {
		_ = other.Close()
	}
}
