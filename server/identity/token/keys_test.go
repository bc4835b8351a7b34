package token

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// withURL is a verifier that asks this issuer; it is not started, so that a test
// says when it asks.
func withURL(t *testing.T, url string) (*Verifier, *clock) {
	t.Helper()
	c := newClock()
	return verifierOf(t, settings(`"jwks_url":"`+url+`"`), c), c
}

func (v *Verifier) fetchNow() { <-v.keys.begin() }

func identify(t *testing.T, v *Verifier, token string) (who string, refused *responses.Error) {
	t.Helper()
	caller, refused, _ := v.Identify(t.Context(), bearer(token), nil)
	if caller != nil {
		who = caller.Subject
	}
	return who, refused
}

func signed(kid string) string {
	return sign(jose.ES256, ecKey(), map[string]any{"kid": kid}, claims(nil))
}

func requireUnavailable(t *testing.T, refused *responses.Error) {
	t.Helper()
	require.NotNil(t, refused)
	require.Equal(t, []any{503, "auth_unavailable", "5"}, []any{refused.Status, refused.Code, refused.RetryAfter}, refused.Message)
}

// Without keys nobody is let in, and nobody is told that the token is wrong.
func TestWithoutKeys(t *testing.T) {
	tooMany := make([]any, maxKeys+1)
	for i := range tooMany {
		tooMany[i] = jwk(ecKey(), "k", "")
	}
	serve := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
	}
	for name, test := range map[string]struct {
		answer  http.HandlerFunc
		problem string
	}{
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, "status 500"},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "status 204"},
		"a cut answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = w.Write([]byte("{"))
		}, "unexpected EOF"},
		"garbage":             {serve("<html>"), "it is not a JSON Web Key Set"},
		"half a set":          {serve(`{"keys":[`), "it is not a JSON Web Key Set"},
		"no keys":             {serve(`{}`), "it has no key"},
		"an empty set":        {serve(`{"keys":[]}`), "it has no key"},
		"a discovery page":    {serve(`{"jwks_uri":"https://issuer.example/jwks"}`), "it has no key"},
		"too many keys":       {serve(string(keySetOf(tooMany...))), "it has 101 keys, at most 100 are allowed"},
		"a set of any length": {serve(`{"keys":[],"x":"` + strings.Repeat("x", maxDocument) + `"}`), "more than 1048576 bytes"},
		"a bomb": {func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}, "more than 1048576 bytes"},
		"redirects without end": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) }, "more than 3 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t, nil)
			is.answer(test.answer)
			v, _ := withURL(t, is.URL)
			v.fetchNow()
			require.ErrorContains(t, v.Await(t.Context()), "auth.jwt.jwks_url: ")
			require.Contains(t, v.keys.lastProblem(), test.problem)
			require.False(t, v.HadKeys())
			for _, token := range []string{signed("k"), forge(`{"alg":"none"}`, `{"sub":"root"}`, func(string) []byte { return nil })} {
				_, refused := identify(t, v, token)
				requireUnavailable(t, refused)
			}
			_, refused := identify(t, v, "")
			require.Equal(t, 401, refused.Status, "who has no token needs no key to hear so")
		})
	}
}

func TestAnIssuerThatIsNotThere(t *testing.T) {
	is := newIssuer(t, nil)
	is.Close()
	v, _ := withURL(t, is.URL+"/jwks?key=secret")
	err := v.Await(t.Context())
	require.ErrorContains(t, err, "connection refused")
	require.NotContains(t, err.Error(), "secret", "a query may have a key")
	_, refused := identify(t, v, signed("k"))
	requireUnavailable(t, refused)
}

// A slow issuer holds nobody up who has been let in before.
func TestASlowIssuer(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(ecKey(), "k", "")))
	v, clock := withURL(t, is.URL)
	v.fetchNow()
	release := make(chan struct{})
	is.answer(func(w http.ResponseWriter, _ *http.Request) { <-release; w.WriteHeader(500) })
	clock.pass(time.Minute)
	done := v.keys.begin()
	who, refused := identify(t, v, signed("k"))
	require.Nil(t, refused)
	require.Equal(t, "alice", who)
	close(release)
	<-done
}

func TestLastGoodKeysLastForAWhile(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(ecKey(), "k", "")))
	v, clock := withURL(t, is.URL)
	v.fetchNow()
	token := sign(jose.ES256, ecKey(), map[string]any{"kid": "k"}, claims(map[string]any{"exp": fixedTime.Add(100 * time.Hour).Unix()}))
	is.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) })

	clock.pass(5*time.Minute + outage)
	v.fetchNow()
	who, _ := identify(t, v, token)
	require.Equal(t, "alice", who, "the keys are still believed")
	clock.pass(time.Second)
	_, refused := identify(t, v, token)
	requireUnavailable(t, refused)
	require.True(t, v.HadKeys(), "the pod stays in service")

	is.publish(jwk(ecKey(), "k", ""))
	is.handler.Store(nil)
	v.fetchNow()
	who, _ = identify(t, v, token)
	require.Equal(t, "alice", who)
}

func TestUnknownKeysAreAskedForNowAndThen(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(rsaKey(), "old", "")))
	v, clock := withURL(t, is.URL)
	v.fetchNow()
	for range 20 {
		_, refused := identify(t, v, signed("new"))
		require.Equal(t, "invalid_token", refused.Code)
	}
	require.EqualValues(t, 1, is.asked.Load(), "they have just been fetched")
	clock.pass(askAgain)
	for range 20 {
		_, refused := identify(t, v, signed("new"))
		require.Equal(t, "invalid_token", refused.Code)
	}
	require.EqualValues(t, 2, is.asked.Load(), "once")

	is.publish(jwk(rsaKey(), "old", ""), jwk(ecKey(), "new", ""))
	clock.pass(askAgain)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			who, refused := identify(t, v, signed("new"))
			if who != "alice" {
				t.Errorf("a token of a new key was refused: %v", refused)
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 3, is.asked.Load(), "once for all of them")

	is.answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	clock.pass(askAgain)
	_, refused := identify(t, v, signed("newer"))
	requireUnavailable(t, refused)
	_, refused = identify(t, v, signed("newer"))
	requireUnavailable(t, refused)
	who, _ := identify(t, v, signed("new"))
	require.Equal(t, "alice", who, "known keys go on")
	require.EqualValues(t, 4, is.asked.Load())
}

// A key that the issuer withdraws is not believed any more, remembered or not.
func TestWithdrawnKeys(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(ecKey(), "k", ""), jwk(rsaKey(), "r", "")))
	v, _ := withURL(t, is.URL)
	v.fetchNow()
	token := signed("k")
	who, _ := identify(t, v, token)
	require.Equal(t, "alice", who)
	v.fetchNow()
	require.NotNil(t, v.cache.get(sha256.Sum256([]byte(token)), v.keys.current(), fixedTime), "the same keys again change nothing")
	is.publish(jwk(rsaKey(), "r", ""))
	v.fetchNow()
	_, refused := identify(t, v, token)
	require.Equal(t, "invalid_token", refused.Code)
}

func TestRedirects(t *testing.T) {
	plain := newIssuer(t, keySetOf(jwk(ecKey(), "k", "")))
	for hops, ok := range map[int]bool{1: true, 3: true, 4: false} {
		from := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(r.URL.Path) < hops {
				http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
				return
			}
			http.Redirect(w, r, plain.URL, http.StatusFound)
		}))
		v, _ := withURL(t, from.URL+"/")
		require.Equal(t, ok, v.Await(t.Context()) == nil, "%d redirects", hops)
		from.Close()
	}
	ask := func(url string) *http.Request { return must(http.NewRequest(http.MethodGet, url, nil)) }
	require.ErrorContains(t, checkRedirect(ask("http://a"), []*http.Request{ask("https://a")}), "a redirect from https to http")
	require.NoError(t, checkRedirect(ask("https://b"), []*http.Request{ask("http://a")}))
}

func TestKeysInAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	write := func(document []byte) { require.NoError(t, os.WriteFile(path, document, 0o600)) }
	cfg, clock := settings(`"jwks_file":"`+path+`"`), newClock()
	for document, problem := range map[string]string{"": "not a JSON Web Key Set", `{"keys":[]}`: "it has no key"} {
		write([]byte(document))
		_, err := New(&cfg.Auth.JWT, policy.NewAccess(cfg), nil, Options{Log: discard, Now: clock.now})
		require.ErrorContains(t, err, "auth.jwt.jwks_file: ")
		require.ErrorContains(t, err, problem)
	}
	write(keySetOf(jwk(ecKey(), "k", "")))
	v := verifierOf(t, cfg, clock)
	who, _ := identify(t, v, signed("k"))
	require.Equal(t, "alice", who)

	write([]byte("half a f"))
	v.fetchNow()
	clock.pass(30 * 24 * time.Hour)
	require.NotNil(t, v.keys.current(), "a wrong file leaves the old keys in force")
	clock.pass(-30 * 24 * time.Hour)

	write(keySetOf(jwk(ecKey(), "k2", "")))
	clock.pass(readAgain)
	who, refused := identify(t, v, signed("k2"))
	require.Equal(t, "alice", who, "%v", refused)
	_, refused = identify(t, v, signed("k"))
	require.Equal(t, "invalid_token", refused.Code)
}

func TestKeysAreKeptFresh(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(ecKey(), "k", "")))
	v, _ := withURL(t, is.URL)
	v.keys.refresh = time.Millisecond
	v.Start()
	require.Eventually(t, func() bool { return is.asked.Load() > 3 }, time.Minute, time.Millisecond)
	is.publish(jwk(ecKey(), "k2", ""))
	require.Eventually(t, func() bool {
		caller, _, _ := v.Identify(t.Context(), bearer(signed("k2")), nil)
		return caller != nil
	}, time.Minute, time.Millisecond)
	v.Stop()
}

func TestPauses(t *testing.T) {
	v, _ := withURL(t, "http://issuer.example")
	for failures, want := range map[int]time.Duration{0: 5 * time.Minute, 1: time.Second, 3: 4 * time.Second, 6: retryMax, 1000: retryMax} {
		v.keys.failures = failures
		require.Equal(t, want, v.keys.pause(), "after %d failures", failures)
	}
	v.keys.refresh, v.keys.failures = readAgain, 9
	require.Equal(t, readAgain, v.keys.pause())
}

func TestKeysAreSharedWithTheNextConfiguration(t *testing.T) {
	is := newIssuer(t, keySetOf(jwk(ecKey(), "k", "")))
	cfg := settings(`"jwks_url":"` + is.URL + `"`)
	v := verifierOf(t, cfg, newClock())
	v.fetchNow()
	next := settings(`"jwks_url":"` + is.URL + `","clock_skew":"5s","subject_claim":"org"`)
	w, err := New(&next.Auth.JWT, policy.NewAccess(next), v, Options{Log: discard, Now: v.now})
	require.NoError(t, err)
	require.True(t, w.Shares(v))
	who, _ := identify(t, w, signed("k"))
	require.Equal(t, "team-a", who)
	other := settings(`"jwks_url":"` + is.URL + `/other"`)
	w, err = New(&other.Auth.JWT, policy.NewAccess(other), v, Options{Log: discard, Now: v.now})
	require.NoError(t, err)
	require.False(t, w.Shares(v))
	require.False(t, (*Verifier)(nil).Shares(v))
}
