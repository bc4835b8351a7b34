package corpus

import (
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"strings"
	"time"
)

// Tokens are the cases of shared/policy/testdata/tokens.json: who calls, by
// token. The same ones go to the policy, to the server, to the filter and to
// Envoy's verifier in front of it.
type Tokens struct {
	Auth  json.RawMessage // section auth of the configuration, without the keys
	Cases []TokenCase
}

// A TokenCase is a request with a token and what becomes of it.
type TokenCase struct {
	AccessCase
	Claims    map[string]any
	ExpiresIn *int   // seconds; an hour when missing
	ValidIn   int    // seconds until the token is valid (nbf); none when 0
	Eternal   bool   // the token does not expire
	Signed    string // how it is signed, see Issuer.Token; "": as it should be
	// RefusedBy says who finds out what is wrong: "" is the policy; "verifier"
	// is who verifies signature and times, so that the filter gets no claims;
	// "audience" is that and the filter once more.
	RefusedBy string
}

// LoadTokens returns the cases. In their header fields TOKEN stands for the
// token.
func LoadTokens() (*Tokens, error) {
	all := new(Tokens)
	if err := loadPolicy("tokens.json", all); err != nil {
		return nil, err
	}
	for i := range all.Cases {
		c := &all.Cases[i]
		c.complete()
		if c.Header == nil {
			c.Header = [][2]string{{"Authorization", "Bearer TOKEN"}}
		}
		if c.Body == "" && c.Method == "POST" {
			c.Body = `{"model":"m","input":"hello"}`
		}
	}
	return all, nil
}

// Request is the case with its token in the place of TOKEN.
func (c *TokenCase) Request(issuer *Issuer) AccessCase {
	r := c.AccessCase
	token := issuer.Token(c)
	r.Target = strings.ReplaceAll(r.Target, "TOKEN", token)
	r.Header = nil
	for _, field := range c.Header {
		r.Header = append(r.Header, [2]string{field[0], strings.ReplaceAll(field[1], "TOKEN", token)})
	}
	return r
}

// Issuer makes tokens with a key.
type Issuer struct {
	key, foreign *rsa.PrivateKey
}

// NewIssuer makes an issuer with fresh keys.
func NewIssuer() (*Issuer, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	foreign, err := rsa.GenerateKey(rand.Reader, 2048)
	return &Issuer{key, foreign}, err
}

// keyID is that of the issuer's key.
const keyID = "one"

// JWKS is the issuer's key set (RFC 7517).
func (i *Issuer) JWKS() []byte {
	b, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "kid": keyID, "alg": "RS256", "use": "sig", "n": encode(i.key.N.Bytes()), "e": encode(big.NewInt(int64(i.key.E)).Bytes()),
	}}})
	if err != nil {
		panic(err)
	}
	return b
}

// Token makes a case's token. Signed is "none" (the algorithm of that name),
// "hmac" (HS256 with the public key as its secret), "foreign" (another key under
// the same id), "unknown" (another key under its own id), "cut" (half of the
// signature) or "absent" (none at all).
func (i *Issuer) Token(c *TokenCase) string {
	claims := maps.Clone(c.Claims)
	if claims == nil {
		claims = map[string]any{}
	}
	now, lifetime := time.Now(), time.Hour
	if c.ExpiresIn != nil {
		lifetime = time.Duration(*c.ExpiresIn) * time.Second
	}
	if _, has := claims["exp"]; !has && !c.Eternal {
		claims["exp"] = now.Add(lifetime).Unix()
	}
	if c.ValidIn != 0 {
		claims["nbf"] = now.Add(time.Duration(c.ValidIn) * time.Second).Unix()
	}
	header := map[string]any{"alg": "RS256", "kid": keyID, "typ": "JWT"}
	switch c.Signed {
	case "none":
		header["alg"] = "none"
	case "hmac":
		header["alg"] = "HS256"
	case "unknown":
		header["kid"] = "another"
	}
	signed := encodeJSON(header) + "." + encodeJSON(claims)
	digest := sha256.Sum256([]byte(signed))
	key := i.key
	switch c.Signed {
	case "none":
		return signed + "."
	case "absent":
		return signed
	case "hmac":
		public, err := x509.MarshalPKIXPublicKey(&i.key.PublicKey)
		if err != nil {
			panic(err)
		}
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		mac.Write([]byte(signed))
		return signed + "." + encode(mac.Sum(nil))
	case "foreign", "unknown":
		key = i.foreign
	}
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		panic(err)
	}
	if c.Signed == "cut" {
		signature = signature[:len(signature)/2]
	}
	return signed + "." + encode(signature)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func encodeJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return encode(b)
}
