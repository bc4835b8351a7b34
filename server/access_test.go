package server

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"antwort/shared/config"
	"antwort/shared/corpus"
)

// arrivals is an upstream that keeps what reaches it. The greeting of the
// readiness check is not kept.
type arrivals struct {
	mu   sync.Mutex
	seen []http.Header
}

func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodGet && r.Header.Get("X-Antwort-Subject") == "" && len(body) == 0 && strings.HasPrefix(r.UserAgent(), "antwort") {
		_, _ = io.WriteString(w, `{"object":"list","data":[{"id":"m","object":"model"}]}`)
		return
	}
	a.mu.Lock()
	a.seen = append(a.seen, r.Header)
	a.mu.Unlock()
	_, _ = io.WriteString(w, `{"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}]}`)
}

// take returns what has arrived since the last call.
func (a *arrivals) take() []http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// withKeys is the section auth of a configuration.
func withKeys(t testing.TB, auth string) func(*config.Config) {
	t.Helper()
	c, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},"auth":` + auth + `}`)})
	require.NoError(t, err)
	return func(to *config.Config) { to.Auth = c.Auth }
}

// aliceKey is a section auth with one key.
func aliceKey(key string) string {
	return fmt.Sprintf(`{"type":"api_key","api_keys":[{"sha256":"%x","subject":"alice","tenant":"team-a"}]}`, sha256.Sum256([]byte(key)))
}

// raw sends bytes and reads one answer.
func (r *running) raw(wire []byte) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	defer conn.Close()
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(guard)))
	_, err = conn.Write(wire)
	require.NoError(r.t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(r.t, err)
	return finish(r.t, resp)
}

// The cases that package policy and the filter run too.
func TestAccessCorpus(t *testing.T) {
	all, err := corpus.LoadAccess()
	require.NoError(t, err)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		up := &arrivals{}
		r := start(t, provider, upstreamOf(t, up), withKeys(t, string(all.Auth)), func(c *config.Config) { c.Engine.Retry.MaxAttempts = 1 })
		ready(t, r)
		for _, c := range all.Cases {
			if c.Only != "" && c.Only != string(provider) {
				continue
			}
			t.Run(string(provider)+"/"+c.Name, func(t *testing.T) {
				up.take()
				got := (&running{t: t, addr: r.addr}).raw(c.Wire(r.addr))
				if c.Status != 200 && got.status == 400 && strings.Contains(got.body, `"invalid_http"`) {
					require.Empty(t, up.take())
					return // net/http itself refuses it
				}
				require.Equal(t, c.Status, got.status, got.body)
				seen := up.take()
				if c.Status != 200 {
					_, param, code := got.errorCode(t)
					require.Equal(t, [2]string{c.Code, c.Param}, [2]string{code, param}, got.body)
					require.Empty(t, seen, "it reached the upstream")
					if c.Status == 401 {
						require.Equal(t, "Bearer", got.header.Get("Www-Authenticate"))
					}
					return
				}
				require.Len(t, seen, 1)
				require.Equal(t, []string{c.Subject}, seen[0]["X-Antwort-Subject"])
				require.Equal(t, c.Tenant, strings.Join(seen[0]["X-Antwort-Tenant"], ","))
				require.Empty(t, seen[0]["Authorization"], "the client's key is not for the upstream")
				require.Empty(t, seen[0]["X-Api-Key"], "the client's key is not for the upstream")
				require.NotContains(t, fmt.Sprint(seen[0]), "root", "a forged identity passed")
			})
		}
		require.NotContains(t, r.log.String(), "-key-", "a key is in the log")
		line := r.log.waitFor(t, `"status":200`, `"subject":"alice"`)
		require.Equal(t, "team-a", line["tenant"])
	}
}

func TestProbesNeedNoKey(t *testing.T) {
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withKeys(t, aliceKey("k")))
	ready(t, r)
	for _, path := range []string{"/healthz", "/health", "/readyz", "/metrics"} {
		require.Equal(t, 200, r.call("GET", path, "").status, path)
	}
	metrics := r.call("GET", "/metrics", "").body
	require.NotContains(t, metrics, "alice", "identities are no labels")

	without := start(t, config.VLLM, upstreamOf(t, &arrivals{}), withKeys(t, aliceKey("k")), func(c *config.Config) { c.Observability.Metrics.Enabled = false })
	require.Equal(t, 401, without.call("GET", "/metrics", "").status, "a path that is not there is not open")
}

func TestIdentityOverHTTP2(t *testing.T) {
	up := &arrivals{}
	r := start(t, config.VLLMResponses, upstreamOf(t, up), withKeys(t, aliceKey("k-2"))).overHTTP2()
	require.Equal(t, 401, r.post(ask).status)
	require.Empty(t, up.take())
	require.Equal(t, 200, r.post(ask, "Authorization", "Bearer k-2", "X-Antwort-Subject", "root").status)
	require.Equal(t, []string{"alice"}, up.take()[0]["X-Antwort-Subject"])
}

// Which credential the upstream gets.
func TestCredentialForTheUpstream(t *testing.T) {
	for name, test := range map[string]struct {
		auth, own     string
		authorization []string
		apiKey        []string
	}{
		"kept":                    {aliceKey("k-3"), "", nil, nil},
		"our own":                 {aliceKey("k-3"), "sk-own", []string{"Bearer sk-own"}, nil},
		"forwarded":               {strings.Replace(aliceKey("k-3"), "{", `{"forward_credential":true,`, 1), "", []string{"Bearer k-3"}, nil},
		"nobody asks":             {`{}`, "", []string{"Bearer k-3"}, nil},
		"nobody asks, but we pay": {`{}`, "sk-own", []string{"Bearer sk-own"}, nil},
		"x-api-key: kept":         {aliceKey("k-3"), "", nil, nil},
		"x-api-key: forwarded":    {strings.Replace(aliceKey("k-3"), "{", `{"forward_credential":true,`, 1), "", nil, []string{"k-3"}},
		"x-api-key: nobody asks":  {`{}`, "", nil, []string{"k-3"}},
		"x-api-key: but we pay":   {`{}`, "sk-own", []string{"Bearer sk-own"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			up := &arrivals{}
			set := func(*config.Config) {}
			if strings.Contains(test.auth, "type") {
				c, err := config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm-responses","backend_url":"http://llm"},"auth":` + test.auth + `}`)})
				require.NoError(t, err)
				set = func(to *config.Config) { to.Auth = c.Auth }
			}
			r := start(t, config.VLLMResponses, upstreamOf(t, up), set, func(c *config.Config) { c.Engine.APIKey = config.NewSecret(test.own) })
			credential := []string{"Authorization", "Bearer k-3"}
			if strings.HasPrefix(name, "x-api-key") {
				credential = []string{"X-Api-Key", "k-3"}
			}
			require.Equal(t, 200, r.post(ask, append(credential, "X-Antwort-Subject", "root", "X-Antwort-Tenant", "all")...).status)
			seen := up.take()
			require.Len(t, seen, 1)
			require.Equal(t, test.authorization, seen[0]["Authorization"])
			require.Equal(t, test.apiKey, seen[0]["X-Api-Key"])
			require.NotEqual(t, []string{"root"}, seen[0]["X-Antwort-Subject"], "a forged identity passed")
			require.Empty(t, seen[0]["X-Antwort-Tenant"][min(1, len(seen[0]["X-Antwort-Tenant"])):])
			require.NotContains(t, seen[0]["X-Antwort-Tenant"], "all", "a forged identity passed")
		})
	}
}

// A forwarded body whose model was looked at is the same body.
func TestAllowedBodyIsForwardedUnchanged(t *testing.T) {
	auth := fmt.Sprintf(`{"type":"api_key","api_keys":[{"sha256":"%x","subject":"carol","models":["m"]}]}`, sha256.Sum256([]byte("k-4")))
	var got string
	back := upstreamOf(t, chats(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{}`)
	}))
	r := start(t, config.VLLMResponses, back, withKeys(t, auth), func(c *config.Config) { c.Limits.RequestBodyBytes = 200 << 10 })
	body := ` { "input" : "` + strings.Repeat("x", 100<<10) + `", "new" : 1e400, "model":"m" }` + "\n"
	require.Equal(t, 200, r.post(body, "Authorization", "Bearer k-4").status)
	require.Equal(t, body, got)

	got = ""
	require.Equal(t, 413, r.post(`{"model":"m","input":"`+strings.Repeat("x", 300<<10)+`"}`, "Authorization", "Bearer k-4").status)
	require.Equal(t, 404, r.post(`{"model":"n"}`, "Authorization", "Bearer k-4").status)
	require.Empty(t, got)
}

// Keys are exchanged under load: nobody with a valid one is refused, who lost
// it is, and a stream that began with it goes on.
func TestKeysAreExchangedWhileServing(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte("old-key\n"), 0o600))
	auth := func() (config.Auth, error) {
		c, err := config.Load(config.Sources{ReadFile: os.ReadFile, JSON: fmt.Appendf(nil, `{"engine":{"provider":"vllm-responses","backend_url":"http://llm"},`+
			`"auth":{"type":"api_key","api_keys":[{"key_file":%q,"subject":"alice"},{"sha256":"%x","subject":"bob"}]}}`, file, sha256.Sum256([]byte("stays")))})
		if err != nil {
			return config.Auth{}, err
		}
		return c.Auth, nil
	}
	r := start(t, config.VLLMResponses, named(t, "backend", release), func(c *config.Config) {
		var err error
		c.Auth, err = auth()
		require.NoError(t, err)
	})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.Follow(ctx, func() (*config.Config, error) {
		next := *r.first.cfg
		var err error
		next.Auth, err = auth()
		return &next, err
	})

	stream := r.open("POST", "/v1/responses", strings.NewReader(`{"input":"x","stream":true}`), "X-Api-Key", "old-key")
	require.Equal(t, 200, stream.StatusCode)
	load := make(chan error, 4)
	var exchanged atomic.Bool
	for range cap(load) {
		go func() {
			for !exchanged.Load() {
				resp, err := r.do(ctx, "POST", "/v1/responses", strings.NewReader(`{"input":"x"}`), "X-Api-Key", "stays")
				if err == nil && resp.StatusCode != 200 {
					err = fmt.Errorf("a valid key was answered %d", resp.StatusCode)
				}
				if err != nil {
					load <- err
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				time.Sleep(time.Millisecond)
			}
			load <- nil
		}()
	}
	require.Equal(t, 401, r.post(`{"input":"x"}`, "X-Api-Key", "new-key").status)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	r.log.waitFor(t, "the old one stays in force", "key_file")
	require.Equal(t, 200, r.post(`{"input":"x"}`, "X-Api-Key", "old-key").status, "a broken file changes nothing")
	require.NoError(t, os.WriteFile(file, []byte("new-key"), 0o600))
	r.log.waitFor(t, "the changed configuration is in force")
	require.Equal(t, 401, r.post(`{"input":"x"}`, "X-Api-Key", "old-key").status)
	require.Equal(t, 200, r.post(`{"input":"x"}`, "X-Api-Key", "new-key").status)
	exchanged.Store(true)
	for range cap(load) {
		require.NoError(t, <-load)
	}
	close(release)
	require.Contains(t, finish(t, stream).body, "response.completed")
}

// A file that has lost its section auth, or is half written, lets nobody in.
func TestNoLiveChangeLetsEverybodyIn(t *testing.T) {
	t.Parallel()
	is := newIssuer(t)
	is.publish(key("1"))
	for _, asks := range []func(*config.Config){withKeys(t, aliceKey("k")), is.asked} {
		r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), asks)
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		next := *r.first.cfg
		next.Auth = config.Default().Auth
		go r.Follow(ctx, func() (*config.Config, error) { return &next, nil })
		r.log.waitFor(t, "the old one stays in force", "auth.type", "needs a restart")
		require.Equal(t, 401, r.post(ask).status)
	}
}
