package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"antwort/shared/config"
	"antwort/shared/policy"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// One key of each kind, made once: RSA keys take long.
var (
	rsaKey    = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	shortRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey     = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	otherEC   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	ec384Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)) })
	ec521Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)) })
	edKey     = sync.OnceValue(func() ed25519.PrivateKey { _, k, err := ed25519.GenerateKey(rand.Reader); return must(k, err) })
	fixedTime = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// jwk is the public part of a key as it stands in a key set.
func jwk(private any, id, alg string) map[string]any {
	public := private.(interface{ Public() crypto.PublicKey }).Public()
	b := must(jose.JSONWebKey{Key: public, KeyID: id, Algorithm: alg, Use: "sig"}.MarshalJSON())
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		panic(err)
	}
	return m
}

func keySetOf(keys ...any) []byte { return must(json.Marshal(map[string]any{"keys": keys})) }

// issuer serves a key set.
type issuer struct {
	*httptest.Server
	document atomic.Pointer[[]byte]
	handler  atomic.Pointer[http.HandlerFunc] // instead of the document
	asked    atomic.Int32
}

func newIssuer(t testing.TB, document []byte) *issuer {
	is := &issuer{}
	is.document.Store(&document)
	is.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		is.asked.Add(1)
		if h := is.handler.Load(); h != nil {
			(*h)(w, r)
			return
		}
		_, _ = w.Write(*is.document.Load())
	}))
	t.Cleanup(is.Close)
	return is
}

func (is *issuer) publish(keys ...any) { d := keySetOf(keys...); is.document.Store(&d) }

func (is *issuer) answer(h http.HandlerFunc) { is.handler.Store(&h) }

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock { c := &clock{}; c.at.Store(fixedTime.UnixNano()); return c }

func (c *clock) now() time.Time        { return time.Unix(0, c.at.Load()) }
func (c *clock) pass(by time.Duration) { c.at.Add(int64(by)) }

func settings(jwt string) *config.Config {
	return must(config.Load(config.Sources{JSON: []byte(`{"engine":{"provider":"vllm","backend_url":"http://llm"},
		"auth":{"type":"jwt","jwt":{"issuer":"https://issuer.example","audiences":["antwort","others"],` + jwt + `}}}`)}))
}

func verifierOf(t testing.TB, cfg *config.Config, c *clock) *Verifier {
	t.Helper()
	v, err := New(&cfg.Auth.JWT, policy.NewAccess(cfg), nil, Options{Log: discard, Now: c.now})
	require.NoError(t, err)
	t.Cleanup(v.Stop)
	return v
}

// withFile is a verifier whose keys are in a file.
func withFile(t testing.TB, keys ...any) (*Verifier, *clock) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, os.WriteFile(path, keySetOf(keys...), 0o600))
	c := newClock()
	return verifierOf(t, settings(`"jwks_file":"`+path+`","tenant_claim":"org"`), c), c
}

// claims are those of a good token with changes; a nil value removes a claim.
func claims(changes map[string]any) map[string]any {
	all := map[string]any{
		"iss": "https://issuer.example", "aud": "antwort", "sub": "alice", "org": "team-a",
		"iat": fixedTime.Unix(), "exp": fixedTime.Add(time.Hour).Unix(),
	}
	for name, value := range changes {
		all[name] = value
		if value == nil {
			delete(all, name)
		}
	}
	return all
}

// sign makes a token; header has more of its header.
func sign(alg jose.SignatureAlgorithm, private any, header map[string]any, payload any) string {
	if _, is := payload.(string); !is {
		payload = string(must(json.Marshal(payload)))
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: private}, options))
	return must(must(signer.Sign([]byte(payload.(string)))).CompactSerialize())
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge puts a token together whose header and signature are anything.
func forge(header, payload string, signature func(input string) []byte) string {
	input := base64url([]byte(header)) + "." + base64url([]byte(payload))
	return input + "." + base64url(signature(input))
}

var discard = slog.New(slog.DiscardHandler)

func bearer(token string) []string { return []string{"Bearer " + token} }
