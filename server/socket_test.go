package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"antwort/server/mockllm"
	"antwort/shared/config"
)

// dialed are the WebSockets that were opened to a server.
type dialed struct {
	mu  sync.Mutex
	all []*websocket.Conn
}

func (d *dialed) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.all {
		_ = c.CloseNow()
	}
}

// wsClient is a client's WebSocket.
type wsClient struct {
	*websocket.Conn
	t *testing.T
}

// dial opens a WebSocket; fields are header names and values in turn.
func (r *running) dial(fields ...string) *wsClient {
	r.t.Helper()
	conn, resp, err := r.tryDial(fields...)
	require.NoError(r.t, err)
	require.Equal(r.t, http.StatusSwitchingProtocols, resp.StatusCode)
	require.NotEmpty(r.t, resp.Header.Get("X-Request-Id"))
	conn.SetReadLimit(-1)
	r.dialed.mu.Lock()
	r.dialed.all = append(r.dialed.all, conn)
	r.dialed.mu.Unlock()
	r.t.Cleanup(func() { _ = conn.CloseNow() })
	return &wsClient{conn, r.t}
}

func (r *running) tryDial(fields ...string) (*websocket.Conn, *http.Response, error) {
	h := http.Header{}
	for i := 0; i < len(fields); i += 2 {
		h.Add(fields[i], fields[i+1])
	}
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	return websocket.Dial(ctx, strings.Replace(r.url, "http", "ws", 1)+"/v1/responses", &websocket.DialOptions{HTTPHeader: h})
}

func (c *wsClient) say(text string) {
	c.t.Helper()
	require.NoError(c.t, c.Write(c.t.Context(), websocket.MessageText, []byte(text)))
}

// create asks for a response.
func (c *wsClient) create(members string) {
	c.t.Helper()
	c.say(`{"type":"response.create","model":"/mnt/models",` + members + `}`)
}

// told is what a client is told.
type told struct {
	Type     string
	StreamID *string `json:"stream_id"`
	Status   int
	Response resource
	Error    struct{ Type, Code, Message, Param string }
	Seq      int `json:"sequence_number"`
	raw      string
}

// hear reads one message.
func (c *wsClient) hear() (m told) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	kind, text, err := c.Read(ctx)
	require.NoError(c.t, err)
	require.Equal(c.t, websocket.MessageText, kind)
	require.NoError(c.t, json.Unmarshal(text, &m), "%s", text)
	m.raw = string(text)
	return m
}

// end reads up to the end of a turn, as a stream that is checked.
func (c *wsClient) end() (last told) {
	c.t.Helper()
	var stream strings.Builder
	for {
		last = c.hear()
		fmt.Fprintf(&stream, "event: %s\ndata: %s\n\n", last.Type, last.raw)
		switch last.Type {
		case "error":
			if last.Status != 0 {
				return last
			}
		case "response.completed", "response.incomplete", "response.failed":
			checkStream(c.t, stream.String()+"data: [DONE]\n\n")
			return last
		}
	}
}

// turn asks, and reads the answer.
func (c *wsClient) turn(members string) told {
	c.t.Helper()
	c.create(members)
	return c.end()
}

// completed is the id of the answer to a turn.
func (c *wsClient) completed(members string) string {
	c.t.Helper()
	end := c.turn(members)
	require.Equal(c.t, "response.completed", end.Type, end.raw)
	return end.Response.ID
}

func (m told) refused(t *testing.T, status int, param, code string) {
	t.Helper()
	require.Equal(t, []any{"error", status, param, code}, []any{m.Type, m.Status, m.Error.Param, m.Error.Code}, m.raw)
	require.NotEmpty(t, m.Error.Message)
}

// closed waits until the server closes the connection.
func (c *wsClient) closed(code websocket.StatusCode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			require.Equal(c.t, code, websocket.CloseStatus(err), "%v", err)
			return
		}
	}
}

// overSockets runs a test with a store and without one.
func overSockets(t *testing.T, test func(t *testing.T, r *running, llm *seen), edit ...func(*config.Config)) {
	types := storedTypes(t)
	types["none"] = func(c *config.Config) { c.State.Type = config.NoState }
	each := func(name string, begin func(llm string) *running) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			llm := newSeen(t)
			r := begin(llm.url)
			ready(t, r)
			test(t, r, llm)
			r.dialed.close()
			nothingHeld(t, r)
		})
	}
	for name, store := range types {
		all := append([]func(*config.Config){store}, edit...)
		each(name, func(llm string) *running { return start(t, config.VLLM, llm, all...) })
		if name != "none" {
			each(name+atFrontend, func(llm string) *running { return keeping(t, atFrontend, llm, all...) })
		}
	}
}

func TestWebSocketAnswersOneTurnAfterTheOther(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, llm *seen) {
		c := r.dial()
		for i, members := range []string{`"input":"hi"`, `"input":"mock: reasoning=1","stream":true`, `"input":"mock: tokens=300","background":false`, `"input":"mock: tokens=40","max_output_tokens":16`} {
			end := c.turn(members)
			require.Equal(t, r.store != nil, end.Response.Store)
			require.Equal(t, i+1, llm.asked())
			_, body := llm.last(t)
			require.Equal(t, "true", string(body["stream"]))
			require.NotContains(t, body, "type")
		}
		line := r.log.waitFor(t, `"path":"/v1/responses"`, `.4"`, `"status":200`)
		require.Equal(t, []any{"POST", true, "/mnt/models"}, []any{line["method"], line["stream"], line["model"]})
		require.EqualValues(t, 1, metric(t, r, "antwort_websocket_connections", ""))
		require.EqualValues(t, 4, metric(t, r, "antwort_requests_total", `code="200",endpoint="/v1/responses"`))
		require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
		line = r.log.waitFor(t, `"status":101`)
		require.Equal(t, "GET", line["method"])
		require.Greater(t, line["bytes"], 1000.0)
		require.Eventually(t, func() bool { return metric(t, r, "antwort_websocket_connections", "") == 0 }, guard, time.Millisecond)
	})
}

// What a store does not have the connection itself keeps; others do not know it.
func TestWebSocketContinuesWhatIsNotStored(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, llm *seen) {
		c := r.dial()
		id := c.completed(`"input":"one","store":false`)
		for i, text := range []string{"two", "three", "four"} {
			id = c.completed(`"input":"` + text + `","store":false,"previous_response_id":"` + id + `"`)
			messages, _ := llm.last(t)
			require.Len(t, messages, 2*i+3)
			require.Equal(t, "user: one", said(messages)[0])
			require.Equal(t, "user: "+text, said(messages)[2*i+2])
		}
		r.dial().turn(`"input":"x","previous_response_id":"`+id+`"`).refused(t, 400, "previous_response_id", "previous_response_not_found")
		refused(t, r.next(id, `"input":"x"`), 400, "previous_response_id", "previous_response_not_found", "")
		last := c.completed(`"input":"five","previous_response_id":"` + id + `"`) // stored where that is possible
		messages, _ := llm.last(t)
		require.Len(t, messages, 9)
		c.turn(`"input":"x","store":false,"previous_response_id":"`+id+`"`).refused(t, 400, "previous_response_id", "previous_response_not_found")
		if r.store == nil {
			return
		}
		read(t, r.next(last, `"input":"six"`)) // anywhere: all of it is stored
		messages, _ = llm.last(t)
		require.Len(t, messages, 11)
		require.Equal(t, "user: one", said(messages)[0])
		after := c.completed(`"input":"seven","store":false,"previous_response_id":"` + last + `"`)
		c.completed(`"input":"eight","store":false,"previous_response_id":"` + after + `"`)
		messages, _ = llm.last(t)
		require.Len(t, messages, 13)
		require.Equal(t, "user: seven", said(messages)[10])
	})
}

// A turn that is refused makes the connection forget what it goes on from.
func TestWebSocketForgetsWhatAFailedTurnGoesOnFrom(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, _ *seen) {
		c := r.dial()
		for _, wrong := range []string{
			`"input":[{"type":"function_call_output","call_id":"nobody","output":"x"}]`, `"input":"x","temperature":"hot"`, `"input":"mock: status=500"`,
		} {
			id := c.completed(`"input":"one","store":false`)
			id = c.completed(`"input":"two","store":false,"previous_response_id":"` + id + `"`)
			end := c.turn(wrong + `,"store":false,"previous_response_id":"` + id + `"`)
			require.Equal(t, "error", end.Type, end.raw)
			require.GreaterOrEqual(t, end.Status, 400)
			c.turn(`"input":"three","store":false,"previous_response_id":"`+id+`"`).refused(t, 400, "previous_response_id", "previous_response_not_found")
		}
		id := c.completed(`"input":"one","store":false`)
		c.say(`{"type":"response.future"}`)
		c.hear().refused(t, 400, "type", "invalid_event")
		c.completed(`"input":"two","store":false,"previous_response_id":"` + id + `"`)
	})
}

func TestWebSocketLanes(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, llm *seen) {
		c := r.dial()
		ids := map[string]string{}
		lanes := []string{"a", `b\"\u00e9`, "c", "d"}
		for _, lane := range lanes {
			c.create(`"input":"of ` + lane + `","store":false,"stream_id":"` + lane + `"`)
		}
		for _, lane := range lanes { // in order
			var want string
			require.NoError(t, json.Unmarshal([]byte(`"`+lane+`"`), &want))
			for {
				m := c.hear()
				require.NotNil(t, m.StreamID, m.raw)
				require.Equal(t, want, *m.StreamID)
				if m.Type == "response.completed" {
					ids[lane] = m.Response.ID
					break
				}
			}
		}
		for _, lane := range lanes {
			end := c.turn(`"input":"more","store":false,"stream_id":"` + lane + `","previous_response_id":"` + ids[lane] + `"`)
			require.Equal(t, "response.completed", end.Type, end.raw)
			messages, _ := llm.last(t)
			require.Contains(t, said(messages)[0], "of "+lane[:1])
			ids[lane] = end.Response.ID
		}
		ids[""] = c.completed(`"input":"a fifth","store":false`)
		end := c.turn(`"input":"x","store":false,"stream_id":"a","previous_response_id":"` + ids["a"] + `"`)
		end.refused(t, 400, "previous_response_id", "previous_response_not_found")
		require.Equal(t, "a", *end.StreamID)
		c.completed(`"input":"x","store":false,"stream_id":"d","previous_response_id":"` + ids[""] + `"`)
	})
}

// With generate false an id is given that can be continued, and the model is not asked.
func TestWebSocketPrepares(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, llm *seen) {
		for _, store := range []string{"", `"store":false,`} {
			c, asked := r.dial(), llm.asked()
			end := c.turn(store + `"input":"the long prompt","generate":false,"stream_id":"x"`)
			require.Equal(t, "response.completed", end.Type, end.raw)
			require.Empty(t, end.Response.Output)
			require.Equal(t, store == "" && r.store != nil, end.Response.Store)
			require.Equal(t, "x", *end.StreamID)
			require.Equal(t, asked, llm.asked())
			c.completed(store + `"input":"go","generate":true,"previous_response_id":"` + end.Response.ID + `"`)
			messages, _ := llm.last(t)
			require.Equal(t, []string{"user: the long prompt", "user: go"}, said(messages))
			c.turn(`"input":[{"role":"nobody","content":"x"}],"generate":false`).refused(t, 400, "input[0].role", "invalid_value")
		}
	})
}

func TestWebSocketMessagesThatAreNotUnderstood(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, _ *seen) {
		c := r.dial()
		for text, want := range map[string][2]string{
			`{`: {"", "invalid_json"}, ``: {"", "invalid_json"}, `[]`: {"type", "invalid_event"}, `{}`: {"type", "invalid_event"}, `{"type":7}`: {"type", "invalid_event"},
			`{"type":"session.update"}`:                                                            {"type", "invalid_event"},
			`{"type":"response.create"}`:                                                           {"input", "missing_required_parameter"},
			`{"type":"response.create","input":"a","stream":false}`:                                {"stream", ""},
			`{"type":"response.create","input":"a","background":true}`:                             {"background", ""},
			`{"type":"response.create","input":"a","generate":"no"}`:                               {"generate", ""},
			`{"type":"response.create","input":"a","stream_id":7}`:                                 {"stream_id", ""},
			`{"type":"response.create","input":"a","temperature":9}`:                               {"temperature", "out_of_range"},
			`{"type":"response.create","input":"a","previous_response_id":"resp_"}`:                {"previous_response_id", "previous_response_not_found"},
			`{"type":"response.create","input":"a","model":"/mnt/models","conversation":"conv_0"}`: {"conversation", "*"},
			strings.Repeat("[", 5000):                                                              {"", "limit_exceeded"},
		} {
			c.say(text)
			got := c.hear()
			if want[1] == "*" {
				want[1] = got.Error.Code
			}
			status := 400
			if got.Error.Code == "conversation_not_found" {
				status = 404
			}
			got.refused(t, status, want[0], want[1])
		}
		c.say(`{"type":"response.processed","response_id":"resp_1"}`)
		c.say(`{"type":"response.steer","previous_response_id":"resp_1","input":[{"type":"message","role":"user","content":"faster"}]}`)
		got := c.hear()
		require.JSONEq(t, `{"type":"response.steer.failed","sequence_number":0,"error":{"type":"invalid_request_error","code":"steering_not_supported","message":"`+got.Error.Message+
			`"},"steer":{"previous_response_id":"resp_1","input":[{"type":"message","role":"user","content":"faster"}]}}`, got.raw)
		c.completed(`"input":"still there"`)
	})
}

func TestWebSocketFramesThatAreNotTaken(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Limits.RequestBodyBytes = 1 << 20 })
	ready(t, r)
	binary := r.dial()
	require.NoError(t, binary.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"response.create"}`)))
	binary.closed(websocket.StatusUnsupportedData)

	long := r.dial()
	go func() { _ = long.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 3<<20))) }()
	long.closed(websocket.StatusMessageTooBig)

	pieces := r.dial() // a message of a MB that comes in many frames
	w, err := pieces.Writer(t.Context(), websocket.MessageText)
	require.NoError(t, err)
	_, err = io.WriteString(w, `{"type":"response.create","model":"/mnt/models","input":"`)
	require.NoError(t, err)
	for range 1000 {
		_, err = io.WriteString(w, strings.Repeat("x", 1000))
		require.NoError(t, err)
	}
	_, err = io.WriteString(w, `"}`)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Equal(t, "response.completed", pieces.end().Type)

	for _, garbage := range []string{"\x81\x05hello", "\xf1\x80\x00\x00\x00\x00", "\x83\x80\x00\x00\x00\x00", "GET / HTTP/1.1\r\n\r\n", "\x00\x80\x00\x00\x00\x00"} {
		conn := r.upgraded()
		_, err := io.WriteString(conn, garbage)
		require.NoError(t, err)
		require.NoError(t, conn.(*net.TCPConn).CloseWrite())
		_ = conn.SetReadDeadline(time.Now().Add(guard))
		_, err = io.Copy(io.Discard, conn)
		require.NoError(t, err, "it is closed")
		_ = conn.Close()
	}
	r.dialed.close()
	nothingHeld(t, r)
}

// upgraded is a raw connection on which frames may be sent.
func (r *running) upgraded() net.Conn {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, "GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	require.NoError(r.t, err)
	var head []byte
	for one := []byte{0}; !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		_ = conn.SetReadDeadline(time.Now().Add(guard))
		_, err := conn.Read(one)
		require.NoError(r.t, err)
	}
	require.Contains(r.t, string(head), "HTTP/1.1 101 Switching Protocols\r\n")
	require.Contains(r.t, string(head), "Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
	return conn
}

func TestWebSocketIsRefused(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	handshake := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	with := func(fields ...string) []string { return append(append([]string{}, handshake...), fields...) }
	key := []string{"Authorization", "Bearer the-key"}
	off := func(c *config.Config) { c.Websocket.Enabled = false }
	for name, c := range map[string]struct {
		edit   []func(*config.Config)
		fields []string
		status int
		code   string
		close  bool
	}{
		"turned off":                {[]func(*config.Config){off}, handshake, 426, "websocket_unsupported", true},
		"no key":                    {[]func(*config.Config){withKeyFor()}, handshake, 401, "missing_api_key", false},
		"a wrong key":               {[]func(*config.Config){withKeyFor()}, with("Authorization", "Bearer x"), 401, "invalid_api_key", false},
		"a page":                    {[]func(*config.Config){withKeyFor()}, with(append(key, "Origin", page)...), 403, "origin_not_allowed", false},
		"a page that is not let in": {[]func(*config.Config){withKeyFor(page)}, with(append(key, "Origin", other)...), 403, "origin_not_allowed", false},
		"another version":           {nil, with("Sec-WebSocket-Version", "8"), 426, "websocket_unsupported", true},
		"a short key":               {nil, with("Sec-WebSocket-Key", "eA=="), 426, "websocket_unsupported", true},
		"no key of it":              {nil, with("Sec-WebSocket-Key", ""), 426, "websocket_unsupported", true},
		"no Connection":             {nil, with("Connection", "keep-alive"), 426, "websocket_unsupported", true},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, config.VLLM, llm, c.edit...)
			resp := r.open("GET", "/v1/responses", nil, c.fields...)
			got := finish(t, resp)
			_, _, code := got.errorCode(t)
			require.Equal(t, []any{c.status, c.code, c.close}, []any{got.status, code, resp.Close}, got.body)
			nothingHeld(t, r)
		})
	}
	r := start(t, config.VLLM, llm, withKeyFor(page), func(c *config.Config) { c.Websocket.MaxConnections = 2 })
	ready(t, r)
	r.dial(append(key, "Origin", page)...).completed(`"input":"hi"`)
	second := r.dial(key...)
	_, resp, err := r.tryDial(key...)
	require.Error(t, err)
	require.Equal(t, 503, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.NoError(t, second.CloseNow())
	require.Eventually(t, func() bool {
		conn, _, err := r.tryDial(key...)
		if err != nil {
			return false
		}
		_ = conn.CloseNow()
		return true
	}, guard, 5*time.Millisecond, "there is a place again")
}

// gated is a model that says something when it may.
func gated(t *testing.T) (url string, begun chan context.Context, goOn chan struct{}) {
	begun, goOn = make(chan context.Context, 100), make(chan struct{})
	return upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send := sending(w)
		send(chatRole + chatText("a"))
		begun <- r.Context()
		select {
		case <-goOn:
		case <-r.Context().Done():
			return
		}
		send(chatFinish + chatUsage + chatDone)
	})), begun, goOn
}

func TestWebSocketQueueIsBounded(t *testing.T) {
	llm, begun, goOn := gated(t)
	r := start(t, config.VLLM, llm)
	ready(t, r)
	c := r.dial()
	for i := range 18 {
		c.create(fmt.Sprintf(`"input":"hi","stream_id":"%d"`, i))
		if i == 0 {
			wait(t, begun, "the first turn")
		}
	}
	m := c.hear()
	for ; m.Type != "error"; m = c.hear() {
		require.Equal(t, "0", *m.StreamID)
	}
	m.refused(t, 429, "", "rate_limit_exceeded")
	require.Equal(t, "17", *m.StreamID)
	close(goOn)
	for i := 0; i < 17; {
		if m := c.hear(); m.Type == "response.completed" {
			require.Equal(t, fmt.Sprint(i), *m.StreamID)
			i++
		}
	}
	c.completed(`"input":"hi"`)
}

// A client that leaves has its model stopped, and what waits is not begun.
func TestWebSocketClientLeaves(t *testing.T) {
	for name, leave := range map[string]func(c *wsClient){
		"by a close": func(c *wsClient) { _ = c.Close(websocket.StatusNormalClosure, "") },
		"at once":    func(c *wsClient) { _ = c.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			llm, begun, _ := gated(t)
			r := start(t, config.VLLM, llm)
			ready(t, r)
			c := r.dial()
			c.create(`"input":"hi"`)
			c.create(`"input":"hi"`)
			upstream := wait(t, begun, "the turn")
			go leave(c)
			wait(t, upstream.Done(), "the model is stopped")
			r.log.waitFor(t, `.1"`, `"failure":"client_gone"`)
			r.log.waitFor(t, `"status":101`)
			nothingHeld(t, r)
			require.Empty(t, begun)
		})
	}
}

func TestWebSocketLifetime(t *testing.T) {
	llm, begun, goOn := gated(t)
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Websocket.Lifetime = 200 * time.Millisecond })
	ready(t, r)
	idle, busy := r.dial(), r.dial()
	busy.create(`"input":"hi"`)
	wait(t, begun, "the turn")
	idle.hear().refused(t, 400, "", "websocket_connection_limit_reached")
	idle.closed(websocket.StatusGoingAway)
	close(goOn)
	require.Equal(t, "response.completed", busy.end().Type)
	m := busy.hear()
	m.refused(t, 400, "", "websocket_connection_limit_reached")
	require.Equal(t, "Responses websocket connection limit reached (200ms). Create a new websocket connection to continue.", m.Error.Message)
	busy.closed(websocket.StatusGoingAway)
}

func TestWebSocketEndsWithTheCredential(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	is, k := newIssuer(t), key("1")
	is.publish(k)
	r := start(t, config.VLLM, llm, is.asked, func(c *config.Config) { c.Auth.JWT.ClockSkew = 0 })
	inService(t, r)
	soon := is.tokenUntil(time.Now().Add(2*time.Second), k, `,"sub":"alice"`)
	c := r.dial("Authorization", "Bearer "+soon)
	c.completed(`"input":"hi"`)
	c.hear().refused(t, 401, "", "invalid_token")
	c.closed(websocket.StatusPolicyViolation)

	// A key that is taken away while the connection lasts.
	r = start(t, config.VLLM, llm, withKeyFor())
	ready(t, r)
	c = r.dial("Authorization", "Bearer the-key")
	c.completed(`"input":"hi"`)
	next := *r.inForce.Load().cfg //nolint:govet // a configuration like the present one
	next.Auth.APIKeys = nil
	require.NoError(t, r.change(t.Context(), &next))
	c.turn(`"input":"hi"`).refused(t, 401, "", "invalid_api_key")
	c.closed(websocket.StatusPolicyViolation)
}

func TestWebSocketDrains(t *testing.T) {
	llm, begun, goOn := gated(t)
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Server.DrainTimeout = guard })
	ready(t, r)
	idle, busy := r.dial(), r.dial()
	busy.create(`"input":"hi"`)
	busy.create(`"input":"hi"`)
	wait(t, begun, "the turn")
	r.stop()
	idle.closed(websocket.StatusGoingAway)
	close(goOn)
	require.Equal(t, "response.completed", busy.end().Type)
	busy.closed(websocket.StatusGoingAway)
	r.drained()
	require.Empty(t, begun, "what waited is not begun")

	llm, begun, _ = gated(t)
	r = start(t, config.VLLM, llm) // with no time to drain
	ready(t, r)
	busy = r.dial()
	busy.create(`"input":"hi"`)
	wait(t, begun, "the turn")
	require.Equal(t, "response.created", busy.hear().Type)
	r.stop()
	for m := busy.hear(); m.Type != "response.failed"; m = busy.hear() {
		require.Zero(t, m.Status, m.raw)
	}
	busy.closed(websocket.StatusGoingAway)
	r.drained()
}

// A client that does not read costs no more than what lies in the sockets.
func TestWebSocketSlowReader(t *testing.T) {
	flood := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		send, text := sending(w), chatText(strings.Repeat("x", 10<<10))
		for r.Context().Err() == nil {
			send(text)
		}
	}))
	r := start(t, config.VLLM, flood, func(c *config.Config) {
		c.Engine.StreamIdleTimeout, c.State.Type = 300*time.Millisecond, config.NoState
		c.Limits.ResponseBodyBytes = 1 << 30
	})
	ready(t, r)
	c := r.dial()
	c.create(`"input":"hi"`)
	require.Equal(t, "response.created", c.hear().Type)
	most := int64(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.log.waitFor(t, `"failure":"client_gone"`)
	}()
	for over := false; !over; {
		select {
		case <-done:
			over = true
		case <-time.After(time.Millisecond):
			most = max(most, r.held.Held())
		}
	}
	require.Less(t, most, int64(64<<20))
	nothingHeld(t, r)
}

func TestWebSocketChecksModels(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	r := start(t, config.VLLM, llm, withKeyFor(), func(c *config.Config) {
		c.Auth.APIKeys[0].Models = []string{"other"}
	})
	ready(t, r)
	c := r.dial("Authorization", "Bearer the-key")
	got := c.turn(`"input":"hi","store":false`)
	got.refused(t, 404, "model", "model_not_found")
	r.log.waitFor(t, `"failure":"forbidden_model"`, `"subject":"alice"`)
}

func TestWebSocketMemoryIsBounded(t *testing.T) {
	llm, begun, goOn := gated(t)
	r := start(t, config.VLLM, llm, inFlight(8<<20), func(c *config.Config) { c.State.Type = config.NoState })
	ready(t, r)
	c := r.dial()
	c.create(`"input":"hi"`)
	wait(t, begun, "the turn")
	large := `"input":"` + strings.Repeat("x", 1<<20) + `"`
	for range 10 {
		c.create(large)
	}
	for {
		if m := c.hear(); m.Type == "error" {
			m.refused(t, 503, "", "overloaded")
			break
		}
	}
	require.LessOrEqual(t, r.held.Held(), int64(8<<20))
	close(goOn)
	_ = c.CloseNow()
	nothingHeld(t, r)
}

// Many connections at once, and many turns on each.
func TestWebSocketsTogether(t *testing.T) {
	t.Parallel()
	turns := 10
	if raceDetector {
		turns = 4 // the last one goes on from what is stored and what is not
	}
	overSockets(t, func(t *testing.T, r *running, _ *seen) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				c, id := r.dial(), ""
				for i := range turns {
					previous := ""
					if id != "" {
						previous = `,"previous_response_id":"` + id + `"`
					}
					id = c.completed(fmt.Sprintf(`"input":"turn %d","store":%t%s`, i, i%3 == 0, previous))
				}
				_ = c.Close(websocket.StatusNormalClosure, "")
			})
		}
		all.Wait()
	})
}

// What an idle connection costs in the process: at most 20 KiB.
func TestIdleWebSocketsCostLittle(t *testing.T) {
	_, llm := mock(t, mockllm.Options{})
	n := soak(200)
	r := start(t, config.VLLM, llm, func(c *config.Config) { c.Websocket.MaxConnections = n + 1 })
	ready(t, r)
	r.dial().completed(`"input":"hi"`)
	inUse := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := inUse()
	for range n {
		r.upgraded()
	}
	require.Eventually(t, func() bool { return metric(t, r, "antwort_websocket_connections", "") == float64(n+1) }, guard, time.Millisecond)
	each := float64(inUse()-before) / float64(n) / 1024
	t.Logf("%d idle connections: %.1f KiB each, with the client's side", n, each)
	require.Less(t, each, 20.0)
}

// A server that forwards passes the connection on, and says who calls.
func TestWebSocketThroughAForwardingServer(t *testing.T) {
	people := [][3]string{{"alice", "a", "alice-key"}}
	llm, begun, goOn := gated(t)
	back := start(t, config.VLLM, llm, keysOf(t, append(people, [3]string{"front", "*", "front-key"})...))
	ready(t, back)
	front := back.front(keysOf(t, people...), func(c *config.Config) {
		c.Engine.APIKey = config.NewSecret("front-key")
		c.Auth.APIKeys = append(c.Auth.APIKeys, config.APIKey{Digest: sha256.Sum256([]byte("few")), Subject: "bob", Models: []string{"m"}})
	})
	ready(t, front)
	c := front.dial("Authorization", "Bearer alice-key", "X-Antwort-Subject", "root")
	for range 2 {
		c.create(`"input":"hi","store":false`)
		wait(t, begun, "the turn")
		goOn <- struct{}{}
		require.Equal(t, "response.completed", c.end().Type)
	}
	back.log.waitFor(t, `.2"`, `"subject":"alice"`, `"tenant":"a"`)
	c.create(`"input":"hi"`)
	upstream := wait(t, begun, "the turn")
	_ = c.CloseNow()
	wait(t, upstream.Done(), "the model is stopped")
	line := front.log.waitFor(t, `"status":101`, `"subject":"alice"`)
	require.Greater(t, line["bytes"], 1000.0)
	nothingHeld(t, front)
	nothingHeld(t, back)

	for key, want := range map[string][]any{"few": {403, "websocket_unsupported"}, "nobody": {401, "invalid_api_key"}} {
		_, resp, err := front.tryDial("Authorization", "Bearer "+key)
		require.Error(t, err)
		_, _, code := finish(t, resp).errorCode(t)
		require.Equal(t, want, []any{resp.StatusCode, code})
	}
	off := start(t, config.VLLM, llm, func(c *config.Config) { c.Websocket.Enabled = false })
	_, resp, err := off.front().tryDial()
	require.Error(t, err)
	require.Equal(t, 426, resp.StatusCode, "what the backend says")
	off.stop()
	off.drained()
	_, resp, err = start(t, config.VLLMResponses, off.url).tryDial()
	require.Error(t, err)
	require.Equal(t, 502, resp.StatusCode)
	byModel := start(t, config.VLLMResponses, back.url, func(c *config.Config) {
		c.Routes = []config.Route{{Name: "m", Match: config.Match{Models: []string{"m"}}, Backends: []config.Backend{{URL: back.url, Weight: 1, Provider: config.VLLMResponses}}}}
	})
	_, resp, err = byModel.tryDial()
	require.Error(t, err)
	require.Equal(t, 426, resp.StatusCode, "the model decides")
	short := back.front(func(c *config.Config) {
		c.Engine.APIKey, c.Websocket.Lifetime = config.NewSecret("alice-key"), 100*time.Millisecond
	})
	short.dial().closed(websocket.StatusGoingAway)
}

// A server that forwards tells its clients when it stops, also where an answer is coming.
func TestWebSocketThroughAForwardingServerThatStops(t *testing.T) {
	llm, begun, _ := gated(t)
	back := start(t, config.VLLM, llm)
	ready(t, back)
	front := back.front()
	ready(t, front)
	idle, busy := front.dial(), front.dial()
	busy.create(`"input":"hi"`)
	upstream := wait(t, begun, "the turn")
	require.Equal(t, "response.created", busy.hear().Type)
	front.stop()
	idle.closed(websocket.StatusGoingAway)
	busy.closed(websocket.StatusGoingAway)
	wait(t, upstream.Done(), "the model is stopped")
	front.drained()
	nothingHeld(t, back)
}

func TestWebSocketCompacts(t *testing.T) {
	overSockets(t, func(t *testing.T, r *running, llm *seen) {
		if !r.inForce.Load().compacts {
			t.Skip("conversations are not summed up with this store")
		}
		c := r.dial()
		id := c.completed(`"input":"remember the number 4711","store":false`)
		end := c.turn(`"input":[{"type":"compaction_trigger"}],"store":false,"previous_response_id":"` + id + `"`)
		require.Equal(t, "response.completed", end.Type, end.raw)
		require.Len(t, end.Response.Output, 1)
		require.Equal(t, "compaction", end.Response.Output[0].Type)
		c.completed(`"input":"and now?","store":false,"previous_response_id":"` + end.Response.ID + `"`)
		messages, _ := llm.last(t)
		require.Contains(t, fmt.Sprint(said(messages)), "4711")
	})
}
