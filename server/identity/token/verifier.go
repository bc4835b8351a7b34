// Package token finds out who the bearer of a signed token is (JWT, RFC 7519),
// with the public keys of its issuer. It follows the best current practices of
// RFC 8725: the algorithm is the key's to say, issuer and audience must be the
// configured ones, and nothing in a token says where its key is.
//
//	token ─► Verifier ─► who it is, or why not
//	            ▲
//	issuer ─► keys, from a file or a URL, fetched anew when a token names one that is not there
//
// A text from a header field enters; a [policy.Identity] or an error leaves.
package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"antwort/shared/config"
	"antwort/shared/policy"
	"antwort/shared/responses"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Options are what a verifier takes from its surroundings.
type Options struct {
	Log *slog.Logger
	Now func() time.Time
}

// Verifier tells the bearers of tokens. It is safe for concurrent use.
type Verifier struct {
	cfg    config.JWT
	access *policy.Access
	now    func() time.Time
	keys   *keys
	cache  *cache
}

// New makes a verifier for a configuration with auth.type jwt; access is that of
// the same configuration. A key set in a file is read, and an error when it
// cannot be used; one at a URL is fetched after Start. before may be the verifier
// of an earlier configuration: the same keys are shared with it.
func New(cfg *config.JWT, access *policy.Access, before *Verifier, opt Options) (*Verifier, error) {
	v := &Verifier{cfg: *cfg, access: access, now: opt.Now, cache: newCache()}
	if before != nil && before.cfg.JWKSURL == cfg.JWKSURL && before.cfg.JWKSFile == cfg.JWKSFile && before.cfg.JWKSRefresh == cfg.JWKSRefresh {
		v.keys = before.keys
		return v, nil
	}
	v.keys = newKeys(cfg, opt)
	if cfg.JWKSFile != "" {
		<-v.keys.begin()
		if !v.HadKeys() {
			v.Stop()
			return nil, errors.New("auth.jwt.jwks_file: " + v.keys.lastProblem())
		}
	}
	return v, nil
}

// Start keeps the keys fresh until Stop.
func (v *Verifier) Start() { go v.keys.run() }

// Stop ends that. What is held can still be verified with.
func (v *Verifier) Stop() { v.keys.stop() }

// Shares reports whether both have the same keys, which are to be started and
// stopped once only.
func (v *Verifier) Shares(other *Verifier) bool {
	return v != nil && other != nil && v.keys == other.keys
}

// HadKeys reports whether there ever were keys.
func (v *Verifier) HadKeys() bool { return v.keys.held.Load() != nil }

// KeysAge is the time since the keys were fetched last; had is false when they
// never were.
func (v *Verifier) KeysAge() (age time.Duration, had bool) {
	h := v.keys.held.Load()
	if h == nil {
		return 0, false
	}
	return v.now().Sub(h.at), true
}

// Await waits for the first keys. The error says why there are none.
func (v *Verifier) Await(ctx context.Context) error {
	if v.HadKeys() {
		return nil
	}
	select {
	case <-v.keys.begin():
	case <-ctx.Done():
	}
	if v.HadKeys() {
		return nil
	}
	return errors.New("auth.jwt.jwks_url: " + v.keys.lastProblem())
}

// Identify finds out who calls, by all values of the fields authorization and
// x-api-key. The error is a 401, or a 503 while nobody's token can be verified;
// cause is more about it for the log. Nothing of the token is in either.
func (v *Verifier) Identify(ctx context.Context, authorization, apiKey []string) (caller *policy.Identity, refused *responses.Error, cause error) {
	token, refused := v.access.Token(authorization, apiKey)
	if refused != nil {
		return nil, refused, nil
	}
	set := v.keys.current()
	if set == nil {
		return nil, policy.AuthUnavailable(), errNoKeys
	}
	d := digestOf(token)
	if caller = v.cache.get(d, set, v.now()); caller != nil {
		return caller, nil, nil
	}
	payload, set, refused, cause := v.verify(ctx, token, set)
	if refused != nil {
		return nil, refused, cause
	}
	caller, expiry, refused := v.claimed(payload)
	if refused != nil {
		return nil, refused, nil
	}
	v.cache.put(d, set, caller, expiry)
	return caller, nil, nil
}

var (
	errNoKeys     = errors.New("there are no keys of the issuer")
	errUnknownKey = errors.New("no key of the issuer is the token's, and newer ones cannot be had")
)

// Expires is from when on the token of a request that was just identified is not good
// any more; zero when that is not known.
func (v *Verifier) Expires(authorization, apiKey []string) time.Time {
	token, refused := v.access.Token(authorization, apiKey)
	if refused != nil {
		return time.Time{}
	}
	at := v.cache.expiry(digestOf(token))
	if at.IsZero() {
		return at
	}
	return at.Add(v.cfg.ClockSkew)
}

func digestOf(token string) digest {
	var room [2 << 10]byte // most tokens need no other
	return sha256.Sum256(append(room[:0], token...))
}

// verify returns what a token says and with which keys its signature is right.
func (v *Verifier) verify(ctx context.Context, token string, set *keySet) ([]byte, *keySet, *responses.Error, error) {
	if strings.Count(token, ".") == 4 {
		return nil, nil, policy.InvalidToken("the token is encrypted: send a signed one"), nil
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		var alg *jose.ErrUnexpectedSignatureAlgorithm
		if errors.As(err, &alg) {
			return nil, nil, policy.InvalidToken("the token is not signed with one of the algorithms that are allowed"), nil
		}
		return nil, nil, policy.InvalidToken("the credential is not a signed token (JWT)"), nil
	}
	header := jws.Signatures[0].Protected
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, has := header.ExtraHeaders[name]; has {
			return nil, nil, policy.InvalidToken("the token's header has " + string(name) + ", which is not understood here"), nil
		}
	}
	payload, known := set.verify(jws, header)
	if payload == nil && (!known || header.KeyID == "") {
		fresh := v.keys.ask(ctx)
		if newer := v.keys.current(); newer != nil && newer != set {
			set = newer
			payload, known = set.verify(jws, header)
		}
		if payload == nil && !fresh {
			return nil, nil, policy.AuthUnavailable(), errUnknownKey
		}
	}
	switch {
	case payload != nil:
		return payload, set, nil, nil
	case !known:
		return nil, nil, policy.InvalidToken("the token is signed with a key that the issuer does not have"), nil
	}
	return nil, nil, policy.InvalidToken("the token's signature is wrong"), nil
}

// verify returns the payload when a key of the set has signed it. known reports
// whether the token's key is in the set.
func (s *keySet) verify(jws *jose.JSONWebSignature, header jose.Header) (payload []byte, known bool) {
	keys, known := s.candidates(header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	for _, public := range keys {
		if payload, err := jws.Verify(public); err == nil {
			return payload, true
		}
	}
	return nil, known
}

// claimed is who the bearer of a token with this payload is, and until when.
func (v *Verifier) claimed(payload []byte) (*policy.Identity, time.Time, *responses.Error) {
	var claims jwt.Claims
	var all map[string]any
	// This reader of JSON refuses names that occur twice.
	if json.Unmarshal(payload, &claims) != nil || json.Unmarshal(payload, &all) != nil {
		return nil, time.Time{}, policy.InvalidToken("the token's claims are not as RFC 7519 has them")
	}
	if claims.Expiry == nil {
		return nil, time.Time{}, policy.InvalidToken("the token has no claim exp")
	}
	expected := jwt.Expected{Issuer: v.cfg.Issuer, AnyAudience: v.cfg.Audiences, Time: v.now()}
	if err := claims.ValidateWithLeeway(expected, v.cfg.ClockSkew); err != nil {
		return nil, time.Time{}, policy.InvalidToken(unmet(err))
	}
	caller, refused := v.access.Verified(func(name string) (string, bool) {
		value, has := all[name]
		text, is := value.(string)
		return text, is || !has
	})
	return caller, claims.Expiry.Time(), refused
}

// unmet says in our words which expectation a token does not meet.
func unmet(err error) string {
	switch {
	case errors.Is(err, jwt.ErrInvalidIssuer):
		return "the token is of an issuer (iss) that is not believed here"
	case errors.Is(err, jwt.ErrInvalidAudience):
		return "the token is not for this service (aud)"
	case errors.Is(err, jwt.ErrExpired):
		return "the token has expired (exp)"
	case errors.Is(err, jwt.ErrNotValidYet):
		return "the token is not valid yet (nbf)"
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return "the token was issued in the future (iat)"
	}
	return fmt.Sprintf("the token is not valid: %v", err)
}
