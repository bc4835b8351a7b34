package upstream

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// proxied is a proxy that leads every host to one server. It notes the target and
// the credential of the last request for it.
type proxied struct {
	url           *url.URL
	target, basic atomic.Value
}

func newProxied(t *testing.T, to string) *proxied {
	p := &proxied{}
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.target.Store(r.Method + " " + r.RequestURI)
		p.basic.Store(r.Header.Get("Proxy-Authorization"))
		r.Header.Del("Proxy-Authorization")
		up, err := net.Dial("tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		down, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer down.Close()
		if r.Method == http.MethodConnect {
			_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
			go func() { _, _ = io.Copy(up, rw) }()
			_, _ = io.Copy(down, up)
			return
		}
		_ = r.Write(up)
		resp, err := http.ReadResponse(bufio.NewReader(up), r)
		if err == nil {
			resp.Close = true // as this connection does
			_ = resp.Write(down)
		}
	}))
	t.Cleanup(ts.Close)
	var err error
	p.url, err = url.Parse(ts.URL)
	require.NoError(t, err)
	return p
}

// The proxy is told the host in clear, and gives a tunnel to it in TLS, in which
// both protocols are spoken.
func TestProxies(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %q %s", r.Proto, r.Host, r.RequestURI, r.Header["Proxy-Authorization"], b)
	})
	clear := httptest.NewServer(answer)
	t.Cleanup(clear.Close)
	secure := httptest.NewUnstartedServer(answer)
	secure.EnableHTTP2 = true
	secure.StartTLS()
	t.Cleanup(secure.Close)
	for _, c := range []struct {
		name, base, to string
		http2          bool
		body, target   string
	}{
		{"in clear", "http://llm.internal:8000/base", clear.Listener.Addr().String(), false, "HTTP/1.1 llm.internal:8000 /base/x [] hi", "POST http://llm.internal:8000/base/x"},
		{"in TLS", "https://example.com", secure.Listener.Addr().String(), false, "HTTP/1.1 example.com /x [] hi", "CONNECT example.com:443"},
		{"HTTP/2", "https://example.com:8443", secure.Listener.Addr().String(), true, "HTTP/2.0 example.com:8443 /x [] hi", "CONNECT example.com:8443"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxied(t, c.to)
			cl := newClient(t, Auto, c.base, func(o *Options) {
				o.Proxy, o.HTTP2 = p.url, c.http2
				o.Proxy.User = url.UserPassword("me", "secret")
				o.Files.CA = authority(t, secure)
			})
			for range 2 {
				_, body := do(t, cl, post("hi"))
				require.Equal(t, c.body, body)
			}
			require.Equal(t, c.target, p.target.Load())
			require.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte("me:secret")), p.basic.Load())
		})
	}
	for name, base := range map[string]string{"in clear": "http://llm.internal", "in TLS": "https://llm.internal"} {
		cl := newClient(t, Auto, base, func(o *Options) {
			o.Proxy = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
			o.ConnectTimeout = time.Second
		})
		_, err := cl.Do(t.Context(), post("x"))
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, Connect, e.Kind, name)
	}
}

func TestWhatNoTransportCanDo(t *testing.T) {
	proxy := &url.URL{Scheme: "http", Host: "proxy"}
	for what, opt := range map[string]Options{
		"transport own neither speaks HTTP/2": {Transport: Own, HTTP2: true},
		"goes through the proxy":              {Transport: Own, Proxy: proxy},
		"HTTP/2 in clear":                     {HTTP2: true, Proxy: proxy},
	} {
		_, err := New("http://llm", opt)
		require.ErrorContains(t, err, what)
	}
}

// The environment is read once in a process, so that each needs one of its own.
func TestProxyOfTheEnvironment(t *testing.T) {
	if base := os.Getenv("PROXY_FOR"); base != "" {
		proxy, err := ProxyFor(base)
		fmt.Println("proxy:", proxy, err)
		return
	}
	for _, c := range []struct{ base, env, want string }{
		{"https://llm.example", "HTTPS_PROXY=http://proxy:3128", "http://proxy:3128 <nil>"},
		{"http://llm.example", "HTTPS_PROXY=http://proxy:3128", "<nil> <nil>"},
		{"http://llm.example", "HTTP_PROXY=proxy:3128", "http://proxy:3128 <nil>"},
		{"http://llm.example", "http_proxy=http://proxy:3128", "http://proxy:3128 <nil>"},
		{"http://127.0.0.1:8000", "HTTP_PROXY=http://proxy:3128", "<nil> <nil>"},
		{"http://llm.example", "HTTP_PROXY=://", "<nil> HTTP_PROXY and HTTPS_PROXY must be URLs"},
	} {
		for _, not := range []string{"", "NO_PROXY=other.example,llm.example"} {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestProxyOfTheEnvironment$")
			cmd.Env = append(os.Environ(), "PROXY_FOR="+c.base, c.env, not)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			want := c.want
			if not != "" {
				want = "<nil> <nil>"
			}
			require.Contains(t, string(out), "proxy: "+want, "%v, %s", c, not)
		}
	}
}
