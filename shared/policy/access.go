package policy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"

	"antwort/shared/config"
	"antwort/shared/responses"
)

// Fields that tell the upstream who calls.
const (
	SubjectField = "x-antwort-subject"
	TenantField  = "x-antwort-tenant"

	// KeyField marks a request that Envoy's rate limit counts, with the name of its key,
	// and ModelField says its model. They end there.
	KeyField   = "x-antwort-key"
	ModelField = "x-antwort-model"
)

// reserved begins the names of fields that are a gateway's own to set.
const reserved = "x-antwort-"

// IsReserved reports whether a field's name begins so, in any case, or is one
// that a backend which puts - for _ (CGI, WSGI) takes for one. Clients' fields of
// such names are removed from every request.
func IsReserved(name string) bool {
	if len(name) < len(reserved) {
		return false
	}
	for i := range len(reserved) {
		c := name[i]
		if c == '_' {
			c = '-'
		} else if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != reserved[i] {
			return false
		}
	}
	return true
}

// CredentialFields are the fields that a client's key may stand in.
var CredentialFields = [...]string{"authorization", "x-api-key"}

// Access decides who may call. It is safe for concurrent use.
type Access struct {
	keys    []accessKey
	token   *tokenClaims // with auth.type jwt, which has no keys
	Forward bool         // the client's credential is for the upstream too
}

type accessKey struct {
	digest   words
	caller   Identity
	delegate bool
}

// words are a digest, for comparing eight bytes at a time.
type words [sha256.Size / 8]uint64

func wordsOf(digest [sha256.Size]byte) (w words) {
	for i, b := range digest {
		w[i/8] = w[i/8]<<8 | uint64(b)
	}
	return w
}

// equal is 1 or 0. It takes the same steps whatever the words are.
func (w *words) equal(other *words) int {
	var diff uint64
	for i := range w {
		diff |= w[i] ^ other[i]
	}
	return int((diff|-diff)>>63 ^ 1) //nolint:gosec // it is one bit
}

// Identity is a caller whose credential was right. It must not be changed.
type Identity struct {
	Subject string
	Tenant  string   // may be empty
	Key     string   // name of the API key, no secret; "": the caller has none
	models  []string // patterns; none: all
}

// NewIdentity is a caller who was one of Models, with a key of this name, before.
func NewIdentity(subject, tenant, key string, models []string) *Identity {
	return &Identity{subject, tenant, key, models}
}

// IdentityOf is the caller that an API key with a digest stands for.
func IdentityOf(k *config.APIKey) Identity {
	return Identity{k.Subject, k.Tenant, hex.EncodeToString(k.Digest[:8]), k.Models}
}

// Models are patterns of the models that the caller may use; none: all.
func (id *Identity) Models() []string { return id.models }

// NewAccess is the access that a configuration with resolved secrets grants;
// nil when it asks nobody for a credential.
func NewAccess(c *config.Config) *Access {
	if c.Auth.Type == config.NoAuth {
		return nil
	}
	a := &Access{Forward: c.Auth.ForwardCredential}
	if c.Auth.Type == config.JWTAuth {
		a.token = newTokenClaims(&c.Auth.JWT)
	}
	for i := range c.Auth.APIKeys {
		k := &c.Auth.APIKeys[i]
		if k.Digest == [sha256.Size]byte{} {
			continue // was not resolved: nobody has it
		}
		a.keys = append(a.keys, accessKey{wordsOf(k.Digest), IdentityOf(k), k.Delegate})
	}
	return a
}

// A Told is what a request itself says of who calls, all values of the fields. It is
// believed of nobody but a gateway whose key is a delegate.
type Told struct{ Subject, Tenant []string }

// Identify finds out who calls, by all values of the fields authorization and
// x-api-key (RFC 9110 section 11.6.2, RFC 6750 section 2.1). The error is a 401,
// which also needs the header of Challenge, or the 403 of a gateway that does not say
// for whom it asks. Nothing of the credential is in it.
func (a *Access) Identify(authorization, apiKey []string, told Told) (*Identity, *responses.Error) {
	credential, err := keyWords.credentialOf(authorization, apiKey)
	if err != nil {
		return nil, err
	}
	i := a.find(wordsOf(sha256.Sum256([]byte(credential))))
	switch {
	case i < 0:
		return nil, unauthorized("invalid_api_key", "the API key is not known here")
	case a.keys[i].delegate:
		return told.caller(&a.keys[i].caller)
	}
	return &a.keys[i].caller, nil
}

// caller is for whom a gateway asks. It must say so, once: without a word all its
// callers would be one.
func (t Told) caller(gateway *Identity) (*Identity, *responses.Error) {
	if len(t.Subject) != 1 || t.Subject[0] == "" || !isIdentity(t.Subject[0]) || len(t.Tenant) > 1 || len(t.Tenant) == 1 && !isIdentity(t.Tenant[0]) {
		return nil, responses.NewError(403, "caller_missing",
			"this API key is a gateway's, which must tell with each request who calls: "+SubjectField+" once, and perhaps "+TenantField)
	}
	id := &Identity{Subject: t.Subject[0], Key: gateway.Key, models: gateway.models}
	if len(t.Tenant) == 1 {
		id.Tenant = t.Tenant[0]
	}
	return id, nil
}

// find compares with every key, and each comparison looks at every byte: how
// long it takes says nothing about the digests.
func (a *Access) find(digest words) int {
	found := -1
	for i := range a.keys {
		found = subtle.ConstantTimeSelect(a.keys[i].digest.equal(&digest), i, found)
	}
	return found
}

// maxCredential bounds a credential, in bytes; no configured key is longer, and
// few tokens are.
const maxCredential = 8192

// credentialWords are how a kind of credential is spoken of.
type credentialWords struct{ what, how, missing, invalid string }

var (
	keyWords   = credentialWords{"API key", "Authorization: Bearer …, or as x-api-key", "missing_api_key", "invalid_api_key"}
	tokenWords = credentialWords{"token", "Authorization: Bearer …", "missing_token", "invalid_token"}
)

// credentialOf is the one credential of a request. Several could be read in
// different ways by whoever comes next, so they are refused, equal or not.
func (w *credentialWords) credentialOf(authorization, apiKey []string) (string, *responses.Error) {
	switch {
	case len(authorization)+len(apiKey) == 0:
		return "", unauthorized(w.missing, "a credential is needed: send your "+w.what+" as "+w.how)
	case len(authorization)+len(apiKey) > 1:
		return "", unauthorized(w.invalid, "more than one credential: send "+w.how+", once")
	}
	var credential string
	if len(apiKey) == 1 {
		credential = strings.Trim(apiKey[0], " \t")
	} else {
		scheme, rest, _ := strings.Cut(strings.Trim(authorization[0], " \t"), " ")
		if !strings.EqualFold(scheme, "bearer") {
			return "", unauthorized(w.invalid, "authorization must have the scheme Bearer: Authorization: Bearer …")
		}
		credential = strings.TrimLeft(rest, " ")
	}
	switch {
	case credential == "":
		return "", unauthorized(w.missing, "the "+w.what+" is empty")
	case len(credential) > maxCredential:
		return "", unauthorized(w.invalid, "the "+w.what+" is longer than any")
	}
	for i := range len(credential) {
		if credential[i] <= ' ' || credential[i] > '~' {
			return "", unauthorized(w.invalid, "the "+w.what+" has spaces or characters that are not printable ASCII")
		}
	}
	return credential, nil
}

// Challenge is the header field that an answer 401 needs (RFC 9110 section
// 11.6.1, RFC 6750 section 3).
func Challenge(e *responses.Error) [2]string {
	value := "Bearer"
	if e.Code == tokenWords.invalid {
		value = `Bearer error="invalid_token"`
	}
	return [2]string{"www-authenticate", value}
}

//go:noinline
func unauthorized(code, message string) *responses.Error {
	return responses.NewError(401, code, message)
}
