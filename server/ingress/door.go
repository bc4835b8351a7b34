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
	taken takenConns
	open  openConns
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

// New makes a door. It is open from the beginning of Serve.
func New(opt Options) *Door {
	d := &Door{opt: opt, open: openConns{none: make(chan struct{}, 1)}, http: &http.Server{
		Handler:           opt.Handler,
		ReadHeaderTimeout: opt.ReadHeaderTimeout,
		IdleTimeout:       opt.IdleTimeout,
		MaxHeaderBytes:    opt.MaxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(opt.Log.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),

		DisableGeneralOptionsHandler: true, // OPTIONS * is a path like others
	}}
	d.http.Protocols.SetHTTP1(true)
	if opt.Certificate != nil {
		d.http.Protocols.SetHTTP2(true)
		d.http.TLSConfig = opt.Certificate.config()
	} else {
		d.http.Protocols.SetUnencryptedHTTP2(true)
	}
	d.hook()
	d.taken.returned, d.taken.idle, d.taken.all, d.taken.open = newReturnedConns(), opt.IdleTimeout, make(map[*Taken]struct{}), &d.open
	return d
}

// Serve receives clients until the listener fails, Drain or Close. It returns why
// it has ended.
func (d *Door) Serve(ln net.Listener) error {
	conns := net.Listener(plainConns{ln})
	if d.opt.Certificate != nil {
		conns = newTLSConns(ln, d.http.TLSConfig, d.opt.ReadHeaderTimeout, d.opt.Log)
	}
	served := make(chan error, 2)
	go func() { served <- d.http.Serve(conns) }()
	go func() { served <- d.http.Serve(d.taken.returned) }()
	return <-served
}

// Part goes on for a while before Drain, in which answers may say that they are their
// connection's last: a connection that is closed without a word may have a request on
// its way, of which its client cannot know whether it was answered. It returns when no
// connection is left, when the time is over, or ctx.
func (d *Door) Part(ctx context.Context, most time.Duration) {
	over := time.NewTimer(most)
	defer over.Stop()
	for d.open.n.Load() > 0 {
		select {
		case <-d.open.none:
		case <-over.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// Drain receives no more clients and waits until all answers have ended, or ctx
// has: then clients are left. Connections without a request are closed at once.
func (d *Door) Drain(ctx context.Context) error {
	d.taken.close()
	err := d.shutdown(ctx)
	done := make(chan struct{})
	go func() { d.taken.answers.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return err
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
	_ = d.http.Close()
	d.taken.close()
	d.taken.abort()
}

// plainConns is a listener of connections in clear.
type plainConns struct{ net.Listener }

func (l plainConns) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: c}, nil
}
