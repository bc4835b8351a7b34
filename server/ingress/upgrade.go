package ingress

import (
	"bufio"
	"net"
	"net/http"
)

// Upgrade is the connection of a request that goes on with another protocol. It is
// the ResponseWriter for whoever says so to the client, and takes the connection then
// (http.Hijacker). The door waits for it when it drains, and closes it when it closes:
// Done must be called.
type Upgrade struct {
	http.ResponseWriter
	conn  *Conn
	taken *Taken // nil until the connection is
	door  *Door
}

// Upgrade begins to take the connection of a request over for another protocol. It
// returns nil when that cannot be: of HTTP/1.1 only, and without a body.
func (d *Door) Upgrade(w http.ResponseWriter, r *http.Request) *Upgrade {
	c := of(r)
	if _, ok := w.(http.Hijacker); !ok || c == nil || c.phase != answering || !c.head.http11 || r.ContentLength != 0 {
		return nil
	}
	return &Upgrade{ResponseWriter: w, conn: c, door: d}
}

// What is read and written at once at most; larger messages go around the buffers.
const upgradeBuffer = 1 << 10

// Hijack takes the connection. What the client has sent after its request comes first.
func (u *Upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	taken := &Taken{conn: u.conn, set: &u.door.taken}
	if err := taken.set.take(taken, u.ResponseWriter.(http.Hijacker)); err != nil {
		return nil, nil, err
	}
	u.conn.phase, u.taken = upgraded, taken
	return u.conn, bufio.NewReadWriter(bufio.NewReaderSize(u.conn, upgradeBuffer), bufio.NewWriterSize(u.conn, upgradeBuffer)), nil
}

// Conn is the client's connection.
func (u *Upgrade) Conn() net.Conn { return u.conn }

// Done says that the connection is closed, and that nothing is left to do for it.
func (u *Upgrade) Done() {
	if u.taken != nil {
		u.taken.forget()
		u.taken.Done()
	}
}
