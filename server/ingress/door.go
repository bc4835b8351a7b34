// Package ingress is where clients' connections come in. It turns them into
// requests for one handler: it shakes hands, sees the bytes of each header before
// net/http tidies them up, gives net/http's own refusals the body of all errors,
// notices that a client leaves, and lets a streamed answer have its connection to
// itself.
//
//	listener ─ TLS ─ Conn ─ net/http ─ handler ─┬─ ResponseWriter
//	                  ▲                         └─ Taken ─ Sink
//	                  └───── after the answer ───────┘
//
// Connections and settings enter; requests go to the handler, answers come back
// through its writer or a Sink. It knows nothing of what requests mean.
package ingress

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Options say how a Door receives clients.
type Options struct {
	Handler           http.Handler // of every request; it calls Begin first
	ReadHeaderTimeout time.Duration
	IdleTimeout       time.Duration // between requests
	MaxHeaderBytes    int
	Certificate       *Certificate // nil: HTTP in clear
	Log               *slog.Logger
}

// Door receives the clients of one listener.
type Door struct {
	opt   Options
	http  *http.Server
	again *http.Server // of connections that net/http has had before; it outlives http
	taken takenConns
	open  openConns // all
	asked openConns // those of http that have, or wait for, a request that no handler has
	late  lateConns
	queue atomic.Pointer[queue] // nil until Serve; those behind it have the handshake to do
}

// openConns counts the connections that are open, taken ones too.
type openConns struct {
	n    atomic.Int64
	none chan struct{} // has one when there were none for a moment
}

func (o *openConns) add() { o.n.Add(1) }

func (o *openConns) remove() {
	if o.n.Add(-1) == 0 {
		select {
		case o.none <- struct{}{}:
		default:
		}
	}
}

// wait returns nil when no connection is open, else ctx's error.
func (o *openConns) wait(ctx context.Context) error {
	for o.n.Load() > 0 {
		select {
		case <-o.none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// New makes a door. It is open from the beginning of Serve.
func New(opt Options) *Door {
	d := &Door{opt: opt}
	d.open.none, d.asked.none = make(chan struct{}, 1), make(chan struct{}, 1)
	d.http, d.again = d.server(), d.server()
	if opt.Certificate != nil {
		d.http.Protocols.SetHTTP2(true)
		d.http.TLSConfig = opt.Certificate.config()
	} else {
		d.http.Protocols.SetUnencryptedHTTP2(true)
	}
	d.taken.returned, d.taken.idle, d.taken.all, d.taken.open = newReturnedConns(), opt.IdleTimeout, make(map[*Taken]struct{}), &d.open
	return d
}

// server is net/http's part of a door, of HTTP/1.1.
func (d *Door) server() *http.Server {
	s := &http.Server{
		Handler:           d.opt.Handler,
		ReadHeaderTimeout: d.opt.ReadHeaderTimeout,
		IdleTimeout:       d.opt.IdleTimeout,
		MaxHeaderBytes:    d.opt.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(d.opt.Log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // OPTIONS * is a path like others
	}
	s.Protocols.SetHTTP1(true)
	d.hook(s)
	return s
}

// Serve receives clients until the listener fails, Drain or Close. It returns why
// it has ended.
func (d *Door) Serve(ln net.Listener) error {
	queue := newQueue(ln)
	d.queue.Store(queue)
	conns := net.Listener(plainConns{queue, d})
	if d.opt.Certificate != nil {
		conns = newTLSConns(queue, d)
	}
	served := make(chan error, 2)
	go func() { served <- d.http.Serve(conns) }()
	go func() { served <- d.again.Serve(d.taken.returned) }()
	return <-served
}

// Part goes on for a while before Drain, in which answers may say that they are their
// connection's last: a connection that is closed without a word may have a request on
// its way, of which its client cannot know whether it was answered. It returns when no
// connection is left, when the time is over, or ctx.
func (d *Door) Part(ctx context.Context, most time.Duration) {
	limit, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_ = d.open.wait(limit)
}

// looking is for how long at most a door that drains looks for what has come.
const looking = time.Second

// Drain receives no more clients and waits until all answers have ended, or ctx
// has: then clients are left. Connections without a request are closed at once; one
// that has come is answered, though nobody had read it.
func (d *Door) Drain(ctx context.Context) error {
	d.late.parting.Store(true)
	defer d.late.parting.Store(false)
	d.look(ctx)
	if err := d.shutdown(ctx); err != nil {
		return err
	}
	if err := await(ctx, &d.taken.answers); err != nil {
		return err
	}
	return d.open.wait(ctx)
}

// await waits for a group. It returns ctx's error when that ends before.
func await(ctx context.Context, group *sync.WaitGroup) error {
	done := make(chan struct{})
	go func() { group.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// look has the requests that have come get to the handler. net/http's Shutdown would
// close their connections.
func (d *Door) look(ctx context.Context) {
	look, cancel := context.WithTimeout(ctx, looking)
	defer cancel()
	if q := d.queue.Load(); q != nil {
		q.finish(look)
		_ = await(look, &q.shaking)
	}
	d.http.SetKeepAlivesEnabled(false)
	d.again.SetKeepAlivesEnabled(false)
	d.taken.part()
	if d.asked.wait(look) != nil { // who has sent half a request is not waited for
		d.late.parting.Store(false)
	} // else an answer may end, of which the client has all, and has sent the next request
}

// shutdown is http.Server.Shutdown, said again each second: net/http tells the
// connections of HTTP/2 once, and would wait in vain for one that began at that
// moment.
func (d *Door) shutdown(ctx context.Context) error {
	for {
		round, cancel := context.WithTimeout(ctx, time.Second)
		err := d.http.Shutdown(round)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// Close closes every connection.
func (d *Door) Close() {
	d.taken.abort()
	d.late.close()
	_ = d.http.Close()
	_ = d.again.Close()
}

// plainConns is a listener of connections in clear.
type plainConns struct {
	net.Listener
	door *Door
}

func (l plainConns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c, door: l.door}, nil
}
