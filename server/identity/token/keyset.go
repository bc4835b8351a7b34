package token

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"
)

// keySet is the usable keys of a JSON Web Key Set (RFC 7517 section 5). It is
// never changed.
type keySet struct{ keys []key }

// key is a public key and what it may verify: the algorithm is the key's to say,
// never the token's.
type key struct {
	id     string
	algs   []jose.SignatureAlgorithm
	public any
}

// Bounds of a key set. Issuers have a handful of keys.
const (
	maxKeys    = 100
	minRSABits = 2048 // RFC 7518 section 3.3
)

// algorithms are those that a token may have: asymmetric ones, which only the
// issuer can sign with.
var algorithms = slices.Concat(rsaAlgorithms, []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.EdDSA})

var rsaAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512}

// parseKeySet reads a key set. Keys that cannot verify tokens are left out, as
// RFC 7517 section 5 has it; skipped says why. A set without any key that can is
// an error.
func parseKeySet(document []byte) (set *keySet, skipped []string, err error) {
	var raw struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &raw); err != nil {
		return nil, nil, errors.New("it is not a JSON Web Key Set: " + err.Error())
	}
	if len(raw.Keys) > maxKeys {
		return nil, nil, fmt.Errorf("it has %d keys, at most %d are allowed", len(raw.Keys), maxKeys)
	}
	set = &keySet{}
	for i, member := range raw.Keys {
		k, err := parseKey(member)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("keys[%d]: %v", i, err))
			continue
		}
		set.keys = append(set.keys, k)
	}
	if len(set.keys) == 0 {
		err = errors.New("it has no key that tokens can be verified with")
		if skipped != nil {
			err = fmt.Errorf("%w: %s", err, skipped[0])
		}
		return nil, skipped, err
	}
	return set, skipped, nil
}

func parseKey(member []byte) (key, error) {
	var jwk jose.JSONWebKey
	if err := json.Unmarshal(member, &jwk); err != nil {
		return key{}, err
	}
	if jwk.Use != "" && jwk.Use != "sig" {
		return key{}, fmt.Errorf("its use is %.32q, not sig", jwk.Use)
	}
	k := key{id: jwk.KeyID, public: jwk.Key}
	switch public := jwk.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			return key{}, fmt.Errorf("an RSA key of %d bits is too short: at least %d", public.N.BitLen(), minRSABits)
		}
		k.algs = rsaAlgorithms
	case *ecdsa.PublicKey:
		k.algs = curveAlgorithm[public.Curve]
	case ed25519.PublicKey:
		k.algs = []jose.SignatureAlgorithm{jose.EdDSA}
	default:
		return key{}, errors.New("it is not a public key: secret and private keys do not belong into a key set")
	}
	if jwk.Algorithm != "" {
		alg := jose.SignatureAlgorithm(jwk.Algorithm)
		if !slices.Contains(k.algs, alg) {
			return key{}, fmt.Errorf("its alg %.32q is not for tokens, or not for its type", jwk.Algorithm)
		}
		k.algs = []jose.SignatureAlgorithm{alg}
	}
	return k, nil
}

var curveAlgorithm = map[elliptic.Curve][]jose.SignatureAlgorithm{
	elliptic.P256(): {jose.ES256}, elliptic.P384(): {jose.ES384}, elliptic.P521(): {jose.ES512},
}

// maxUnnamed bounds the keys that a token which names none is tried with.
const maxUnnamed = 8

// candidates are the keys that may have signed a token: those of its key id,
// which then must not be missing, of the type that its algorithm is for.
func (s *keySet) candidates(id string, alg jose.SignatureAlgorithm) (found []any, known bool) {
	for _, k := range s.keys {
		if id != "" && k.id != id {
			continue
		}
		known = true
		if slices.Contains(k.algs, alg) && len(found) < maxUnnamed {
			found = append(found, k.public)
		}
	}
	return found, known
}
