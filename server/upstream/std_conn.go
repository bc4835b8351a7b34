package upstream

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// std makes connections of net/http's. Its pool and its repetitions are not
// used: they send requests again that nobody allowed to be.
type std struct {
	client    *Client
	transport *http.Transport
	single    atomic.Bool // the upstream has been seen to speak HTTP/1.1
}

const (
	// pingAfter is how long a connection of HTTP/2 may be silent before it is
	// asked whether anybody is there: no stream's time limit ends it.
	pingAfter = 15 * time.Second
	// streamBuffer bounds what HTTP/2 reads ahead of each stream, in bytes.
	streamBuffer = 256 << 10
)

func newStd(c *Client, secure *tls.Config) *std {
	s := &std{client: c}
	s.transport = &http.Transport{
		DialContext:            s.dialTCP,
		TLSClientConfig:        secure,
		Proxy:                  http.ProxyURL(c.opt.Proxy),
		DisableCompression:     true,
		MaxResponseHeaderBytes: headerLimit,
		ReadBufferSize:         readBuffer,
		Protocols:              new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			SendPingTimeout: pingAfter, PingTimeout: pingAfter,
			MaxReceiveBufferPerStream: streamBuffer, MaxReadFrameSize: 16 << 10,
		},
	}
	s.transport.Protocols.SetHTTP1(c.secure || !c.opt.HTTP2)
	s.transport.Protocols.SetHTTP2(c.secure && c.opt.HTTP2)
	s.transport.Protocols.SetUnencryptedHTTP2(!c.secure && c.opt.HTTP2)
	return s
}

// mayShare reports whether the next connection may be one for many exchanges.
func (s *std) mayShare() bool { return s.client.opt.HTTP2 && !s.single.Load() }

// dialed is the key of where dialTCP leaves the connection that it has made.
type dialed struct{}

func (s *std) dialTCP(ctx context.Context, network, address string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	cn := newSeenConn(nc)
	*ctx.Value(dialed{}).(**seenConn) = cn
	return cn, nil
}

func (s *std) dial(ctx context.Context) (connection, error) {
	if limit := s.client.opt.ConnectTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	scheme := "http"
	if s.client.secure {
		scheme = "https"
	}
	cn := &stdConn{std: s}
	var err error
	if cn.client, err = s.transport.NewClientConn(context.WithValue(ctx, dialed{}, &cn.wire), scheme, s.client.addr); err != nil {
		return nil, err
	}
	cn.shared = s.client.opt.HTTP2 && cn.client.Available() > 1
	if s.client.opt.HTTP2 && !cn.shared {
		s.single.Store(true)
	}
	return cn, nil
}

// stdConn is one connection of net/http's.
type stdConn struct {
	std    *std
	client *http.ClientConn
	wire   *seenConn
	shared bool      // HTTP/2: many exchanges at once
	since  time.Time // shared: when it was last used
}

func (cn *stdConn) madeBy() dialer { return cn.std }
func (cn *stdConn) close()         { _ = cn.client.Close() }
func (cn *stdConn) unused() bool   { return cn.client.InFlight() == 0 }

// answered of a shared connection is not known: its bytes may be of others.
func (cn *stdConn) answered() bool { return !cn.shared && cn.wire.came.Load() }

// alive sees to it that net/http has looked at all that it has read.
func (cn *stdConn) alive() bool {
	return cn.wire.settle() && cn.client.Err() == nil && cn.wire.quiet()
}
