package server

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
)

// targets is an upstream that keeps the request lines and the credentials that
// reach it.
type targets struct {
	mu   sync.Mutex
	seen []string
}

func (u *targets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if r.Header.Get("X-Antwort-Subject") != "" || !strings.HasPrefix(r.UserAgent(), "antwort") {
		u.mu.Lock()
		u.seen = append(u.seen, r.Method+" "+r.RequestURI)
		u.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"object":"list","data":[]}`)
}

func (u *targets) take() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	seen := u.seen
	u.seen = nil
	return seen
}

// odd are paths that somebody may read as one of the API's.
var odd = []string{
	"//v1/responses", "/v1//responses", "/v1/responses/", "/v1/responses//", "/v1/./responses", "/v1/../v1/responses", "/v1/x/../responses",
	"/./v1/responses", "/v1/responses/.", "/v1/responses/..", "/v1/responses/../responses", "/v1/responses/%2e%2e/models",
	"/v1/%72esponses", "/%76%31/responses", "/v1%2fresponses", "/v1%2Fresponses", "/v1/responses%2f", "/v1/responses%2F..%2Fmodels",
	"/v1/responses;a=b", "/v1;a=b/responses", "/v1/responses;/cancel", "/v1/responses%3bx", "/v1/responses%00", "/v1/responses%0a", "/v1/responses%20",
	"/v1/responses\\", "\\v1\\responses", "/v1\\responses", "/V1/responses", "/v1/Responses", "/v1/responses.", "/v1/responses%", "/v1/responses%zz",
	"/v1/responses/%2e%2e%2f%2e%2e%2fmetrics", "/healthz/../v1/responses", "/healthz/..;/v1/responses", "/metrics/../v1/responses",
	"/healthz%2f..%2fv1%2fresponses", "/readyz/v1/responses", "/healthz?/v1/responses", "/healthz/", "/healthz;/v1/responses", "//healthz",
	"/v1/models/..", "/v1/models/%2e%2e/responses", "/v1/models/../responses", "/v1/models/..%2fresponses", "/v1/models/a/../../responses",
	"/v1/chat/completions", "/v1/models/../chat/completions", "/v1/responses/../chat/completions", "/v1/models/..%2fchat%2fcompletions",
	"*", "v1/responses", "", "/", "/v1", "/v1/", "#/v1/responses", "/v1/responses#x", "http://x/v1/responses", "http://[::1/v1/responses", "https://x//v1/responses",
	"http:///v1/responses", "x:80", "mailto:v1/responses", "/v1/responses HTTP/1.1\r\nX: y", "/v1/responses\tx", "/v1/respo\x00nses", "/v1/respönses",
}

// None of them reaches the backend without a key, and with one only those that
// are the API's to the letter.
func TestPathTricks(t *testing.T) {
	api := []string{"POST /v1/responses", "GET /v1/responses", "OPTIONS /v1/responses", "POST /v1/chat/completions"}
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		up := &targets{}
		r := start(t, provider, upstreamOf(t, up), withKeys(t, aliceKey("k")))
		ready(t, r)
		for _, path := range odd {
			for _, method := range []string{"POST", "GET", "OPTIONS"} {
				for _, credential := range []string{"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer k\r\n"} {
					up.take()
					conn := dial(t, r)
					conn.send(method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + credential + "Content-Type: application/json\r\nContent-Length: 26\r\nConnection: close\r\n\r\n" + `{"model":"m","input":"hi"}`)
					resp, err := http.ReadResponse(conn.r, &http.Request{Method: method})
					require.NoError(t, err)
					status := finish(t, resp).status
					seen := up.take()
					if strings.HasSuffix(credential, " k\r\n") {
						for _, line := range seen {
							require.Contains(t, api, line, "%s %q", method, path)
						}
						continue
					}
					require.Empty(t, seen, "%s %q reached the backend without a key", method, path)
					if !strings.HasPrefix(path, "/healthz?") {
						require.Contains(t, []int{400, 401}, status, "%s %q", method, path)
					}
				}
			}
		}
	}
}

func TestPathTricksOverHTTP2(t *testing.T) {
	up := &targets{}
	r := start(t, config.VLLMResponses, upstreamOf(t, up), withKeys(t, aliceKey("k"))).overHTTP2()
	ready(t, r)
	for _, path := range odd {
		if _, err := url.ParseRequestURI(path); err != nil || path[0] != '/' || strings.ContainsAny(path, "\r\n") {
			continue // the client does not send it, or tries it again when its stream is reset
		}
		for _, credential := range []string{"Bearer wrong", "Bearer k"} {
			req, err := http.NewRequest("POST", r.url, strings.NewReader(ask))
			require.NoError(t, err)
			req.URL = &url.URL{Scheme: "http", Host: r.addr, Opaque: "//" + r.addr + path}
			req.Header.Set("Authorization", credential)
			resp, err := r.client.Do(req)
			require.NoError(t, err, path)
			status := finish(t, resp).status
			seen := up.take()
			if credential == "Bearer k" {
				for _, line := range seen {
					require.Contains(t, []string{"POST /v1/responses"}, line, path)
				}
				continue
			}
			require.Empty(t, seen, "%q reached the backend without a key", path)
			if !strings.HasPrefix(path, "/healthz?") {
				require.Contains(t, []int{400, 401}, status, path)
			}
		}
	}
}

// Bytes in which two readers can see two requests. Each is refused, and what
// follows it on the connection is not taken for a request.
func TestSmuggling(t *testing.T) {
	const smuggled = "DELETE /v1/responses/resp_1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n"
	const post = "POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n"
	chunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(ask), ask)
	length := fmt.Sprintf("Content-Length: %d\r\n", len(ask))
	cases := map[string]string{
		"both lengths":                          post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"both lengths, the other way":           post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunk,
		"both lengths in odd cases":             post + "content-LENGTH: 4\r\ntransfer-ENCODING: Chunked\r\n\r\n" + chunk,
		"both lengths, the same body":           post + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n", len(chunk)) + chunk,
		"both lengths, one zero":                post + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"both lengths in a GET":                 "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"both lengths, one hidden":              post + "Connection: Content-Length\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"two lengths":                           post + length + "Content-Length: 0\r\n\r\n" + ask,
		"two equal lengths":                     post + length + length + "\r\n" + ask,
		"two lengths in one field":              post + fmt.Sprintf("Content-Length: %d, 0\r\n\r\n", len(ask)) + ask,
		"a length with a sign":                  post + fmt.Sprintf("Content-Length: +%d\r\n\r\n", len(ask)) + ask,
		"a negative length":                     post + "Content-Length: -1\r\n\r\n" + ask,
		"a length in hex":                       post + "Content-Length: 0x1a\r\n\r\n" + ask,
		"a length with a blank":                 post + "Content-Length: 2 6\r\n\r\n" + ask,
		"a length with an underscore":           post + "Content-Length: 2_6\r\n\r\n" + ask,
		"a length beyond all numbers":           post + "Content-Length: 99999999999999999999\r\n\r\n" + ask,
		"an empty length":                       post + "Content-Length: \r\n\r\n" + ask,
		"a length with a blank before its sign": post + strings.Replace(length, ":", " :", 1) + "\r\n" + ask,
		"chunked and identity":                  post + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunk,
		"identity":                              post + "Transfer-Encoding: identity\r\n" + length + "\r\n" + ask,
		"identity and chunked":                  post + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunk,
		"xchunked":                              post + "Transfer-Encoding: xchunked\r\n" + length + "\r\n" + ask,
		"chunked in quotes":                     post + "Transfer-Encoding: \"chunked\"\r\n" + length + "\r\n" + ask,
		"chunked twice":                         post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"chunked and a comma":                   post + "Transfer-Encoding: chunked,\r\n\r\n" + chunk,
		"chunked with a parameter":              post + "Transfer-Encoding: chunked;a=b\r\n\r\n" + chunk,
		"chunked after a vertical tab":          post + "Transfer-Encoding: \vchunked\r\n" + length + "\r\n" + ask,
		"a blank before the colon":              post + "Transfer-Encoding : chunked\r\n" + length + "\r\n" + ask,
		"a tab before the colon":                post + "Transfer-Encoding\t: chunked\r\n" + length + "\r\n" + ask,
		"a folded coding":                       post + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunk,
		"a folded coding beside a length":       post + length + "X: y\r\n\tTransfer-Encoding: chunked\r\n\r\n" + ask,
		"a folded first field":                  "POST /v1/responses HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: x\r\n\r\n" + chunk,
		"a coding after a CR":                   post + length + "X: y\rTransfer-Encoding: chunked\r\n\r\n" + ask,
		"a coding after an LF":                  post + length + "X: y\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"a coding after a NUL":                  post + length + "X: y\x00Transfer-Encoding: chunked\r\n\r\n" + ask,
		"a field that ends with LF":             post + "X: y\n" + length + "\r\n" + ask,
		"a header that ends with LF":            post + length + "\n" + ask,
		"a request line that ends with LF":      "POST /v1/responses HTTP/1.1\nHost: x\r\nAuthorization: Bearer k\r\n" + length + "\r\n" + ask,
		"only LF":                               strings.ReplaceAll(post+length+"\r\n", "\r\n", "\n") + ask,
		"a coding in HTTP/1.0":                  strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\n" + length + "Transfer-Encoding: chunked\r\n\r\n" + ask,
		"only a coding in HTTP/1.0":             strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk,
		"a name with a blank":                   post + "Content Length: 4\r\n" + length + "\r\n" + ask,
		"a name with a NUL":                     post + "X\x00: y\r\n" + length + "\r\n" + ask,
		"a value with a CR":                     post + "X: a\rb\r\n" + length + "\r\n" + ask,
		"a field without a name":                post + ": y\r\n" + length + "\r\n" + ask,
		"a line without a colon":                post + "X\r\n" + length + "\r\n" + ask,
		"two hosts":                             post + "Host: y\r\n" + length + "\r\n" + ask,
		"a chunk with a sign":                   post + "Transfer-Encoding: chunked\r\n\r\n+1a\r\n" + ask + "\r\n0\r\n\r\n",
		"a chunk that is too short":             post + "Transfer-Encoding: chunked\r\n\r\n5\r\n" + ask + "\r\n0\r\n\r\n",
		"a chunk that overflows":                post + "Transfer-Encoding: chunked\r\n\r\n10000000000000001a\r\n" + ask + "\r\n0\r\n\r\n",
		"an old version":                        "POST /v1/responses HTTP/0.9\r\nHost: x\r\nAuthorization: Bearer k\r\n" + length + "\r\n" + ask,
	}
	const pipelined = "in one write"
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		up := &targets{}
		r := start(t, provider, upstreamOf(t, up), withKeys(t, aliceKey("k")))
		ready(t, r)
		for name, wire := range cases {
			for _, conns := range []struct{ name, before, between string }{
				{"new", "", ""},
				{"used", "GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n\r\n", ""},
				// net/http skips empty lines after a POST.
				{"after a POST and a line", post + length + "\r\n" + ask, "\r\n"},
				{"after a POST and two lines", post + length + "\r\n" + ask, "\r\n\r\n"},
				// In the same segment as a request before.
				{"after a GET, pipelined", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", pipelined},
				{"after a POST, pipelined", "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", pipelined},
				{"after a coded POST, pipelined", "POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n", pipelined},
			} {
				t.Run(string(provider)+"/"+name+"/"+conns.name, func(t *testing.T) {
					conn := dial(t, r)
					if conns.between == pipelined {
						conn.send(conns.before + wire + smuggled)
					} else if conns.before != "" {
						conn.send(conns.before)
					}
					if conns.before != "" {
						require.NotEqual(t, 400, conn.answer().status)
					}
					up.take()
					if conns.between != pipelined {
						conn.send(conns.between + wire + smuggled)
					}
					got := conn.answer()
					require.Contains(t, []int{400, 501, 505}, got.status, got.body)
					got.errorCode(t)
					rest, _ := io.ReadAll(conn.r)
					require.Empty(t, string(rest), "what came after it was taken for a request")
					for _, line := range up.take() {
						// A body that breaks off is noticed while it is passed on.
						require.True(t, strings.Contains(name, "chunk") && line == "POST /v1/responses", "%s reached the backend", line)
					}
				})
			}
		}
	}
}

// What is sent before it is asked for is served, in whatever pieces it comes.
func TestPipelinedRequests(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, chatWhole)
	})))
	ready(t, r)
	chunked := "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" +
		fmt.Sprintf("%x\r\n%s\r\n2;a=b\r\n  \r\n0\r\nX: y\r\n\r\n", len(ask), ask)
	probe := "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
	wire := probe + "\r\n" + chunked + probe + request(ask) + "\r\n\r\n" + chunked + chunked + request(ask) + probe
	for _, piece := range []int{len(wire), 1, 2, 3, 50, 100, 1000} {
		conn := dial(t, r)
		go func() {
			for at := 0; at < len(wire); at += piece {
				_, _ = io.WriteString(conn.Conn, wire[at:min(len(wire), at+piece)])
			}
		}()
		for i := range 8 {
			require.Equal(t, 200, conn.answer().status, "answer %d, in pieces of %d", i, piece)
		}
	}

	// The header's begin comes with the request before, its end looks like one.
	conn := dial(t, r)
	conn.send(probe + "POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nX: ")
	require.Equal(t, 200, conn.answer().status)
	conn.send(chunked)
	require.Equal(t, 400, conn.answer().status)
	conn.closed()
}

func TestTargetsAndHeadersThatAreTooLong(t *testing.T) {
	up := &targets{}
	c := newCertified(t, "antwort")
	plain := start(t, config.VLLMResponses, upstreamOf(t, up), func(c *config.Config) { c.Server.MaxHeaderBytes = 16 << 10 })
	secure := c.start(t, config.VLLMResponses, upstreamOf(t, up))
	for _, r := range []*running{plain, plain.overHTTP2(), secure, c.over(t, secure, true)} {
		require.Equal(t, 200, r.call("GET", "/v1/models?"+strings.Repeat("x", maxTarget-len("/v1/models?")), "").status)
		up.take()
		got := r.call("GET", "/v1/models?"+strings.Repeat("x", maxTarget), "")
		_, _, code := got.errorCode(t)
		require.Equal(t, []any{414, "uri_too_long"}, []any{got.status, code})
		require.Equal(t, 414, r.call("GET", "/"+strings.Repeat("x", maxTarget), "").status)
		require.Empty(t, up.take())
	}
	for _, long := range []string{
		"GET /" + strings.Repeat("x", 32<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X: y\r\n", 8<<10) + "\r\n",
	} {
		conn := dial(t, plain)
		conn.send(long)
		got := conn.answer()
		require.Equal(t, 431, got.status)
		_, _, code := got.errorCode(t)
		require.Equal(t, "header_too_large", code)
	}
}

// slowness is how long clients may take in tests of slow ones. A handshake, which
// all must make, has more: the machine may be slow too.
func slowness(c *config.Config) {
	c.Server.ReadHeaderTimeout, c.Server.ReadTimeout, c.Server.IdleTimeout = time.Second, 200*time.Millisecond, 200*time.Millisecond
}

// Who sends slowly is let go: in the header, the body and between requests.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	c := newCertified(t, "antwort")
	up := &targets{}
	plain := start(t, config.VLLM, upstreamOf(t, up), slowness)
	secure := c.start(t, config.VLLM, upstreamOf(t, up), slowness)
	conns := map[string]*rawClient{}
	for name, test := range map[string]struct{ begin, drip string }{
		"a request line":         {"GET /v1/resp", "x"},
		"a header":               {"GET /healthz HTTP/1.1\r\nHost: x\r\n", "X: y\r\n"},
		"a body":                 {"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n", " "},
		"a chunked body":         {"POST /v1/responses HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n"},
		"a body nobody asks for": {"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n", " "},
		"the next request":       {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		"nothing":                {"", ""},
	} {
		for kind, conn := range map[string]*rawClient{"plain": dial(t, plain), "TLS": c.dial(t, secure)} {
			conns[name+"/"+kind] = conn
			conn.send(test.begin)
			go conn.keepSending(test.drip, 20*time.Millisecond)
		}
	}
	for name, conn := range conns {
		t.Run(name, func(t *testing.T) {
			_, err := io.Copy(io.Discard, conn.r)
			require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the server keeps it")
		})
	}
}

// Fields that Connection names are for this connection, and its forgeries of
// ours are not for the backend.
func TestFieldsOfTheConnection(t *testing.T) {
	up := &arrivals{}
	r := start(t, config.VLLMResponses, upstreamOf(t, up), withKeys(t, aliceKey("k")))
	ready(t, r)
	conn := dial(t, r)
	conn.send("POST /v1/responses HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n" +
		"Connection: X-Secret, keep-alive, X-Antwort-Subject, Authorization, X-Forwarded-For, te\r\nConnection: x-other\r\n" +
		"X-Secret: 1\r\nX-Other: 2\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\nUpgrade: websocket\r\nTrailer: X-T\r\n" +
		"X-Stays: 3\r\nContent-Length: 26\r\n\r\n" + `{"model":"m","input":"hi"}`)
	require.Equal(t, 200, conn.answer().status)
	seen := up.take()
	require.Len(t, seen, 1)
	for _, field := range []string{"X-Secret", "X-Other", "Te", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Upgrade", "Trailer", "Authorization"} {
		require.Empty(t, seen[0][field], field)
	}
	require.Equal(t, []string{"3"}, seen[0]["X-Stays"])
	require.Equal(t, []string{"alice"}, seen[0]["X-Antwort-Subject"], "a client takes its identity away")
	require.Equal(t, []string{"127.0.0.1"}, seen[0]["X-Forwarded-For"])
}

// What a request points to is the model server's to fetch, not ours.
func TestNothingInARequestIsFetched(t *testing.T) {
	var mu sync.Mutex
	var fetched []string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		fetched = append(fetched, r.URL.Path)
	}))
	defer elsewhere.Close()
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		var passed []byte
		r := start(t, provider, upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
			passed, _ = io.ReadAll(r.Body)
			answering(w)
		})))
		for _, part := range []string{
			`{"type":"input_image","image_url":"` + elsewhere.URL + `/image"}`,
			`{"type":"input_file","file_url":"` + elsewhere.URL + `/file"}`,
			`{"type":"input_image","image_url":"file:///etc/passwd"}`,
		} {
			passed = nil
			got := r.post(`{"model":"m","input":[{"role":"user","content":[` + part + `]}]}`)
			if got.status == 200 {
				require.True(t, bytes.Contains(passed, []byte(elsewhere.URL)) || bytes.Contains(passed, []byte("/etc/passwd")), "%s", passed)
			}
			require.NotContains(t, string(passed), "root:")
		}
	}
	require.Empty(t, fetched)
}
