package websocket

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/ingress"
)

// TunnelOptions are what a connection needs that is passed on.
type TunnelOptions struct {
	WriteTime time.Duration   // for what one side does not take
	Lifetime  time.Duration   // until the end of the connection, or of the caller's credential
	Ending    context.Context // ends the connection
	Closed    func(sent int64)
}

// Tunnel passes a client's connection on to a backend that speaks WebSocket with it:
// what either says goes to the other, unread, until one of them ends. up has been
// hijacked.
func (s *Set) Tunnel(up *ingress.Upgrade, back net.Conn, opt TunnelOptions) {
	client := up.Conn()
	ctx, cancel := context.WithTimeout(opt.Ending, opt.Lifetime)
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = back.Close()
	})
	var sent atomic.Int64
	var both sync.WaitGroup
	both.Go(func() {
		pass(back, client, opt.WriteTime, nil)
		cancel()
	})
	both.Go(func() {
		pass(client, back, opt.WriteTime, &sent)
		cancel()
	})
	go func() {
		both.Wait()
		cancel()
		if stop() {
			_ = client.Close()
			_ = back.Close()
		}
		opt.Closed(sent.Load())
		up.Done()
	}()
}

// pass passes on what from says until it ends, or to takes nothing for so long.
func pass(to, from net.Conn, limit time.Duration, count *atomic.Int64) {
	buf := buffer.Get()
	defer buf.Put()
	for {
		n, err := from.Read(buf.B[:cap(buf.B)])
		if n > 0 {
			_ = to.SetWriteDeadline(time.Now().Add(limit))
			if _, err := to.Write(buf.B[:n]); err != nil {
				return
			}
			if count != nil {
				count.Add(int64(n))
			}
		}
		if err != nil {
			return
		}
	}
}
