package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"antwort/shared/config"
	"antwort/shared/corpus"
)

// issuer signs tokens and serves the keys that they can be verified with.
type issuer struct {
	url  string
	keys atomic.Pointer[jose.JSONWebKeySet] // nil: it is down
}

func newIssuer(t testing.TB) *issuer {
	is := &issuer{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		keys := is.keys.Load()
		if keys == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(keys)
	}))
	t.Cleanup(s.Close)
	is.url = s.URL
	return is
}

// key is a new key of this id; publish makes it and others known.
func key(id string) jose.JSONWebKey {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return jose.JSONWebKey{Key: private, KeyID: id}
}

func (is *issuer) publish(keys ...jose.JSONWebKey) {
	set := &jose.JSONWebKeySet{}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.Public())
	}
	is.keys.Store(set)
}

// token is one that is good for an hour, with these claims too.
func (is *issuer) token(k jose.JSONWebKey, more string) string {
	return is.tokenUntil(time.Now().Add(time.Hour), k, more)
}

func (is *issuer) tokenUntil(end time.Time, k jose.JSONWebKey, more string) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: k}, nil)
	if err != nil {
		panic(err)
	}
	jws, err := signer.Sign(fmt.Appendf(nil, `{"iss":%q,"aud":"antwort","exp":%d%s}`, is.url, end.Unix(), more))
	if err != nil {
		panic(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		panic(err)
	}
	return text
}

// asked is a configuration that asks for this issuer's tokens.
func (is *issuer) asked(c *config.Config) {
	c.Auth.Type = config.JWTAuth
	c.Auth.JWT.Issuer, c.Auth.JWT.Audiences, c.Auth.JWT.JWKSURL, c.Auth.JWT.TenantClaim = is.url, []string{"antwort"}, is.url, "org"
}

// inService waits until the server says that it is ready.
func inService(t *testing.T, r *running) {
	t.Helper()
	require.Eventually(t, func() bool { return r.call("GET", "/readyz", "").status == 200 }, guard, time.Millisecond)
}

const aliceClaims = `,"sub":"alice","org":"team-a"`

func TestTokensIdentifyCallers(t *testing.T) {
	is, k := newIssuer(t), key("1")
	is.publish(k)
	token := is.token(k, aliceClaims)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		for _, forward := range []bool{false, true} {
			if forward && provider == config.VLLM {
				continue // the configuration refuses it
			}
			t.Run(fmt.Sprint(provider, " forward ", forward), func(t *testing.T) {
				up := &arrivals{}
				r := start(t, provider, upstreamOf(t, up), is.asked, func(c *config.Config) { c.Auth.ForwardCredential = forward })
				inService(t, r)
				for _, path := range []string{"/v1/responses", "/v1/models", "/v1/nothing"} {
					got := r.call("GET", path, "")
					require.Equal(t, 401, got.status)
					require.Equal(t, "Bearer", got.header.Get("Www-Authenticate"))
				}
				got := r.post(ask, "Authorization", "Bearer "+token[:len(token)-4])
				require.Equal(t, 401, got.status)
				require.Equal(t, `Bearer error="invalid_token"`, got.header.Get("Www-Authenticate"))
				_, _, code := got.errorCode(t)
				require.Equal(t, "invalid_token", code)
				require.Equal(t, 401, r.post(ask, "X-Api-Key", token).status)
				require.Equal(t, 401, r.post(ask, "Authorization", "Bearer "+token, "X-Api-Key", token).status)
				require.Empty(t, up.take(), "it reached the upstream")

				require.Equal(t, 200, r.post(ask, "Authorization", "Bearer "+token, "X-Antwort-Subject", "root", "x_antwort_tenant", "all").status)
				seen := up.take()
				require.Len(t, seen, 1)
				require.Equal(t, []string{"alice"}, seen[0]["X-Antwort-Subject"])
				require.Equal(t, []string{"team-a"}, seen[0]["X-Antwort-Tenant"])
				require.NotContains(t, fmt.Sprint(seen[0]), "root")
				if forward {
					require.Equal(t, []string{"Bearer " + token}, seen[0]["Authorization"])
				} else {
					require.NotContains(t, fmt.Sprint(seen[0]), token, "the token is not for the upstream")
				}
				line := r.log.waitFor(t, `"status":200`, `"subject":"alice"`)
				require.Equal(t, "team-a", line["tenant"])
				require.NotContains(t, r.log.String(), token[len(token)-20:], "a token is in the log")
			})
		}
	}
}

// The cases that the policy, the filter and Envoy's verifier run too.
func TestTokenCorpus(t *testing.T) {
	all, err := corpus.LoadTokens()
	require.NoError(t, err)
	is, err := corpus.NewIssuer()
	require.NoError(t, err)
	keys := upstreamOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(is.JWKS()) }))
	auth := strings.Replace(string(all.Auth), `"jwt": {`, `"jwt": {"jwks_url":"`+keys+`",`, 1)
	for _, provider := range []config.Provider{config.VLLM, config.VLLMResponses} {
		up := &arrivals{}
		r := start(t, provider, upstreamOf(t, up), withKeys(t, auth), func(c *config.Config) { c.Engine.Retry.MaxAttempts = 1 })
		inService(t, r)
		for i := range all.Cases {
			c := &all.Cases[i]
			t.Run(string(provider)+"/"+c.Name, func(t *testing.T) {
				up.take()
				sent := c.Request(is)
				got := (&running{t: t, addr: r.addr}).raw(sent.Wire(r.addr))
				require.Equal(t, c.Status, got.status, got.body)
				seen := up.take()
				if c.Status == 200 {
					require.Len(t, seen, 1)
					require.Equal(t, []string{c.Subject}, seen[0]["X-Antwort-Subject"])
					require.Equal(t, c.Tenant, strings.Join(seen[0]["X-Antwort-Tenant"], ","))
					require.Empty(t, seen[0]["Authorization"], "the token is not for the upstream")
					require.NotContains(t, fmt.Sprint(seen[0]), "root", "a forged identity passed")
					return
				}
				require.Empty(t, seen, "it reached the upstream")
				_, _, code := got.errorCode(t)
				require.Equal(t, c.Code, code, got.body)
				if c.Status == 401 {
					require.Equal(t, map[string]string{"missing_token": "Bearer", "invalid_token": `Bearer error="invalid_token"`}[code], got.header.Get("Www-Authenticate"))
				}
			})
		}
	}
}

func TestTokensOverHTTP2(t *testing.T) {
	is, k := newIssuer(t), key("1")
	is.publish(k)
	up := &arrivals{}
	r := start(t, config.VLLM, upstreamOf(t, up), is.asked)
	inService(t, r)
	r = r.overHTTP2()
	require.Equal(t, 401, r.post(ask).status)
	require.Equal(t, 200, r.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims)).status)
}

// Both tiers ask for the token when the first one passes it on.
func TestTokensThroughTheChain(t *testing.T) {
	is, k := newIssuer(t), key("1")
	is.publish(k)
	up := &arrivals{}
	back := start(t, config.VLLM, upstreamOf(t, up), is.asked)
	front := back.front(is.asked, func(c *config.Config) { c.Auth.ForwardCredential = true })
	inService(t, back)
	inService(t, front)
	require.Equal(t, 401, front.post(ask).status)
	require.Equal(t, 200, front.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims)).status)
	require.Equal(t, []string{"alice"}, up.take()[0]["X-Antwort-Subject"])
	for _, r := range []*running{back, front} {
		r.log.waitFor(t, `"status":200`, `"path":"/v1/responses"`, `"subject":"alice"`)
	}

	kept := back.front(is.asked)
	inService(t, kept)
	got := kept.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims))
	require.Equal(t, 401, got.status, "the backend asks too, and was sent nothing: %s", got.body)
	require.Empty(t, up.take())
}

// Without the issuer's keys the pod is not ready, and whoever asks all the same
// hears that it is not the token's fault.
func TestIssuerIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	is, k := newIssuer(t), key("1")
	up := &arrivals{}
	r := start(t, config.VLLM, upstreamOf(t, up), is.asked)
	r.log.waitFor(t, "upstream answers")
	r.log.waitFor(t, "cannot get the issuer's keys", "status 502")
	got := r.call("GET", "/readyz", "")
	require.Equal(t, []any{503, "waiting for the keys of the tokens' issuer\n"}, []any{got.status, got.body})
	require.Equal(t, 200, r.call("GET", "/healthz", "").status)
	got = r.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims))
	require.Equal(t, []any{503, "5"}, []any{got.status, got.header.Get("Retry-After")})
	_, _, code := got.errorCode(t)
	require.Equal(t, "auth_unavailable", code)
	require.Empty(t, got.header.Get("Www-Authenticate"))
	require.Empty(t, up.take())
	r.log.waitFor(t, `"failure":"auth_unavailable"`, `"cause":"there are no keys of the issuer"`)

	is.publish(k)
	inService(t, r)
	require.Equal(t, 200, r.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims)).status)
	is.keys.Store(nil)
	require.Equal(t, 200, r.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims)).status, "the last good keys go on")
	inService(t, r)
}

// The issuer exchanges its keys under load: nobody with a valid token is
// refused, and a stream goes on.
func TestIssuersKeysAreExchangedWhileServing(t *testing.T) {
	slow(t)
	is, release := newIssuer(t), make(chan struct{})
	keys := []jose.JSONWebKey{key("0"), key("1")}
	is.publish(keys...)
	r := start(t, config.VLLMResponses, named(t, "backend", release), is.asked, func(c *config.Config) { c.Auth.JWT.JWKSRefresh = 10 * time.Millisecond })
	inService(t, r)
	var current string
	var inUse sync.RWMutex // held for reading by requests with the current token: none outlasts its key
	use := func(k jose.JSONWebKey) {
		inUse.Lock()
		defer inUse.Unlock()
		current = is.token(k, aliceClaims)
	}
	use(keys[0])
	first := current

	stream := r.open("POST", "/v1/responses", strings.NewReader(`{"input":"x","stream":true}`), "Authorization", "Bearer "+first)
	require.Equal(t, 200, stream.StatusCode)
	load := make(chan error, 4)
	var over atomic.Bool
	for range cap(load) {
		go func() {
			var err error
			for err == nil && !over.Load() {
				inUse.RLock()
				var resp *http.Response
				resp, err = r.do(context.Background(), "POST", "/v1/responses", strings.NewReader(`{"input":"x"}`), "Authorization", "Bearer "+current)
				inUse.RUnlock()
				if err == nil {
					if resp.StatusCode != 200 {
						err = fmt.Errorf("a valid token was answered %d", resp.StatusCode)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
			load <- err
		}()
	}
	for i := 2; i < 8; i++ { // the next one is known before it is used, the last one after
		keys = append(keys, key(fmt.Sprint(i)))
		is.publish(keys[i-2:]...)
		use(keys[i-1])
		require.Eventually(t, func() bool {
			return r.post(`{"input":"x"}`, "Authorization", "Bearer "+is.token(keys[i], aliceClaims)).status == 200
		}, guard, time.Millisecond)
	}
	over.Store(true)
	for range cap(load) {
		require.NoError(t, <-load)
	}
	require.Equal(t, 401, r.post(`{"input":"x"}`, "Authorization", "Bearer "+first).status, "its key was withdrawn")
	close(release)
	require.Contains(t, finish(t, stream).body, "response.completed")
}

// A changed configuration is in force once it can let somebody in.
func TestChangedIssuer(t *testing.T) {
	t.Parallel()
	one, two, k := newIssuer(t), newIssuer(t), key("1")
	one.publish(k)
	r := start(t, config.VLLM, upstreamOf(t, &arrivals{}), one.asked)
	inService(t, r)
	var cfg atomic.Pointer[config.Config]
	with := func(edit func(*config.Config)) { c := *r.first.cfg; edit(&c); cfg.Store(&c) }
	with(func(*config.Config) {})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go r.Follow(ctx, func() (*config.Config, error) { return cfg.Load(), nil })
	status := func(is *issuer) int {
		return r.post(ask, "Authorization", "Bearer "+is.token(k, aliceClaims)).status
	}

	with(two.asked)
	r.log.waitFor(t, "the old one stays in force", "auth.jwt.jwks_url: status 502")
	require.NotContains(t, r.log.String(), "cannot get the issuer's keys", "it is told once, not with each try")
	require.Equal(t, 200, status(one))
	two.publish(k)
	r.log.waitFor(t, "the changed configuration is in force")
	require.Equal(t, []int{401, 200}, []int{status(one), status(two)})

	one.keys.Store(nil)
	two.keys.Store(nil)
	with(func(c *config.Config) { two.asked(c); c.Auth.JWT.ClockSkew = time.Second })
	require.Eventually(t, func() bool { return strings.Count(r.log.String(), "the changed configuration is in force") == 2 }, guard, time.Millisecond)
	require.Equal(t, 200, status(two), "the keys that were there are shared")
}

func TestTokensFromAFileThatIsNotThere(t *testing.T) {
	cfg := config.Default()
	newIssuer(t).asked(cfg)
	cfg.Engine.Provider, cfg.Engine.BackendURL = config.VLLM, "http://llm"
	cfg.Auth.JWT.JWKSURL, cfg.Auth.JWT.JWKSFile = "", "/nowhere/jwks.json"
	_, err := New(cfg, Options{})
	require.ErrorContains(t, err, "auth.jwt.jwks_file: open /nowhere/jwks.json")
}
