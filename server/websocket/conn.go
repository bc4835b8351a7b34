package websocket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"antwort/server/buffer"
	"antwort/server/ingress"
	"antwort/server/reqbody"
	"antwort/shared/policy"
	"antwort/shared/responses"

	ws "github.com/coder/websocket"
)

// Options are what one connection needs.
type Options struct {
	Bound    *reqbody.Bound // of what all hold
	InFlight int64          // bytes that all may hold
	Limits   responses.Limits

	MessageBytes int64         // of one message
	MessageTime  time.Duration // for one message, once it has begun
	WriteTime    time.Duration // for one that is written beside a turn
	PingEvery    time.Duration // silence before a sign of life; who gives none back in as long has left
	Lifetime     time.Duration
	Expires      time.Time // of the caller's credential; zero: it does not

	Turn     func(ctx context.Context, t *Turn) // answers a request; ctx ends when the client leaves
	Panicked func(p any)                        // notes a panic
	Closed   func(sent int64)                   // after the last turn
}

// Turn is a request that is to be answered.
type Turn struct {
	Sink     *Sink
	Body     *buffer.Buffer // of POST /v1/responses, for a stream of events; the taker's, who leaves nil
	Lane     string         // as it came, escaped
	Previous string         // the response that it goes on from; "": none
	Prepares bool           // it is to be ready to be continued: nothing is to be said
	Received time.Time

	held reqbody.Charge // what the body takes
}

// release lets go of what the turn has held.
func (t *Turn) release() {
	t.Body.Put()
	t.Body = nil
	t.held.Release()
}

// queued is how many turns of a connection may wait.
const queued = 16

// The ways in which a connection ends (RFC 6455 section 7.4.1).
const (
	GoingAway = int(ws.StatusGoingAway)
	Violation = int(ws.StatusPolicyViolation)
)

// Conn is one connection.
type Conn struct {
	opt    Options
	set    *Set
	up     *ingress.Upgrade
	ws     *ws.Conn
	raw    net.Conn        // below ws
	ctx    context.Context // ends when the client leaves
	cancel context.CancelFunc

	spoke   atomic.Int64 // when either side last said something, nanoseconds after began
	sent    atomic.Int64 // bytes
	began   time.Time
	ping    *time.Timer
	life    *time.Timer
	turning sync.WaitGroup // the goroutine that answers

	mu      sync.Mutex
	queue   []*Turn
	running bool // a goroutine answers
	ending  bool // no turn begins any more
	farewell
}

// farewell is how a connection ends.
type farewell struct {
	code   int
	reason string
	last   []byte // a message before; nil: none
}

// Accept shakes hands and begins to read. It has failed when there is no connection any
// more. The request and its writer are not used after it.
func (s *Set) Accept(up *ingress.Upgrade, r *http.Request, opt Options) error {
	conn, err := ws.Accept(up, r, &ws.AcceptOptions{InsecureSkipVerify: true, CompressionMode: ws.CompressionDisabled}) // the origin was looked at
	if err != nil {
		up.Done()
		return err
	}
	up.ResponseWriter = nil // or net/http's buffers stay
	conn.SetReadLimit(opt.MessageBytes)
	c := &Conn{opt: opt, set: s, up: up, ws: conn, raw: up.Conn(), began: time.Now()}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.mu.Lock() // the timers look at each other's
	c.ping = time.AfterFunc(opt.PingEvery, c.sayPing)
	c.life = time.AfterFunc(c.lifetime(), c.expire)
	c.mu.Unlock()
	s.add(c)
	go c.run()
	return nil
}

// lifetime is how long the connection may last.
func (c *Conn) lifetime() time.Duration {
	if c.opt.Expires.IsZero() {
		return c.opt.Lifetime
	}
	return max(0, min(c.opt.Lifetime, time.Until(c.opt.Expires)))
}

// expire ends the connection because its time is over, or that of the credential.
func (c *Conn) expire() {
	if e := c.opt.Expires; !e.IsZero() && !time.Now().Before(e) {
		c.End(Violation, dismissed, policy.InvalidToken("the token has expired (exp)"))
		return
	}
	e := responses.NewError(http.StatusBadRequest, "websocket_connection_limit_reached",
		fmt.Sprintf("Responses websocket connection limit reached (%s). Create a new websocket connection to continue.", minutes(c.opt.Lifetime)))
	c.End(GoingAway, "the connection has lasted for as long as it may", e)
}

func minutes(d time.Duration) string {
	if d >= time.Minute && d%time.Minute == 0 {
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return d.String()
}

// dismissed is why the connection ends of a caller who is not let in any more.
const dismissed = "the credential is not valid any more"

// run reads until the client has left, or is told to.
func (c *Conn) run() {
	defer c.closed()
	defer func() {
		if p := recover(); p != nil {
			c.opt.Panicked(p)
		}
	}()
	for c.read() {
	}
}

// closed ends what belongs to the connection.
func (c *Conn) closed() {
	c.cancel()
	c.mu.Lock()
	c.ending = true
	c.ping.Stop()
	c.life.Stop()
	waiting := c.queue
	c.queue = nil
	c.mu.Unlock()
	_ = c.ws.CloseNow()
	c.turning.Wait()
	for _, t := range waiting {
		t.release()
	}
	c.set.remove(c)
	c.opt.Closed(c.sent.Load())
	c.up.Done()
}

// leave closes the connection at once.
func (c *Conn) leave() {
	c.cancel()
	_ = c.raw.Close()
}

// read reads one message. It returns false when none can follow.
func (c *Conn) read() bool {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		c.hearOut(err)
		return false
	}
	c.alive()
	if kind != ws.MessageText {
		c.End(int(ws.StatusUnsupportedData), "only text is understood", nil)
		_, err = io.Copy(io.Discard, r)
		return err == nil
	}
	_ = c.raw.SetReadDeadline(time.Now().Add(c.opt.MessageTime))
	t := &Turn{Received: time.Now()}
	ok := c.opt.Bound.Begin(&t.held, c.opt.InFlight)
	if ok {
		t.Body = buffer.Metered(&t.held)
		err = t.Body.ReadAll(r, c.opt.MessageBytes+1) // the library says when it is too long
		ok = !errors.Is(err, buffer.ErrNoRoom)
	}
	if !ok {
		_, err = io.Copy(io.Discard, r)
	}
	_ = c.raw.SetReadDeadline(time.Time{})
	if err != nil {
		t.release()
		c.hearOut(err)
		return false
	}
	c.alive()
	if !ok {
		refusal := t.held.Refusal().Reply
		t.release()
		return c.fail(refusal, nil)
	}
	return c.take(t)
}

// goodbye is how long a client may take to read why its connection ends.
const goodbye = 2 * time.Second

// hearOut lets a client read what the library has said of a message that is too long, or
// is none: a connection that is closed while something comes loses it.
func (c *Conn) hearOut(err error) {
	c.mu.Lock()
	over := c.ending || ws.CloseStatus(err) >= 0
	c.ending = true
	c.mu.Unlock()
	if !over {
		c.cancel()
		_ = c.raw.SetReadDeadline(time.Now().Add(goodbye))
		_, _ = io.Copy(io.Discard, c.raw)
	}
}

// take does what a message asks for, whose text is the turn's body so far. It returns
// false when the client cannot be told anything any more.
func (c *Conn) take(t *Turn) bool {
	text := t.Body.B
	if err := responses.Check(text, c.opt.Limits); err != nil {
		t.release()
		return c.fail(err, nil)
	}
	m, problem := readMessage(text)
	m.laneText = append([]byte(nil), m.laneText...) // the text is overwritten
	if len(m.laneText) == 0 {
		m.laneText = nil
	}
	switch {
	case problem != nil:
		t.release()
		return c.fail(problem, m.laneText)
	case m.kind == processed:
		t.release()
		return true
	case m.kind == steer:
		answer := steerFailed(text)
		t.release()
		return c.say(answer)
	}
	t.Lane, t.Previous, t.Prepares = string(m.laneText), m.previous, m.prepares
	t.Body.B, t.Sink = bodyOf(text), newSink(c, m.laneText)
	if !c.enqueue(t) {
		t.release()
		return c.fail(responses.NewError(http.StatusTooManyRequests, "rate_limit_exceeded",
			fmt.Sprintf("%d requests wait on this connection already: send the next one when an answer has ended", queued)), m.laneText)
	}
	return true
}

// enqueue has a turn answered after those before it.
func (c *Conn) enqueue(t *Turn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		t.release()
		return true
	}
	if len(c.queue) >= queued {
		return false
	}
	c.queue = append(c.queue, t)
	if !c.running {
		c.running = true
		c.turning.Add(1)
		go c.answer()
	}
	return true
}

// answer answers the turns that wait.
func (c *Conn) answer() {
	defer c.turning.Done()
	for t := c.next(); t != nil; t = c.next() {
		c.opt.Turn(c.ctx, t)
		t.release()
	}
}

// next is the turn that is to be answered; nil when there is none: then the connection
// ends if it is to.
func (c *Conn) next() *Turn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending && len(c.queue) > 0 {
		t := c.queue[0]
		c.queue[0] = nil
		if c.queue = c.queue[1:]; len(c.queue) == 0 {
			c.queue = nil
		}
		return t
	}
	c.running = false
	if c.ending && c.code != 0 {
		go c.sayFarewell(c.farewell)
	}
	return nil
}

// End ends the connection after the turn that is running, with an error if there is
// one. Those that wait are not begun.
func (c *Conn) End(code int, reason string, e *responses.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		return
	}
	c.ending = true
	c.farewell = farewell{code: code, reason: reason}
	if e != nil {
		c.last = errorMessage(e, nil)
	}
	if !c.running {
		go c.sayFarewell(c.farewell)
	}
}

func (c *Conn) sayFarewell(f farewell) {
	if f.last != nil && !c.say(f.last) {
		return
	}
	c.close(f.code, f.reason)
}

// close says goodbye, and waits a moment for the client's.
func (c *Conn) close(code int, reason string) { _ = c.ws.Close(ws.StatusCode(code), reason) }

// fail tells the client of a message that cannot be answered.
func (c *Conn) fail(e *responses.Error, laneText []byte) bool {
	return c.say(errorMessage(e, laneText))
}

func errorMessage(e *responses.Error, laneText []byte) []byte {
	b := fmt.Appendf(make([]byte, 0, 256), `{"type":"error","status":%d,`, e.Status)
	b = append(b, e.AppendBody(nil)[1:]...)
	if laneText != nil {
		b = append(append(append(b[:len(b)-1], `,"stream_id":"`...), laneText...), `"}`...)
	}
	return b
}

// say writes a message beside a turn, in bounded time.
func (c *Conn) say(object []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), c.opt.WriteTime)
	defer cancel()
	if err := c.ws.Write(ctx, ws.MessageText, object); err != nil {
		c.leave()
		return false
	}
	c.sent.Add(int64(len(object)))
	c.alive()
	return true
}

// send writes a message of a turn, whose stream bounds the time.
func (c *Conn) send(object []byte) error {
	if err := c.ws.Write(context.Background(), ws.MessageText, object); err != nil {
		c.leave()
		return err
	}
	c.sent.Add(int64(len(object)))
	c.alive()
	return nil
}

// alive notes that one side has said something.
func (c *Conn) alive() { c.spoke.Store(int64(time.Since(c.began))) }

// sayPing looks, after a silence, whether the client is there still.
func (c *Conn) sayPing() {
	every := c.opt.PingEvery
	silent := time.Since(c.began) - time.Duration(c.spoke.Load())
	if silent >= every {
		before := c.spoke.Load()
		ctx, cancel := context.WithTimeout(c.ctx, every)
		err := c.ws.Ping(ctx)
		cancel()
		if err != nil && c.spoke.Load() == before { // who reads slowly is the stream's business
			c.leave()
			return
		}
		silent = 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() == nil {
		c.ping.Reset(max(every-silent, time.Millisecond))
	}
}
